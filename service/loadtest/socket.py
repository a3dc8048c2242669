"""A websocket connection that costs little to send on: no task and no lock a message."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from service.errors import ServiceUnreachable
from service.replay.handshake import handshake_errors

UNREAD_BYTES = 1_000_000  # that the service has not read; beyond that the connection is given up
ABNORMAL = CloseCode.ABNORMAL_CLOSURE


class LoadSocket(asyncio.Protocol):
    """One connection, by the sans-I/O client of `websockets`.

    Messages are written to the transport at once. A service that does not read lets them pile up
    there; beyond `UNREAD_BYTES` the connection is broken off, with the close code 1006.

    Args:
        url: ws:// or wss://.
        headers: beside those of the handshake.
        on_message: is given each message, text as `str`.
        on_end: is given the close code and the reason once, when an open connection has ended.
    """

    def __init__(
        self,
        url: str,
        subprotocols: Sequence[str],
        headers: Mapping[str, str],
        on_message: Callable[[str | bytes], None],
        on_end: Callable[[int, str], None],
    ) -> None:
        self._url = url
        self._headers = headers
        self._protocol = ClientProtocol(
            parse_uri(url), subprotocols=[Subprotocol(name) for name in subprotocols] or None
        )
        self._on_message = on_message
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []  # of a message in several frames
        self._text = False

    @classmethod
    async def connect(
        cls,
        url: str,
        subprotocols: Sequence[str],
        headers: Mapping[str, str],
        on_message: Callable[[str | bytes], None],
        on_end: Callable[[int, str], None],
    ) -> "LoadSocket":
        """Returns an open connection.

        Raises:
            ServiceRefused: the service answered the handshake with an HTTP status.
            ServiceUnreachable: nothing answered, or not as a websocket server.
        """
        loop = asyncio.get_running_loop()
        socket = None
        try:
            with handshake_errors(url):
                address = urlsplit(url)
                secure = address.scheme == "wss"
                socket = cls(url, subprotocols, headers, on_message, on_end)
                connecting = socket
                await loop.create_connection(
                    lambda: connecting,
                    address.hostname or "",
                    address.port or (443 if secure else 80),
                    ssl=True if secure else None,
                )
                await socket._opened
                return socket
        finally:
            if socket is not None and socket._protocol.state is not OPEN:
                socket.abort()

    def send(self, message: str | bytes) -> None:
        """Sends a message; does nothing once the connection is closing."""
        if self._protocol.state is not OPEN or self._transport is None:
            return
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self._write()
        if self._transport.get_write_buffer_size() > UNREAD_BYTES:
            self.abort()

    def close(self) -> None:
        """Begins the closing handshake; `on_end` is called when the connection has ended."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._write()

    def abort(self) -> None:
        """Closes the connection at once, without a closing handshake."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._take_events()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._take_events()

    def connection_lost(self, exc: Exception | None) -> None:
        opened = self._opened.done() and not self._opened.cancelled()
        if not self._opened.done():
            problem = str(exc) if exc else "the connection was closed during the handshake"
            self._opened.set_exception(ServiceUnreachable(self._url, problem))
        elif opened and self._opened.exception() is None:
            closed = self._protocol.close_rcvd
            self._on_end(closed.code if closed else ABNORMAL, closed.reason if closed else "")

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._answered()
            elif isinstance(event, Frame):
                self._receive(event)
        if self._protocol.handshake_exc is not None:
            self._answered()
        self._write()

    def _answered(self) -> None:
        if not self._opened.done():
            if self._protocol.handshake_exc is None:
                self._opened.set_result(None)
            else:
                self._opened.set_exception(self._protocol.handshake_exc)

    def _receive(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._text = frame.opcode is Opcode.TEXT
            self._parts.clear()
        elif frame.opcode is not Opcode.CONT:
            return  # control frames are answered by the protocol
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._on_message(message.decode(errors="replace") if self._text else message)

    def _write(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is None or transport.is_closing():
                return
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
        over = self._protocol.close_rcvd or self._protocol.handshake_exc
        if over and transport is not None:
            transport.close()  # once what is above was sent; a client need not wait for the FIN
