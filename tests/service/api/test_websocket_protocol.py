import json

import pytest

from model.audio import mulaw_encode
from service.api.websocket_protocol import MAX_FRAGMENTS
from tests.service.api.clients import BINARY, TEXT, frame, raw_connection
from tests.service.api.conftest import SPOKEN, STOP, Running, call, start, until

pytestmark = pytest.mark.usefixtures("no_error_logged")


def test_a_text_that_is_not_utf_8_does_not_cost_the_call(service: Running) -> None:
    text = start("latin-1", metadata={"name": "NAME"}).encode().replace(b"NAME", b"Jos\xe9")
    with raw_connection(service) as connection:
        assert b" 101 " in connection.recv(4_096)
        connection.sendall(frame(TEXT, text))
        until(lambda: service.get("/v1/calls/latin-1").status_code == 200)
        connection.sendall(frame(TEXT, STOP.encode()))
    kept = json.dumps(service.get("/v1/calls/latin-1").json(), ensure_ascii=False)
    assert "Jos\ufffd" in kept


EMPTY_PING = bytes((0x89, 0x80, 0, 0, 0, 0))  # masked with zeros
EMPTY_TEXT_BEGINS = bytes((0x01, 0x80, 0, 0, 0, 0))
EMPTY_FRAGMENT = bytes((0x00, 0x80, 0, 0, 0, 0))


def test_a_flood_of_pings_is_read_slowly_and_calls_go_on(service: Running) -> None:
    flood = raw_connection(service)
    try:
        assert flood.recv(1000).startswith(b"HTTP/1.1 101 ")
        flood.settimeout(1)
        with pytest.raises(TimeoutError):
            flood.sendall(EMPTY_PING * 4_000_000)  # replies are not read
        assert call(service, "beside pings")[-1]["summary"]["readings"] > 2
    finally:
        flood.close()


def test_a_message_of_endless_empty_fragments_ends_its_connection(service: Running) -> None:
    with raw_connection(service) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.sendall(EMPTY_TEXT_BEGINS + EMPTY_FRAGMENT * (MAX_FRAGMENTS + 1))
        closed = b""
        while received := client.recv(1000):
            closed += received
    assert closed[2:4] == (1009).to_bytes(2, "big")


def test_all_of_many_small_messages_that_come_at_once_are_heard(service: Running) -> None:
    audio = mulaw_encode(SPOKEN).tobytes()
    pieces = [audio[at : at + 80] for at in range(0, len(audio), 80)]
    with raw_connection(service) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.sendall(
            frame(TEXT, start("pieces").encode())
            + b"".join(frame(BINARY, piece) for piece in pieces)
            + frame(TEXT, STOP.encode())
        )
        received = b""
        while b'"stopped"' not in received:
            received += client.recv(65_536)
    assert f'"duration_s": {len(SPOKEN) / 8000}' in received.decode(errors="replace")
