"""Connections and transports that misbehave, for the tests of connections."""

import contextlib
import json
import socket as sockets
import struct
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from service.api import connection as connection
from service.api.transport import TransportClosed
from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running, until


def until_close(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """Returns the messages that still arrive and the code of the close; 1006 without a close."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(socket.recv(timeout=ENOUGH_S)))
    assert socket.close_code is not None
    return messages, socket.close_code


UPGRADE = (
    b"GET /calls/native HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


TEXT, BINARY = 0x81, 0x82


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("!BBH", kind, 0x80 | 126, len(data)) + bytes(4) + data  # masked with zeros


def raw_connection(server: Running) -> sockets.socket:
    """Opens a TCP connection and sends the upgrade request; the response is not read."""
    host, port = server.address.split(":")
    socket = sockets.create_connection((host, int(port)), timeout=ENOUGH_S)
    socket.sendall(UPGRADE)
    return socket


def reset(socket: sockets.socket) -> None:
    """Breaks the connection with a TCP reset, as after a power failure of the client."""
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close()


@contextlib.contextmanager
def leaves_nothing(server: Running) -> Iterator[None]:
    """Asserts that after the block no call is live and no task is left."""
    server.get("/healthz")
    before = server.tasks()
    yield
    until(lambda: len(server.services.calls) == 0)
    until(lambda: server.tasks() <= before)


class ScriptedTransport:
    """A transport that delivers these messages at once; every `send` fails."""

    def __init__(self, *messages: str | bytes) -> None:
        self.messages = [*messages]

    async def receive(self) -> str | bytes | None:
        return self.messages.pop(0) if self.messages else None

    async def send(self, message: str | bytes) -> None:
        raise TransportClosed

    async def close(self, code: int, reason: str) -> None:
        raise TransportClosed
