import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer
from tests.service.api.conftest import (
    STOP,
    Running,
    call,
    readings,
    ready,
    receive_until,
    running,
    start,
    until,
)


@dataclass(frozen=True)
class Event:
    id: str
    kind: str
    data: dict[str, Any]

    @property
    def order(self) -> tuple[int, int]:
        ms, number = self.id.split("-")
        return int(ms), int(number)


@contextlib.contextmanager
def subscribed(
    server: Running, last: str | None = None, **params: str
) -> Iterator[Iterator[Event]]:
    """Yields the events of a subscription; a stream that is silent for 10 s raises a timeout."""
    headers = {"Last-Event-ID": last} if last else {}
    with (
        server.client() as client,
        client.stream("GET", "/v1/events", params=params, headers=headers) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield (event for event in parsed(response.iter_lines()) if event.kind != "heartbeat")


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}


def until_end_of(events: Iterator[Event], call_id: str) -> list[Event]:
    """Returns the events of one call, up to its end."""
    events_of_call = []
    for event in events:
        if event.data["call_id"] == call_id:
            events_of_call.append(event)
            if event.kind == "call_ended":
                return events_of_call
    raise AssertionError(f"the stream ended before call {call_id}")


def cursor(server: Running) -> str:
    id: str = server.get("/v1/calls").json()["cursor"]
    return id


def test_a_call_is_followed_from_its_start_to_its_end(service: Running) -> None:
    with subscribed(service, after=cursor(service)) as events:
        messages = call(service, "followed")
        own = until_end_of(events, "followed")
    kinds = [event.kind for event in own]
    assert kinds[0] == "call_started"
    assert kinds[-1] == "call_ended"
    assert set(kinds[1:-1]) == {"reading", "alert"}
    assert [e.data["number"] for e in own if e.kind == "reading"] == [
        r["number"] for r in readings(messages)
    ]
    alerts = [(m["alert_id"], m["state"]) for m in messages if m["type"] == "alert"]
    assert [(e.data["alert_id"], e.data["state"]) for e in own if e.kind == "alert"] == alerts
    assert own[0].data["state"] == "live"
    assert own[-1].data["reason"] == "stop"
    assert sorted(own, key=lambda event: event.order) == own
    assert len({event.id for event in own}) == len(own)


def test_the_cursor_of_the_calls_leaves_no_gap(service: Running) -> None:
    after = cursor(service)
    call(service, "unwatched")
    with subscribed(service, after=after) as events:
        own = until_end_of(events, "unwatched")
    assert own[0].kind == "call_started"


def test_a_client_that_reconnects_gets_the_missing_events_and_none_twice(service: Running) -> None:
    after = cursor(service)
    call(service, "interrupted")
    with subscribed(service, after=after) as events:
        whole = until_end_of(events, "interrupted")
    # A browser that reconnects sends both: its first `after`, and the id of the last event.
    with subscribed(service, last=whole[2].id, after=after) as events:
        rest = until_end_of(events, "interrupted")
    assert rest == whole[3:]


def test_without_a_cursor_only_new_events_are_sent(service: Running) -> None:
    call(service, "past")
    until(lambda: service.get("/v1/calls/past").json()["state"] == "ended")
    until(lambda: service.services.store.feed.position == cursor(service))
    with subscribed(service) as events:
        call(service, "present")
        first = next(events)
    assert (first.kind, first.data["call_id"]) == ("call_started", "present")


def test_a_cursor_after_the_last_event_gets_a_resync(service: Running) -> None:
    call(service, "something")
    with subscribed(service, after="9999999999999-0") as events:
        event = next(events)
    assert (event.kind, event.data) == ("resync", {})


@pytest.mark.parametrize(
    "text", ["nonsense", "1", "1-", "-1-1", "1-1-1", "18446744073709551616-0", "", "+"]
)
def test_a_cursor_that_is_not_an_event_id_is_refused(service: Running, text: str) -> None:
    response = service.get("/v1/events", params={"after": text})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"].startswith(f"got {text!r}, expected the id of an event")


def test_a_last_event_id_that_is_not_an_event_id_is_refused(service: Running) -> None:
    response = service.get("/v1/events", headers={"Last-Event-ID": "nonsense"})
    assert response.status_code == 400


def test_a_subscriber_that_disconnects_leaves_no_task(service: Running) -> None:
    service.get("/healthz")
    before = service.tasks()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(subscribed(service))
        until(lambda: service.tasks() > before + 10)
    until(lambda: service.tasks() <= before + 1)  # the library's task that watches for a stop stays


def test_a_subscriber_that_never_reads_delays_no_other(service: Running) -> None:
    with subscribed(service, after=cursor(service)) as events, subscribed(service):
        for number in range(5):
            call(service, f"unread-{number}")
            own = until_end_of(events, f"unread-{number}")
            assert own[0].kind == "call_started"


def test_a_client_of_http_1_0_gets_the_same_events_without_chunks(service: Running) -> None:
    host, port = service.address.split(":")
    with socket.create_connection((host, int(port)), timeout=ENOUGH_S) as client:
        client.sendall(b"GET /v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        text = client.makefile(encoding="utf-8", newline="\r\n")
        head = list(iter(lambda: text.readline().strip(), ""))
        assert "transfer-encoding: chunked" not in head
        events = parsed(line.strip() for line in text)
        assert next(events).kind == "heartbeat"
        call(service, "of-old")
        own = until_end_of((e for e in events if e.kind != "heartbeat"), "of-old")
    assert own[0].kind == "call_started"


@contextlib.contextmanager
def heartbeats(server: Running, **params: str) -> Iterator[Iterator[Event]]:
    """Yields all events of a subscription, the heartbeats too."""
    with (
        server.client() as client,
        client.stream("GET", "/v1/events", params=params) as response,
    ):
        assert response.status_code == 200, response.read()
        yield parsed(response.iter_lines())


def test_a_heartbeat_says_how_true_the_events_are(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("beating"))
        receive_until(socket, "started")
        with heartbeats(service) as events:
            first = next(events)
        socket.send(STOP)
        receive_until(socket)
    assert (first.id, first.kind) == ("", "heartbeat")
    beat = first.data
    assert (beat["redis"], beat["live_calls"], beat["every_s"]) == ("up", 1, 5)
    assert beat["started_at"] < beat["at"] <= time.time()
    assert beat["oldest_waiting_write_s"] < 5
    assert beat["unconfirmed"] == []
    with heartbeats(service) as events:
        assert next(events).data["start_id"] == beat["start_id"]


def test_while_redis_is_away_heartbeats_go_on_and_nothing_is_missed_after_it(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with running(redis_url=redis_server.url, state_dir=tmp_path) as server:
        ready(server)
        until(lambda: server.get("/v1/calls").status_code == 200)
        after = cursor(server)
        with heartbeats(server, after=after) as open_since_before:
            assert next(open_since_before).data["redis"] == "up"
            redis_server.stop()
            until(lambda: not server.services.store.redis_up)
            call(server, "meanwhile")
            with heartbeats(server, after=after) as events:
                beat = next(events).data
                assert (beat["redis"], beat["live_calls"]) == ("away", 0)
                assert next(events).data["redis"] == "away", "the first of those every 5 s"
                assert next(e for e in open_since_before if e.kind == "heartbeat")
                redis_server.start()
                for told in (events, open_since_before):
                    own = until_end_of((e for e in told if e.kind != "heartbeat"), "meanwhile")
                    assert own[0].kind == "call_started"
