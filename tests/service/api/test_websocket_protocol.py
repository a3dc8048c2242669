import json

import pytest

from tests.service.api.clients import TEXT, frame, raw_connection
from tests.service.api.conftest import STOP, Running, start, until

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
