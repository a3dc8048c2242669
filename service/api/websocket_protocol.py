"""The server's websocket protocol: uvicorn's, for the clients that telephony and strangers have."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from service.api.pace import Allowance

SLICE_BYTES = 4_096  # parsed between two turns of the event loop; hundreds of tiny frames
FRAMES_PER_S = 1_000.0  # pings, pongs and fragments, which are no messages; more are read later
MAX_FRAGMENTS = 1_024  # of one message
MAX_UNREAD_BYTES = 1_048_576  # written and not read; a client that only pings could grow it


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Differs from uvicorn's protocol in these points, and calls `on_lost` at its end.

    What is not UTF-8 in a text, such as a caller's name in Latin-1, is replaced by U+FFFD. RFC 6455
    would end the connection, and with it the call.

    A handshake that is answered by an HTTP response is complete. uvicorn logs an error after it, so
    every client could write error entries.

    What has arrived is parsed in slices, and no further than to the next message that the
    application takes: thousands of tiny frames in one read must not hold up other clients. Frames
    that are no messages have a rate, a message has a limit of fragments, and a client that reads
    none of the replies to its pings is disconnected.
    """

    def __init__(self, *args: Any, on_lost: Callable[[], None] = lambda: None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._on_lost = on_lost
        self._backlog = bytearray()  # arrived and not parsed; meanwhile nothing is read
        self._next_slice: asyncio.TimerHandle | None = None
        self._frames_left = Allowance(FRAMES_PER_S, FRAMES_PER_S, self.loop.time())
        self._frames = 0  # of the present slice that are no messages

    def connection_lost(self, exc: Exception | None) -> None:
        """Calls `on_lost`, once, at the end of the connection."""
        if self._next_slice:
            self._next_slice.cancel()
            self._next_slice = None
        self._backlog.clear()
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses what is not too long; keeps the rest and reads no more until it is parsed."""
        self._backlog += data
        if self._next_slice is None:
            self._parse_slice()

    def _parse_slice(self) -> None:
        self._next_slice = None
        if self.transport.is_closing() or (self.read_paused and not self.close_sent):
            return  # `receive` goes on
        data = bytes(self._backlog[:SLICE_BYTES])
        del self._backlog[:SLICE_BYTES]
        self._frames = 0
        super().data_received(data)
        wait_s = self._frames_left.spend(self._frames, self.loop.time())
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.transport.abort()
        elif self._backlog or wait_s:
            self.transport.pause_reading()
            self._next_slice = self.loop.call_later(wait_s, self._parse_slice)
        elif not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """Returns the next message; once all are taken, goes on parsing and reading."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self._go_on()
        return message

    def _go_on(self) -> None:
        if self._next_slice is None:
            if self._backlog:
                self._next_slice = self.loop.call_later(0, self._parse_slice)
            elif not self.transport.is_closing():
                self.transport.resume_reading()

    def handle_ping(self) -> None:
        """Counts a ping; the parser has put its pong among what is to be sent."""
        self._frames += 1
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Counts a pong against the rate of frames that are no messages."""
        self._frames += 1
        super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Counts a fragment; ends the connection if its message has too many, perhaps empty."""
        self._frames += 1
        if self.transport.is_closing():
            return
        if len(self.frames) >= MAX_FRAGMENTS:
            self.frames.clear()
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Passes a whole message on."""
        if self.curr_msg_data_type == "text":
            data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            try:
                data.decode()
            except UnicodeDecodeError:
                self.frames = [data.decode(errors="replace").encode()]
        super().send_receive_event_to_app()

    async def send(self, message: ASGISendEvent) -> None:
        """Sends an ASGI message; the last one of an HTTP response completes the handshake."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
        if self.close_sent:
            self._go_on()
        if self.close_timer and message["type"] == "websocket.close":
            # uvicorn would wait for ever for a client that does not read what is left.
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
