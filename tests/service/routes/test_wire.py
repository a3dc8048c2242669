import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from service.routes.wire import Gone, WebSocketWire


async def wire(*incoming: Message, fails: bool = False) -> tuple[WebSocketWire, list[Message]]:
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
    return WebSocketWire(socket), sent


async def test_texts_and_bytes_come_as_what_they_are_and_the_end_as_none() -> None:
    carried, _ = await wire(
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"\x00"},
        {"type": "websocket.disconnect", "code": 1000},
    )
    assert [await carried.receive() for _ in range(3)] == ["", b"\x00", None]


async def test_texts_and_bytes_leave_as_what_they_are() -> None:
    carried, sent = await wire()
    await carried.send("text")
    await carried.send(b"bytes")
    await carried.close(1008, "because")
    assert sent == [
        {"type": "websocket.send", "text": "text"},
        {"type": "websocket.send", "bytes": b"bytes"},
        {"type": "websocket.close", "code": 1008, "reason": "because"},
    ]


async def test_a_client_that_is_gone_is_told_by_one_name() -> None:
    carried, _ = await wire(fails=True)
    with pytest.raises(Gone):
        await carried.send("text")
    with pytest.raises(Gone):
        await carried.close(1000, "")
