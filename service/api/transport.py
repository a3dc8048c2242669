"""What carries a connection's messages."""

from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect


class TransportClosed(Exception):
    """The client has disconnected; from then on `receive` returns None."""


class Transport(Protocol):
    """An open connection to a client."""

    async def receive(self) -> str | bytes | None:
        """Returns the next message, or the next bytes of a stream; None after a disconnect."""

    async def send(self, message: str | bytes) -> None:
        """Sends a message; does not return while the client reads too slowly.

        Raises:
            TransportClosed: the client has disconnected.
        """

    async def close(self, code: int, reason: str) -> None:
        """Closes the connection from the service's end.

        Raises:
            TransportClosed: the client has disconnected.
        """


class WebSocketTransport:
    """A websocket that has been accepted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | bytes | None = message.get("text")
        return message["bytes"] if text is None else text

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
