"""What carries a connection."""

from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect


class TransportClosed(Exception):
    """The client is gone; `receive` will say so too."""


class Transport(Protocol):
    """One connection, open."""

    async def receive(self) -> str | bytes | None:
        """The next message, or the next bytes; None when the client is gone."""

    async def send(self, message: str | bytes) -> None:
        """Waits while the client reads too slowly.

        Raises:
            Gone
        """

    async def close(self, code: int, reason: str) -> None:
        """The service's end of it.

        Raises:
            Gone
        """


class WebSocketTransport:
    """A websocket that has been accepted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        said: str | bytes | None = message.get("text")
        return message["bytes"] if said is None else said

    async def send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise TransportClosed from error

    async def close(self, code: int, reason: str) -> None:
        try:
            await self._socket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise TransportClosed from error
