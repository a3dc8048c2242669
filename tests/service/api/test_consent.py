"""Consent and erasure over HTTP."""

import json

import pytest

from tests.service.api.conftest import (
    STOP,
    Running,
    call,
    receive_until,
    speak,
    start,
    until,
)
from tests.service.api.test_calls import ended_call

NUMBER = "+49301234567"


def put(service: Running, call_id: str, consent: str) -> int:
    with service.client() as client:
        return client.put(f"/v1/calls/{call_id}/consent", json={"consent": consent}).status_code


def audited(service: Running) -> list[tuple[str, str]]:
    entries = service.get("/v1/audit").json()["entries"]
    return [(entry["action"], entry["session"]) for entry in entries]


def test_a_refusal_of_a_live_call_ends_its_analysis_and_leaves_one_audit_entry(
    service: Running,
) -> None:
    with service.socket() as socket:
        socket.send(start("refused", metadata={"caller_number": NUMBER}))
        (begun,) = receive_until(socket, "started")
        speak(socket)
        receive_until(socket, "reading")
        until(lambda: service.get("/v1/calls/refused").status_code == 200)
        assert put(service, "refused", "refused") == 204
        assert service.get("/v1/calls/refused").status_code == 404
        assert audited(service)[0] == ("refused", begun["session"])
        speak(socket)
        socket.send(STOP)
        rest = receive_until(socket)
    assert rest[-1]["summary"]["readings"] == 0
    assert service.get("/v1/calls/refused").status_code == 404
    for path in ("/v1/calls", "/v1/alerts", "/v1/audit"):
        told = service.get(path).text
        assert NUMBER not in told
        assert '"refused",' not in told.replace('"action":"refused",', "")


def test_consent_is_shown_with_the_call(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("agreed"))
        receive_until(socket, "started")
        until(lambda: service.get("/v1/calls/agreed").status_code == 200)
        assert put(service, "agreed", "given") == 204
        until(lambda: service.get("/v1/calls/agreed").json()["consent"] == "given")
        assert audited(service)[0][0] == "consented"
        socket.send(STOP)
        receive_until(socket)
    ended_call(service, "agreed")
    assert put(service, "agreed", "given") == 409


def test_a_purged_call_is_gone_with_its_alerts_and_events(service: Running) -> None:
    messages = call(service, "trunk/7 x", metadata={"caller_number": NUMBER})
    ended_call(service, "trunk/7 x")
    with service.client() as client:
        assert client.delete("/v1/calls/trunk/7 x").status_code == 204
        assert client.delete("/v1/calls/trunk/7 x").status_code == 404
    assert audited(service)[0] == ("purged", messages[0]["session"])
    assert service.get("/v1/calls/trunk/7 x").status_code == 404
    alerts = service.get("/v1/alerts", params={"limit": 1000}).json()["alerts"]
    assert "trunk/7 x" not in json.dumps(alerts)


@pytest.mark.parametrize("body", [{"consent": "unknown"}, {"consent": 1}, {}, []])
def test_another_decision_is_refused(service: Running, body: object) -> None:
    with service.client() as client:
        assert client.put("/v1/calls/x/consent", json=body).status_code == 400


def test_a_call_that_nobody_knows_is_not_found(service: Running) -> None:
    assert put(service, "nobody", "given") == 404
    assert put(service, "nobody", "refused") == 404
