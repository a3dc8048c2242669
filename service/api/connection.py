"""A bridge's connection: its messages to the call, the call's answers back, in any dialect."""

import asyncio
import contextlib
import math
from functools import partial
from typing import assert_never

import structlog

from service.api.services import Services
from service.api.transport import Transport, TransportClosed
from service.calls.stream import CallStream
from service.errors import CallRefused, NotStarted, Stopping
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Reading, Transition
from service.telephony.shared.bridge import Bridge, CloseCode

log = structlog.get_logger()

LAST_WORDS_S = 3.0  # for a client to read what is still to be said, and the close


class Connection:
    """One connection from its opening to its close; what goes wrong in it reaches no other.

    The client is heard, its windows are read, and it is answered, all at once. A client that reads
    slowly keeps only its own answers waiting, and of those the bridge keeps the newest.
    """

    def __init__(self, transport: Transport, bridge: Bridge, name: str, services: Services) -> None:
        self._transport = transport
        self._bridge = bridge
        self._name = name  # of the bridge
        self._services = services
        self._stream: CallStream | None = None
        self._reading: asyncio.Task[None] | None = None
        self._to_send = asyncio.Event()
        self._gone = False  # the client
        self._over = False  # nothing will be added to the replies
        self._ends: str | None = None  # from outside, for this reason
        self._waiting: asyncio.Timeout | None = None  # for a message
        # On the event loop's clock:
        self._start_by_s = math.inf
        self._stage: object = None  # the bridge's, as it was last seen
        self._due_s = math.inf
        self._close_by_s = 0.0

    # From outside.

    def reconnect(self) -> None:
        """The service will stop: the client is asked to go on elsewhere, if that can be said."""
        self._bridge.reconnect("this server is stopping")
        self._to_send.set()

    def end(self, reason: str) -> None:
        """Whatever goes on here ends, in the bridge's words."""
        self._ends = reason
        if self._waiting and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    # From within.

    async def hold(self) -> None:
        """Until either side ends it."""
        self._services.connections.add(self)
        try:
            if not await self._converse():
                if self._stream:
                    self._stream.abandon("failed")
                    self._stream = None
                self._bridge.failed()
                self._to_send.set()
                await self._converse()  # some dialects have more to say than a close
        finally:
            self._services.connections.discard(self)
            if self._stream:
                self._stream.abandon("failed")
            for code, count in self._bridge.message_errors.items():
                self._services.metrics.message_errors.labels(self._name, code).inc(count)
        if not self._gone:
            # It may just have gone, or take nothing more, not even this.
            with contextlib.suppress(TransportClosed, TimeoutError):
                async with asyncio.timeout_at(self._close_by_s):
                    await self._transport.close(
                        self._bridge.close_code or CloseCode.INTERNAL, self._bridge.close_reason
                    )

    async def _converse(self) -> bool:
        """Whether it came to its end without a fault of ours."""
        failed = False
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(self._answer())
                await self._hear(tasks)
                self._over = True
                self._to_send.set()
                self._close_by_s = asyncio.get_running_loop().time() + LAST_WORDS_S
                if not self._gone:
                    await asyncio.wait((answering,), timeout=LAST_WORDS_S)
                answering.cancel()
        except* Exception as failures:
            self._services.metrics.connection_failures.inc()
            log.error("call_failed", bridge=self._name, exc_info=failures)
            self._close_by_s = asyncio.get_running_loop().time() + LAST_WORDS_S
            failed = True
        return not failed

    async def _hear(self, tasks: asyncio.TaskGroup) -> None:
        if self._bridge.deadline_s is None:  # else it knows itself how long to wait
            now_s = asyncio.get_running_loop().time()
            self._start_by_s = now_s + self._services.settings.start_within_s
        while self._bridge.close_code is None and not self._gone:
            for event in await self._next():
                match event:
                    case CallStarted():
                        self._start_by_s = math.inf
                        self._open(event, tasks)
                    case Audio() | Gap():
                        if self._stream:
                            await self._stream.hear(event)
                    case CallStopped(reason):
                        await self._stop(reason)
                    case _:
                        assert_never(event)
            self._to_send.set()
        if self._reading:
            self._reading.cancel()

    async def _next(self) -> list[Event]:
        """The facts in the next message, or in none having come."""
        await asyncio.sleep(0)  # messages that are there already come without a pause
        now_s = asyncio.get_running_loop().time()
        stage, deadline_s = self._bridge.stage, self._bridge.deadline_s
        if stage is not self._stage:
            self._stage = stage
            self._due_s = math.inf if deadline_s is None else now_s + deadline_s
        last_s = min(self._due_s, self._start_by_s, now_s + self._services.settings.idle_s)
        if self._ends is not None or last_s <= now_s:
            return self._late(last_s)
        try:
            async with asyncio.timeout_at(last_s) as self._waiting:
                message = await self._transport.receive()
        except TimeoutError:
            return self._late(last_s)
        finally:
            self._waiting = None
        if message is None:
            self._gone = True
            return self._bridge.disconnected()
        return self._bridge.receive(message)

    def _late(self, last_s: float) -> list[Event]:
        """`last_s` has passed, though a coarse clock (uvloop's) may show a little less."""
        refusal: CallRefused = NotStarted(self._services.settings.start_within_s)
        if self._ends is not None:
            reason, self._ends = self._ends, None
            refusal = Stopping()
        elif self._due_s <= last_s:
            self._stage = None  # counted anew, whatever comes of it
            return self._bridge.overdue()
        else:
            reason = "quiet"
        self._start_by_s = math.inf
        if self._stream:
            return [CallStopped(reason)]
        self._bridge.refused(refusal)
        return []

    def _open(self, started: CallStarted, tasks: asyncio.TaskGroup) -> None:
        calls = self._services.calls
        try:
            if self._services.stopping.is_set():
                calls.context.metrics.calls_refused.labels(started.bridge, Stopping.__name__).inc()
                raise Stopping
            self._stream = calls.open(
                started,
                self._tell,
                joins=self._bridge.joins,
                replaces=self._bridge.replaces,
                replaced=partial(self.end, "replaced"),
            )
        except CallRefused as refusal:
            self._bridge.refused(refusal)
            return
        self._reading = tasks.create_task(self._stream.run())
        meta = calls.context.meta
        self._bridge.started(
            self._stream.call.session, meta.name, meta.version, calls.context.hop_s
        )

    def _tell(self, said: Reading | Transition) -> None:
        if isinstance(said, Reading):
            self._bridge.reading(said)
        else:
            self._bridge.alert(said)
        self._to_send.set()

    async def _stop(self, reason: str) -> None:
        if self._stream is None:
            return
        stream = self._stream
        try:
            async with asyncio.timeout(self._bridge.deadline_s):  # the client waits no longer
                summary = await stream.end(reason)
        except TimeoutError:
            summary = stream.abandon(reason)
        self._stream = None
        self._bridge.stopped(reason, summary)

    async def _answer(self) -> None:
        try:
            while True:
                await self._to_send.wait()
                self._to_send.clear()
                last = self._over
                for message in self._bridge.replies():
                    await self._transport.send(message)
                if last:
                    return
        except TransportClosed:  # `_next` is told so too
            return
