"""One connection of a telephony client, from its opening to its close."""

import asyncio
import contextlib
import math
import traceback
from enum import Enum, auto
from functools import partial
from typing import assert_never

import structlog

from service.api.deadlines import Cause, next_deadline
from service.api.pace import Pace
from service.api.services import Services
from service.api.transport import Transport, TransportClosed
from service.calls.audio_watch import AudioWatch, UnusableAudio
from service.calls.stream import CallStream
from service.errors import CallRefused, NotStarted, Stopping
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Reading, Transition
from service.metrics import START_REFUSED
from service.telephony.shared.bridge import Bridge, CloseCode

log = structlog.get_logger()


class ConnectionState(Enum):
    """Where a connection is in its life; the states follow each other in this order.

    A connection may skip states. After a fault in our own code it goes back to ENDING once, so that
    the bridge can report the failure in its protocol.
    """

    WAITING_FOR_START = auto()  # open; no call has started
    LIVE = auto()  # a call's stream is open
    ENDING = auto()  # the call has ended or was refused; the protocol's dialogue goes on
    DRAINING = auto()  # no more is received; the remaining replies are sent
    CLOSING = auto()  # the transport is being closed
    CLOSED = auto()


class Connection:
    """One connection: receives its messages, publishes its readings and sends its replies.

    The three run side by side. A client that reads slowly delays only its own replies, of which the
    bridge keeps the newest. A client that sends faster than real time for long is not read until
    real time has caught up. A fault in one connection does not affect any other.

    Deadlines are on the clock of the event loop, as the timeouts of the event loop are.
    """

    def __init__(self, transport: Transport, bridge: Bridge, name: str, services: Services) -> None:
        self._transport = transport
        self._bridge = bridge
        self._name = name  # of the bridge
        self._services = services
        self._state = ConnectionState.WAITING_FOR_START
        self._stream: CallStream | None = None  # while LIVE
        self._publishing: asyncio.Task[None] | None = None  # the stream's `run`
        self._watch: AudioWatch | None = (
            None  # until it is known whether the stream can be analysed
        )
        self._to_send = asyncio.Event()
        self._started = False  # whether a start was received, accepted or not
        self._client_left = False
        self._end_reason: str | None = None  # requested by `end`
        self._message_timeout: asyncio.Timeout | None = None  # while waiting for a message
        self._stage: object = None  # the bridge's stage when it was last looked at
        self._stage_by_s = math.inf
        self._start_by_s = math.inf
        self._close_by_s = 0.0
        speed = services.settings.max_speed
        self._pace = Pace(speed, bridge.burst_s, asyncio.get_running_loop().time())

    @property
    def state(self) -> ConnectionState:
        return self._state

    # Called by the service.

    def reconnect(self) -> None:
        """Asks the client to continue on another server, if its protocol can express that."""
        self._bridge.reconnect("this server is stopping")
        self._to_send.set()

    def end(self, reason: str) -> None:
        """Ends the call and the connection in the way of the bridge's protocol."""
        self._end_reason = reason
        if self._message_timeout and not self._message_timeout.expired():
            self._message_timeout.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serves the connection until the client or the service ends it, then closes it."""
        self._services.connections.add(self)
        try:
            if not await self._converse():
                stream = self._stream
                self._abandon_stream()
                if stream:
                    await stream.results_passed_on()
                self._bridge.failed()
                self._state = ConnectionState.ENDING
                self._to_send.set()
                await self._converse()  # some protocols end with more than a close
        finally:
            self._services.connections.discard(self)
            self._abandon_stream()
            self._warn_of_no_call()
            for code, count in self._bridge.message_errors.items():
                self._services.metrics.message_errors.labels(self._name, code).inc(count)
        self._state = ConnectionState.CLOSING
        if not self._client_left:
            # The client may have left just now, or may read nothing, not even the close.
            with contextlib.suppress(TransportClosed, TimeoutError):
                async with asyncio.timeout_at(self._close_by_s):
                    await self._transport.close(
                        self._bridge.close_code or CloseCode.INTERNAL, self._bridge.close_reason
                    )
        self._state = ConnectionState.CLOSED

    # The three tasks.

    async def _converse(self) -> bool:
        """Runs the dialogue to its end; returns False if our own code raised."""
        last_replies_s = self._services.last_replies_s
        failed = False
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_replies())
                await self._receive_messages(tasks)
                self._state = ConnectionState.DRAINING
                self._to_send.set()
                self._close_by_s = asyncio.get_running_loop().time() + last_replies_s
                if not self._client_left:
                    await asyncio.wait((sending,), timeout=last_replies_s)
                sending.cancel()
        except* Exception as failures:
            self._services.metrics.connection_failures.inc()
            log.error("call_failed", bridge=self._name, exc_info=failures)
            _clear_frames(failures)
            self._close_by_s = asyncio.get_running_loop().time() + last_replies_s
            failed = True
        return not failed

    async def _receive_messages(self, tasks: asyncio.TaskGroup) -> None:
        if self._bridge.deadline_s is None:  # otherwise the bridge limits the time itself
            now_s = asyncio.get_running_loop().time()
            self._start_by_s = now_s + self._services.settings.start_within_s
        while self._bridge.close_code is None and not self._client_left:
            events = await self._next_events()
            for event in events:
                match event:
                    case CallStarted():
                        self._open_stream(event, tasks)
                    case Audio() | Gap():
                        if self._stream:
                            await self._stream.receive(event)
                    case CallStopped(reason):
                        await self._end_stream(reason)
                    case _:
                        assert_never(event)
            if self._watch and self._stream:
                self._report(self._watch.receive(events, self._bridge.message_errors))
            self._to_send.set()
        if self._publishing:
            self._publishing.cancel()
            self._publishing = None

    async def _send_replies(self) -> None:
        try:
            while True:
                await self._to_send.wait()
                self._to_send.clear()
                last = self._state is ConnectionState.DRAINING
                for message in self._bridge.replies():
                    await self._transport.send(message)
                if last:
                    return
        except TransportClosed:
            return  # `receive` of the transport returns None, which ends the dialogue

    def _publish(self, result: Reading | Transition) -> None:
        if isinstance(result, Reading):
            self._bridge.reading(result)
        else:
            self._bridge.alert(result)
        self._to_send.set()

    # Messages and deadlines.

    async def _next_events(self) -> list[Event]:
        """Returns the facts of the next message, or those of a deadline that passed before it."""
        now_s = asyncio.get_running_loop().time()
        stage, deadline_s = self._bridge.stage, self._bridge.deadline_s
        if stage is not self._stage:
            self._stage = stage
            self._stage_by_s = math.inf if deadline_s is None else now_s + deadline_s
        unread_s = max(0.0, self._pace.ready_s - now_s)  # the client came too fast
        waiting_for_start = self._state is ConnectionState.WAITING_FOR_START
        by_s, cause = next_deadline(
            now_s,
            end_requested=self._end_reason is not None,
            stage_by_s=self._stage_by_s,
            start_by_s=self._start_by_s if waiting_for_start else math.inf,
            idle_s=unread_s + self._services.settings.idle_s,
        )
        if by_s <= now_s:
            return self._expired(cause)
        try:
            async with asyncio.timeout_at(by_s) as self._message_timeout:
                await asyncio.sleep(unread_s)
                message = await self._transport.receive()
        except TimeoutError:
            # Not compared with the clock again: a coarse one (uvloop's) may show a little less.
            return self._expired(cause)
        finally:
            self._message_timeout = None
        if message is None:
            self._client_left = True
            return self._bridge.disconnected()
        events = self._bridge.receive(message)
        self._pace.receive(message, events, asyncio.get_running_loop().time())
        return events

    def _expired(self, cause: Cause) -> list[Event]:
        refusal: CallRefused = NotStarted(self._services.settings.start_within_s)
        reason = "quiet"
        if self._end_reason is not None:  # perhaps since the connection began to wait
            reason, self._end_reason = self._end_reason, None
            refusal = Stopping()
        elif cause is Cause.STAGE:
            self._stage = None  # the time is counted anew even if the bridge's stage stays
            return self._bridge.overdue()
        if self._stream:
            return [CallStopped(reason)]
        self._bridge.refused(refusal)
        self._state = ConnectionState.ENDING
        return []

    # The call.

    def _open_stream(self, started: CallStarted, tasks: asyncio.TaskGroup) -> None:
        calls = self._services.calls
        self._started = True
        try:
            if self._services.stopping.is_set():
                calls.context.metrics.calls_refused.labels(started.bridge, Stopping.__name__).inc()
                raise Stopping
            self._stream = calls.open(
                self._services.facts.read(started),
                self._publish,
                joins=self._bridge.joins,
                replaces=self._bridge.replaces,
                replaced=partial(self.end, "replaced"),
            )
        except CallRefused as refusal:
            log.warning("call_refused", bridge=self._name, reason=str(refusal))
            self._bridge.refused(refusal)
            self._state = ConnectionState.ENDING
            return
        self._state = ConnectionState.LIVE
        self._watch = AudioWatch(started.sample_rate)
        self._publishing = tasks.create_task(self._stream.run())
        meta = calls.context.meta
        self._bridge.started(self._stream.session, meta.name, meta.version, calls.context.hop_s)

    async def _end_stream(self, reason: str) -> None:
        if self._stream is None:
            return
        stream = self._stream
        if self._watch:
            self._report(self._watch.ended(self._bridge.message_errors))
        try:
            # The client does not wait longer than the bridge's deadline.
            async with asyncio.timeout(self._bridge.deadline_s):
                summary = await stream.end(reason)
        except TimeoutError:
            summary = stream.abandon(reason)
            await stream.results_passed_on()
        self._stream = None
        self._state = ConnectionState.ENDING
        self._bridge.stopped(reason, summary)

    def _report(self, unusable: UnusableAudio | None) -> None:
        """Warns of audio that can't be analysed, in the log, the metrics and the call's record."""
        if unusable and self._stream:
            self._services.metrics.unusable_streams.labels(self._name, unusable.reason).inc()
            log.warning(
                "audio_unusable",
                bridge=self._name,
                session=self._stream.session,
                reason=unusable.text,
            )
            self._stream.report(unusable.text)
        if self._watch and self._watch.done:
            self._watch = None

    def _warn_of_no_call(self) -> None:
        """Warns of a connection whose start was refused, or that sent none that can be used."""
        errors = self._bridge.message_errors
        if self._started or not errors:
            return
        self._services.metrics.calls_refused.labels(self._name, START_REFUSED).inc()
        reason = self._bridge.close_reason or ", ".join(sorted(errors))
        log.warning("start_refused", bridge=self._name, reason=reason)

    def _abandon_stream(self) -> None:
        """Ends the call at once if it is live; what is in flight is dropped."""
        self._publishing = None
        if self._stream:
            self._stream.abandon("failed")
            self._stream = None


def _clear_frames(error: BaseException) -> None:
    """Empties the frames of a logged error: their variables refer to it, and to the call."""
    traceback.clear_frames(error.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _clear_frames(each)
    if error.__context__:
        _clear_frames(error.__context__)
