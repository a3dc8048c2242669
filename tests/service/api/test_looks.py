"""Who looked at calls and alerts is in the audit."""

from typing import Any

import pytest

from service.api import calls
from tests.service.api.conftest import STOP, Running, call, receive_until, speak, start, until
from tests.service.api.test_calls import ended_call


def looks(service: Running, session: str | None = None) -> list[dict[str, Any]]:
    params = {"session": session} if session else {}
    entries = service.get("/v1/audit", params=params).json()["entries"]
    return [entry for entry in entries if entry["action"] == "looked_at"]


def test_a_look_at_a_call_is_recorded_once(service: Running) -> None:
    session = call(service, "looked-at")[0]["session"]
    ended_call(service, "looked-at")
    service.get("/v1/calls/looked-at")
    [look] = looks(service, session)
    assert (look["name"], look["session"], look["detail"]) == ("local", session, None)


def test_what_is_recent_of_a_call_is_no_look_at_it_unless_the_call_is_over(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = {"recent": True}
    with service.socket() as socket:
        socket.send(start("recent"))
        session = receive_until(socket, "started")[0]["session"]
        speak(socket)
        until(lambda: service.get("/v1/calls/recent", params=recent).json().get("readings"))
        monkeypatch.setattr(calls, "RECENT_S", -60.0)  # as if a time had passed
        body = service.get("/v1/calls/recent", params=recent).json()
        assert (body["state"], body["readings"], body["next"]) == ("live", [], None)
        assert looks(service, session) == []
        socket.send(STOP)
        receive_until(socket)
    until(lambda: looks_when_ended(service, session))


def looks_when_ended(service: Running, session: str) -> bool:
    state = service.get("/v1/calls/recent", params={"recent": True}).json()["state"]
    found = looks(service, session)
    assert state == "ended" or not found
    return len(found) == 1


def test_looks_at_alerts_are_recorded_by_list_and_call(service: Running) -> None:
    session = call(service, "alerted")[0]["session"]
    body = ended_call(service, "alerted")
    assert body["alerts"]
    for _ in range(2):
        service.get("/v1/alerts")
        service.get("/v1/alerts", params={"call_id": "alerted"})
    details = [look["detail"] for look in looks(service) if look["session"] is None]
    assert sorted(details) == ["alerts", "history"]
    assert len(looks(service, session)) == 1
