import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from service.api.transport import TransportClosed, WebSocketTransport


async def open_transport(
    *incoming: Message, fails: bool = False
) -> tuple[WebSocketTransport, list[Message]]:
    """Returns the transport of an accepted websocket, and the messages that it sends."""
    messages: list[Message] = [{"type": "websocket.connect"}, *incoming]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        if fails and message["type"] != "websocket.accept":
            raise OSError("as raised by the server")
        sent.append(message)

    socket = WebSocket({"type": "websocket", "headers": []}, receive, send)
    await socket.accept()
    del sent[:]
    return WebSocketTransport(socket), sent


async def test_texts_and_bytes_are_received_unchanged_and_a_disconnect_as_none() -> None:
    transport, _ = await open_transport(
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"\x00"},
        {"type": "websocket.disconnect", "code": 1000},
    )
    assert [await transport.receive() for _ in range(3)] == ["", b"\x00", None]


async def test_texts_and_bytes_are_sent_unchanged() -> None:
    transport, sent = await open_transport()
    await transport.send("text")
    await transport.send(b"bytes")
    await transport.close(1008, "because")
    assert sent == [
        {"type": "websocket.send", "text": "text"},
        {"type": "websocket.send", "bytes": b"bytes"},
        {"type": "websocket.close", "code": 1008, "reason": "because"},
    ]


async def test_a_disconnected_client_raises_one_error_for_send_and_close() -> None:
    transport, _ = await open_transport(fails=True)
    with pytest.raises(TransportClosed):
        await transport.send("text")
    with pytest.raises(TransportClosed):
        await transport.close(1000, "")
