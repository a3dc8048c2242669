from typing import Any
from urllib.parse import quote

import pytest

from tests.service.api.conftest import (
    STOP,
    Running,
    call,
    readings,
    receive_until,
    speak,
    start,
    until,
)


def ended_call(server: Running, call_id: str) -> dict[str, Any]:
    """Waits until the store has the end of the call, and returns the call."""
    path = f"/v1/calls/{quote(call_id, safe='')}"

    def ended() -> bool:
        response = server.get(path)
        return response.status_code == 200 and response.json()["state"] == "ended"

    until(ended)
    body: dict[str, Any] = server.get(path).json()
    return body


def test_a_call_is_stored_as_its_client_received_it(service: Running) -> None:
    messages = call(service, "stored", metadata={"campaign": "7", "queue": "sales"})
    body = ended_call(service, "stored")
    assert body["call_id"] == "stored"
    assert body["session"] == messages[0]["session"]
    assert body["metadata"] == {"campaign": "7"}
    assert body["facts"] == dict.fromkeys(body["facts"]) | {"queue": "sales"}
    assert body["consent"] == "unknown"
    assert (body["bridge"], body["tracks"], body["reason"]) == ("native", ["caller"], "stop")
    assert body["duration_s"] == messages[-1]["summary"]["duration_s"]
    assert [r["number"] for r in body["readings"]] == [r["number"] for r in readings(messages)]
    for stored, received in zip(body["readings"], readings(messages), strict=True):
        assert stored["end_s"] == pytest.approx(received["end_s"], abs=1e-3)
        assert stored["probabilities"] == pytest.approx(received["probabilities"], abs=1e-4)
    assert body["last"]["caller"] == body["readings"][-1]
    fired = {m["alert_id"] for m in messages if m["type"] == "alert" and m["state"] == "firing"}
    assert {alert["alert_id"] for alert in body["alerts"]} == fired
    assert all(alert["text"].startswith("sounds ") for alert in body["alerts"])


@pytest.mark.parametrize("call_id", ["a/b", "a//b/", "50% of a b", "ä?b#c", "%2F", "...", "a&b=c"])
def test_any_call_id_finds_its_call(service: Running, call_id: str) -> None:
    call(service, call_id)
    assert ended_call(service, call_id)["call_id"] == call_id


def test_slashes_of_a_call_id_need_no_encoding(service: Running) -> None:
    call(service, "trunk/7/4711")
    ended_call(service, "trunk/7/4711")
    assert service.get("/v1/calls/trunk/7/4711").json()["call_id"] == "trunk/7/4711"


def test_an_unknown_call_is_a_problem(service: Running) -> None:
    response = service.get("/v1/calls/no/such%20call")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "got call_id 'no/such call', expected one of GET /v1/calls",
        "got": "call_id 'no/such call'",
        "expected": "one of GET /v1/calls",
    }


def test_live_calls_come_first_and_then_the_newest(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("long-lived"))
        receive_until(socket, "started")
        call(service, "earlier")
        ended_call(service, "earlier")
        call(service, "later")
        ended_call(service, "later")
        page = service.get("/v1/calls").json()
        assert page["embedded"] is True
        assert [c["call_id"] for c in page["calls"][:3]] == ["long-lived", "later", "earlier"]
        assert [c["state"] for c in page["calls"][:3]] == ["live", "ended", "ended"]
        first = service.get("/v1/calls", params={"limit": 1}).json()["calls"]
        assert [c["call_id"] for c in first] == ["long-lived"]
        socket.send(STOP)
        receive_until(socket)


def test_a_live_call_shows_its_readings_while_it_lasts(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("under way"))
        speak(socket)
        receive_until(socket, "reading")
        until(lambda: service.get("/v1/calls/under way").json()["readings"] != [])
        view = service.get("/v1/calls/under way").json()
        assert view["state"] == "live"
        assert view["duration_s"] > 0
        assert view["reason"] is None
        socket.send(STOP)
        receive_until(socket)


def test_alerts_come_in_pages_newest_first(service: Running) -> None:
    for number in range(3):  # an anger and a happiness alert each
        call(service, f"paged-{number}")
        ended_call(service, f"paged-{number}")
    whole = service.get("/v1/alerts", params={"limit": 1000}).json()
    assert whole["next"] is None
    assert len(whole["alerts"]) >= 6
    fired_at = [alert["at"] for alert in whole["alerts"]]
    assert fired_at == sorted(fired_at, reverse=True)
    assert {alert["state"] for alert in whole["alerts"][:6]} == {"resolved"}

    pages, before = [], None
    while before is not None or not pages:
        params = {"limit": 4} | ({"before": before} if before else {})
        page = service.get("/v1/alerts", params=params).json()
        pages.append(page["alerts"])
        before = page["next"]
    assert [len(page) for page in pages[:-1]] == [4] * (len(pages) - 1)
    assert [alert for page in pages for alert in page] == whole["alerts"]


def test_a_page_after_an_alert_that_is_gone_is_empty(service: Running) -> None:
    page = service.get("/v1/alerts", params={"before": "deleted"}).json()
    assert page == {"alerts": [], "next": None}


def test_calls_and_readings_come_in_pages(service: Running) -> None:
    for number in range(3):
        call(service, f"in-pages/{number}")
        ended_call(service, f"in-pages/{number}")
    first = service.get("/v1/calls", params={"limit": 2}).json()
    second = service.get("/v1/calls", params={"limit": 2, "before": first["next"]}).json()
    ids = [body["call_id"] for page in (first, second) for body in page["calls"]]
    assert ids[:3] == ["in-pages/2", "in-pages/1", "in-pages/0"]
    assert len(ids) == 4

    path = "/v1/calls/in-pages/0"
    whole = service.get(path).json()
    assert len(whole["readings"]) > 3
    assert whole["next"] is None
    pages, before = [], None
    while before is not None or not pages:
        params = {"limit": 3} | ({"before": before} if before else {})
        body = service.get(path, params=params).json()
        pages.insert(0, body["readings"])
        before = body["next"]
    assert [reading for page in pages for reading in page] == whole["readings"]
    assert [len(page) for page in pages[1:]] == [3] * (len(pages) - 1)


@pytest.mark.parametrize("path", ["/v1/calls", "/v1/calls/anything"])
def test_a_page_after_what_is_no_page_is_refused(service: Running, path: str) -> None:
    response = service.get(path, params={"before": "no page"})
    assert response.status_code == 400
    assert response.json()["detail"] == "got 'no page', expected `next` of an earlier page"


@pytest.mark.parametrize("path", ["/v1/calls", "/v1/calls/anything", "/v1/alerts"])
@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", ""])
def test_an_invalid_limit_is_refused(service: Running, path: str, limit: str) -> None:
    response = service.get(path, params={"limit": limit})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith(f"got limit {limit!r}: ")


@pytest.mark.parametrize(
    "target",
    ["/calls?limit=3", "/calls/trunk/7%2F4711%20a", "/alerts", "/events?after=0-0&x=%20"],
)
def test_the_paths_before_v1_redirect(service: Running, target: str) -> None:
    response = service.get(target, follow_redirects=False)
    assert response.status_code == 308
    assert response.headers["location"] == f"/v1{target}"
