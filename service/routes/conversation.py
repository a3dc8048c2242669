"""A bridge's websocket: its messages to the call, the call's answers back, in any dialect."""

import asyncio
import contextlib
from dataclasses import asdict
from typing import assert_never

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.bridges.native import CloseCode, ErrorCode, NativeBridge
from service.call import Call
from service.errors import CallExists, Overloaded
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Reading, Transition
from service.routes.parts import Parts

log = structlog.get_logger()

START_WITHIN_S = 30.0  # of the connection's beginning
QUIET_S = 300.0  # without a message, and the client is taken for gone
LAST_WORDS_S = 5.0  # for a client to read what is still to be said before the connection closes


class Conversation:
    """One connection from accept to close; what goes wrong in it reaches no other.

    The client is heard, its windows are read, and it is answered, all at once. A client that reads
    slowly keeps only its own answers waiting, and of those the bridge keeps the newest.
    """

    def __init__(self, socket: WebSocket, bridge: NativeBridge, parts: Parts) -> None:
        self._socket = socket
        self._bridge = bridge
        self._parts = parts
        self._call: Call | None = None
        self._to_send = asyncio.Event()
        self._gone = False  # the client
        self._over = False  # nothing will be added to the replies

    async def hold(self) -> None:
        """Until either side ends it.

        Raises:
            Problem: the model is not ready; the answer is HTTP's, before the upgrade.
        """
        self._parts.require_warm()
        try:
            await self._socket.accept()
        except WebSocketDisconnect:  # gone before it was answered
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(self._answer())
                await self._hear(tasks)
                self._over = True
                self._to_send.set()
                if not self._gone:
                    await asyncio.wait((answering,), timeout=LAST_WORDS_S)
                answering.cancel()
        except* Exception as failures:
            self._parts.metrics.errors.inc()
            log.error("call_failed", exc_info=failures)
            self._bridge.error(ErrorCode.INTERNAL, "the service failed; this call is given up")
            self._over = True
            self._to_send.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answer(), LAST_WORDS_S)
        finally:
            if self._call:
                self._parts.calls.close(self._call)
                self._call.abandon("failed")
        if not self._gone:
            # It may just have gone, or take nothing more, not even this.
            with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._socket.close(self._bridge.close_code or CloseCode.NORMAL)

    async def _hear(self, tasks: asyncio.TaskGroup) -> None:
        reading: asyncio.Task[None] | None = None
        start_by_s = asyncio.get_running_loop().time() + START_WITHIN_S
        while self._bridge.close_code is None and not self._gone:
            for event in await self._receive(start_by_s):
                match event:
                    case CallStarted():
                        self._call = self._open(event)
                        reading = tasks.create_task(self._call.run()) if self._call else None
                    case Audio() | Gap():
                        if self._call:
                            await self._call.hear(event)
                    case CallStopped(reason):
                        await self._end(reason)
                    case _:
                        assert_never(event)
            self._to_send.set()
        if reading:
            reading.cancel()

    async def _receive(self, start_by_s: float) -> list[Event]:
        await asyncio.sleep(0)  # messages that are there already come without a pause
        last_s = asyncio.get_running_loop().time() + QUIET_S if self._call else start_by_s
        try:
            async with asyncio.timeout_at(last_s):
                message = await self._socket.receive()
        except TimeoutError:
            if self._call:
                return [CallStopped("quiet")]
            self._bridge.error(
                ErrorCode.NOT_STARTED, f"got no start, expected one within {START_WITHIN_S:g} s"
            )
            return []
        if message["type"] == "websocket.disconnect":
            self._gone = True
            return self._bridge.disconnected()
        text: str | None = message.get("text")
        return self._bridge.receive(message["bytes"] if text is None else text)

    def _open(self, started: CallStarted) -> Call | None:
        hearing = self._parts.calls.hearing
        try:
            call = self._parts.calls.open(started, self._tell)
        except CallExists as refusal:
            self._bridge.error(ErrorCode.CALL_EXISTS, str(refusal))
            return None
        except Overloaded as refusal:
            self._bridge.error(ErrorCode.OVERLOADED, str(refusal))
            return None
        self._bridge.started(
            session=call.session,
            model=hearing.meta.name,
            version=hearing.meta.version,
            hop_s=hearing.hop_s,
        )
        return call

    def _tell(self, said: Reading | Transition) -> None:
        if isinstance(said, Reading):
            self._bridge.reading(said)
        else:
            self._bridge.alert(said)
        self._to_send.set()

    async def _end(self, reason: str) -> None:
        if self._call:
            summary = await self._call.end(reason)
            self._parts.calls.close(self._call)
            self._call = None
            self._bridge.stopped(reason=reason, **asdict(summary))

    async def _answer(self) -> None:
        try:
            while True:
                await self._to_send.wait()
                self._to_send.clear()
                last = self._over
                for message in self._bridge.replies():
                    await self._socket.send_text(message)
                if last:
                    return
        except (WebSocketDisconnect, RuntimeError):  # gone; `_receive` is told so too
            return
