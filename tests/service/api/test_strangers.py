"""Strangers at the websockets: refused clients write no errors, and get no compression."""

import logging

import pytest
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.service.api.conftest import Running, ready, running
from tests.service.test_connections import connected


@pytest.mark.parametrize(
    ("path", "status"),
    [("/calls/nobody", 404), ("/calls/freeswitch?rate=fast", 400), ("/calls/audiohook", 401)],
)
def test_a_refused_handshake_writes_no_error(
    service: Running, path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(InvalidStatus) as refusal:
        service.socket(path).close()
    assert refusal.value.response.status_code == status
    assert service.get("/healthz").status_code == 200
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/calls/nobody", "unknown_path"),
        ("/calls/freeswitch?rate=fast&caller=%2B4930123", "bad_query"),
        ("/calls/audiohook", "missing"),
        ("/calls/native", "not_ready"),
    ],
)
def test_every_refused_handshake_is_one_kind_of_warning(
    service: Running, path: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ready_or_not = service.services.warm
    if reason == "not_ready":
        ready_or_not.clear()
    try:
        with pytest.raises(InvalidStatus):
            service.socket(path).close()
    finally:
        ready_or_not.set()
    lines = [line for line in capsys.readouterr().out.splitlines() if "handshake_rejected" in line]
    assert len(lines) == 1
    assert f"reason={reason}" in lines[0]
    assert "4930123" not in lines[0]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /%ff?%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /calls/native HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        b"GET /calls/native HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\n"
        b"Upgrade: websocket\r\nX-Name: \xe9\r\n\r\n",
    ],
    ids=["upgrade", "address", "escapes", "TLS", "key", "header"],
)
def test_no_request_writes_an_error(
    service: Running, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), connected(service) as client:
        client.sendall(request_)
        assert client.recv(100).startswith(b"HTTP/1.1 ")
    assert [record.getMessage() for record in caplog.records] == []


def test_compression_is_not_negotiated(service: Running) -> None:
    offer = [ClientPerMessageDeflateFactory()]
    with service.socket(compression=None, extensions=offer) as socket:
        assert socket.protocol.extensions == []


def test_refusals_of_one_kind_are_logged_ten_times_a_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(native_token="t" * 32) as server:
        ready(server)
        for _ in range(12):
            with pytest.raises(InvalidStatus):
                server.socket().close()
    assert capsys.readouterr().out.count("handshake_rejected") == 10
