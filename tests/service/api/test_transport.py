import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from service.api.transport import TransportClosed, WebSocketTransport


async def transport(
    *incoming: Message, fails: bool = False
) -> tuple[WebSocketTransport, list[Message]]:
    """An accepted socket, and what is sent over it."""
    messages: list[Message] = [{"type": "websocket.connect"}, *incoming]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        if fails and message["type"] != "websocket.accept":
            raise OSError("as the server says it")
        sent.append(message)

    socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await socket.accept()
    del sent[:]
    return WebSocketTransport(socket), sent


async def test_texts_and_bytes_come_as_what_they_are_and_the_end_as_none() -> None:
    carried, _ = await transport(
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"\x00"},
        {"type": "websocket.disconnect", "code": 1000},
    )
    assert [await carried.receive() for _ in range(3)] == ["", b"\x00", None]


async def test_texts_and_bytes_leave_as_what_they_are() -> None:
    carried, sent = await transport()
    await carried.send("text")
    await carried.send(b"bytes")
    await carried.close(1008, "because")
    assert sent == [
        {"type": "websocket.send", "text": "text"},
        {"type": "websocket.send", "bytes": b"bytes"},
        {"type": "websocket.close", "code": 1008, "reason": "because"},
    ]


async def test_a_client_that_is_gone_is_told_by_one_name() -> None:
    carried, _ = await transport(fails=True)
    with pytest.raises(TransportClosed):
        await carried.send("text")
    with pytest.raises(TransportClosed):
        await carried.close(1000, "")
