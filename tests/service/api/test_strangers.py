"""Strangers at the websockets: refused clients write no errors, and get no compression."""

import logging

import pytest
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.service.api.conftest import Running, ready, running


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
