"""The server's websocket protocol: uvicorn's, for the clients that telephony really has."""

from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Differs from uvicorn's protocol in two points, and calls `on_lost` at its end.

    What is not UTF-8 in a text, such as a caller's name in Latin-1, is replaced by U+FFFD. RFC 6455
    would end the connection, and with it the call.

    A handshake that is answered by an HTTP response is complete. uvicorn logs an error after it, so
    every client could write error entries.
    """

    def __init__(self, *args: Any, on_lost: Callable[[], None] = lambda: None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._on_lost = on_lost

    def connection_lost(self, exc: Exception | None) -> None:
        """Calls `on_lost`, once, at the end of the connection."""
        self._on_lost()
        super().connection_lost(exc)

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
