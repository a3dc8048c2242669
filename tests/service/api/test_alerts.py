"""What people do with alerts over HTTP: one winner, clear answers, nothing half-done."""

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.access.database import AccessDatabase
from service.access.roles import Role
from tests.redis_server import RedisServer
from tests.service.api.conftest import (
    STOP,
    Running,
    call,
    ready,
    receive_until,
    running,
    speak,
    start,
    until,
)
from tests.service.api.test_events import cursor, subscribed

Json = dict[str, Any]
ids = (f"action-{number}" for number in itertools.count())
ALWAYS = {f"{e}_{at}": 0 for e in ("anger", "happiness") for at in ("fire_at", "clear_at")}


def fired(server: Running, call_id: str) -> Json:
    """Makes a call and returns its alert of anger, once it has fired and the call has ended."""
    call(server, call_id)
    found: list[Json] = []

    def there() -> bool:
        alerts = server.get("/v1/alerts", params={"limit": 1000}).json()["alerts"]
        found[:] = [a for a in alerts if a["call_id"] == call_id and a["emotion"] == "anger"]
        return bool(found) and found[0]["state"] == "resolved"

    until(there)
    return found[0]


def do(server: Running, alert: Json, action: str, token: str = "", **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with server.client() as client:
        path = f"/v1/alerts/{alert['alert_id']}/{action}"
        return client.post(path, json={"id": next(ids), **body}, headers=headers)


def test_an_alert_is_taken_noted_handed_over_and_every_subscriber_sees_it(
    service: Running,
) -> None:
    alert = fired(service, "handled")
    with subscribed(service, after=cursor(service)) as events:
        steps = [
            do(service, alert, "take"),
            do(service, alert, "note", text="  calls back at noon "),
            do(service, alert, "hand-over", to="Ben"),
        ]
        assert [step.status_code for step in steps] == [200, 200, 200]
        seen = [next(events) for _ in steps]
    assert [event.kind for event in seen] == ["alert"] * 3
    assert [event.data for event in seen] == [step.json() for step in steps]
    last = steps[-1].json()
    assert (last["taken"]["by"], last["taken"]["handed_over_by"]) == ("Ben", "local")
    assert last["note"]["text"] == "calls back at noon"
    refused = do(service, alert, "dismiss", why="not_angry")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    body = refused.json()
    assert (body["reason"], body["by"]) == ("taken", "Ben")
    assert body["detail"] == "got an alert that Ben has taken, expected one that nobody else has"
    assert body["alert"] == last


def test_a_dismissal_is_undone_within_its_time_and_a_repeated_request_changes_nothing(
    service: Running,
) -> None:
    alert = fired(service, "dismissed")
    done = do(service, alert, "dismiss", id="dismissal-1", why="not_the_caller")
    assert done.json()["dismissed"]["why"] == "not_the_caller"
    assert do(service, alert, "dismiss", id="dismissal-1", why="not_the_caller").json() == (
        done.json()
    )
    assert do(service, alert, "undo", undoes="dismissal-1").json()["dismissed"] is None
    again = do(service, alert, "dismiss", id="dismissal-1", why="other")
    assert (again.status_code, again.json()["reason"]) == (409, "id_in_use")
    nothing = do(service, alert, "undo", undoes="dismissal-1")
    assert (nothing.status_code, nothing.json()["reason"]) == (409, "not_the_last")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("take", {"id": "short"}),
        ("take", {"why": "not_angry"}),
        ("hand-over", {"to": " "}),
        ("note", {"text": "x" * 501}),
        ("dismiss", {"why": "wrong"}),
        ("undo", {}),
    ],
)
def test_an_action_that_is_not_whole_is_refused(
    service: Running, action: str, body: dict[str, str]
) -> None:
    response = do(service, {"alert_id": "any"}, action, **body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_an_unknown_alert_is_a_problem(service: Running) -> None:
    response = do(service, {"alert_id": "nobody"}, "take")
    assert response.status_code == 404
    assert response.json()["detail"] == "got alert_id 'nobody', expected one of GET /v1/alerts"


# Two people, on a real Redis.


@pytest.fixture
def people(
    tmp_path: Path, redis_server: RedisServer
) -> Iterator[tuple[Running, RedisServer, dict[str, str]]]:
    """A service with real Redis, and the tokens of two operators and an admin."""
    database = AccessDatabase(tmp_path / "access.sqlite3")
    tokens = {name: database.create_token(name, Role.OPERATOR, None) for name in ("Ada", "Ben")}
    tokens["Cem"] = database.create_token("Cem", Role.ADMIN, None)
    tokens["bridge"] = database.create_token("bridge", Role.BRIDGE, None)
    with running(state_dir=tmp_path, redis_url=redis_server.url, **ALWAYS, hold_s=0) as server:
        yield ready(server), redis_server, tokens


def fire_as(server: Running, tokens: dict[str, str]) -> Json:
    with server.socket(additional_headers={"Authorization": f"Bearer {tokens['bridge']}"}) as it:
        it.send(start("of two"))
        speak(it)
        it.send(STOP)
        receive_until(it)
    headers = {"Authorization": f"Bearer {tokens['Ada']}"}
    until(lambda: bool(server.get("/v1/alerts", headers=headers).json()["alerts"]))
    alerts: list[Json] = server.get("/v1/alerts", headers=headers).json()["alerts"]
    return alerts[0]


def test_two_who_press_at_once_have_one_winner_and_redis_away_is_told_at_once(
    people: tuple[Running, RedisServer, dict[str, str]],
) -> None:
    server, redis, tokens = people
    alert = fire_as(server, tokens)
    with ThreadPoolExecutor(8) as pool:
        names = ["Ada", "Ben"] * 4
        answers = list(pool.map(lambda name: do(server, alert, "take", tokens[name]), names))
    outcomes = {(name, answer.status_code) for name, answer in zip(names, answers, strict=True)}
    winner = next(name for name, status in outcomes if status == 200)
    other = "Ben" if winner == "Ada" else "Ada"
    assert outcomes == {(winner, 200), (other, 409)}
    for answer in answers:
        body = answer.json()
        assert (body["alert"] if answer.status_code == 409 else body)["taken"]["by"] == winner
        assert answer.status_code == 200 or body["by"] == winner

    redis.stop()
    until(lambda: not server.services.store.redis_up)
    away = do(server, alert, "hand-over", tokens[winner], to=other)
    assert away.status_code == 503
    assert away.headers["retry-after"] == "5"
    redis.start()
    until(lambda: server.services.store.redis_up)
    back = do(server, alert, "hand-over", tokens[winner], to=other)
    assert back.json()["taken"]["by"] == other

    refused = do(server, alert, "take-over", tokens[winner])
    assert refused.status_code == 403, "it is for admins"
    over = do(server, alert, "take-over", tokens["Cem"])
    assert over.json()["taken"]["by"] == "Cem"


# Mutes.


def mute(server: Running, **body: Any) -> httpx.Response:
    with server.client() as client:
        return client.post("/v1/mutes", json={"id": next(ids), "until": time.time() + 60, **body})


def test_a_muted_queue_is_told_and_its_alerts_are_flagged(service: Running) -> None:
    with subscribed(service, after=cursor(service)) as events:
        set_ = mute(service, id="mute-of-queue", queue="tests")
        assert set_.status_code == 200
        told = next(events)
    assert (told.kind, told.data) == ("mutes", set_.json())
    assert [(m["mute_id"], m["queue"], m["by"]) for m in set_.json()["mutes"]] == [
        ("mute-of-queue", "tests", "local")
    ]
    call(service, "muted", metadata={"queue": "tests"})
    until(lambda: service.get("/v1/calls/muted").json()["state"] == "ended")
    alerts = service.get("/v1/calls/muted").json()["alerts"]
    assert {alert["queue"] for alert in alerts} == {"tests"}
    assert all(alert["muted_until"] > time.time() for alert in alerts)
    with service.client() as client:
        assert client.delete("/v1/mutes/mute-of-queue").json() == {"mutes": []}
        assert client.delete("/v1/mutes/mute-of-queue").json() == {"mutes": []}
    assert service.get("/v1/mutes").json() == {"mutes": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"queue": "q", "until": 1},
        {"queue": "q", "until": 1e12},
        {"emotion": "boredom"},
        {"queue": "q", "until": "tomorrow"},
    ],
)
def test_a_mute_of_nothing_or_without_an_end_in_reach_is_refused(
    service: Running, body: Json
) -> None:
    response = mute(service, **body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_without_redis_nothing_is_muted(tmp_path: Path) -> None:
    with running(redis_url="redis://127.0.0.1:1/0", state_dir=tmp_path) as server:
        assert mute(server, queue="q").status_code == 503
        assert server.get("/v1/mutes").status_code == 503


# Counts.


def test_dismissals_are_counted_by_day_and_queue(service: Running) -> None:
    call(service, "counted", metadata={"queue": "counted"})
    until(lambda: service.get("/v1/calls/counted").json()["state"] == "ended")
    for alert in service.get("/v1/calls/counted").json()["alerts"]:
        if alert["emotion"] == "anger":
            do(service, alert, "dismiss", why="not_angry")
    counts = service.get("/v1/alerts/summary", params={"zone": "Asia/Tokyo"}).json()["counts"]
    own = {count["emotion"]: count for count in counts if count["queue"] == "counted"}
    assert own["anger"]["fired"] == own["anger"]["dismissed"]["not_angry"] == 1
    assert own["anger"]["false_alarm_share"] == 1
    assert own["happiness"]["false_alarm_share"] == 0
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00+09:00"}
    assert service.get("/v1/alerts/summary", params=past).json() == {"counts": []}


@pytest.mark.parametrize(
    ("name", "value"),
    [("zone", "Nowhere"), ("zone", "../etc/passwd"), ("from", "2020-01-01"), ("to", "later")],
)
def test_a_span_that_cannot_be_is_refused(service: Running, name: str, value: str) -> None:
    response = service.get("/v1/alerts/summary", params={name: value})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
