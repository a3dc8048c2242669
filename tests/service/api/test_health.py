import time
from pathlib import Path

import pytest
from redis import Redis

from service.store.keys import call_key
from service.store.outbox import FILE_NAME
from service.telephony.providers import PROVIDERS
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
from tests.small_disk import small_disk


def test_healthz_names_the_model_that_runs(service: Running) -> None:
    meta = service.services.scorer.meta
    assert service.get("/healthz").json() == {
        "status": "ok",
        "model": {"name": meta.name, "version": meta.version, "commit": meta.commit},
        "device": service.services.scorer.device,
        "embedded": True,
    }


def test_readyz_is_200_when_the_service_can_take_calls(service: Running) -> None:
    response = service.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "model_warm": True,
        "not_stopping": True,
        "room_for_calls": True,
        "writes_kept": True,
        "degraded": [],
    }


def test_readyz_is_503_until_the_model_is_warm(cold: Running) -> None:
    response = cold.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "model_warm": False,
        "not_stopping": True,
        "room_for_calls": True,
        "writes_kept": True,
        "degraded": [],
    }
    assert cold.get("/healthz").status_code == 200


def degraded(server: Running) -> list[str]:
    problems = server.get("/readyz").json()["degraded"]
    assert all(time.time() - 60 < problem["since"] <= time.time() for problem in problems)
    return [problem["what"] for problem in problems]


def test_without_redis_calls_are_taken_and_readyz_says_what_is_degraded(tmp_path: Path) -> None:
    away = {"redis_url": "redis://127.0.0.1:1/0", "state_dir": tmp_path, "drain_s": 1}
    with running(**away) as server:
        ready(server)
        until(lambda: degraded(server) != [])
        [problem] = degraded(server)
        assert problem.startswith("Redis does not reply: ")
        assert server.get("/healthz").status_code == 200
        for path in ("/v1/calls", "/v1/calls/x", "/v1/alerts"):
            problem = server.get(path)
            assert problem.status_code == 503
            assert problem.json()["detail"].startswith("got no answer from Redis")
        messages = call(server, "without Redis")
        assert len(readings(messages)) == messages[-1]["summary"]["readings"] > 0
        assert server.metric("kanjo_redis_up") == 0
        # Start, end, readings and transitions are all pending.
        alerts = [message for message in messages if message["type"] == "alert"]
        pending = 2 + len(readings(messages)) + len(alerts)
        assert server.metric("kanjo_outbox_pending_writes") == pending
        assert server.metric("kanjo_oldest_pending_write_seconds") > 0
        assert server.metric("kanjo_problems") == 1
        assert server.get("/readyz").status_code == 200


def test_readyz_names_a_redis_that_replies_and_takes_no_writes(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = {"redis_url": redis_server.url, "state_dir": tmp_path, "drain_s": 1}
    with running(**settings) as server, Redis.from_url(redis_server.url) as redis:
        ready(server)
        until(lambda: server.metric("kanjo_redis_up") == 1)
        assert degraded(server) == []
        redis.config_set("maxmemory", 1)
        until(lambda: degraded(server) != [])  # though there is nothing to write
        assert degraded(server)[0].startswith("Redis refuses writes: OOM ")
        assert server.metric("kanjo_redis_up") == 0
        assert server.get("/readyz").status_code == 200
        redis.config_set("maxmemory", 0)
        until(lambda: degraded(server) == [])


def test_readyz_is_503_when_neither_redis_nor_the_disk_takes_writes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1024) as disk:
        disk.read_only(True)
        away = {"redis_url": "redis://127.0.0.1:1/0", "state_dir": disk.folder, "drain_s": 1}
        with running(**away) as server:
            until(lambda: server.services.warm.is_set())
            until(lambda: server.get("/readyz").status_code == 503)
            assert server.get("/readyz").json()["writes_kept"] is False
            assert {"Redis", "disk:"} <= {what.split()[0] for what in degraded(server)}
            assert server.get("/healthz").status_code == 200
            disk.read_only(False)
            until(lambda: server.get("/readyz").status_code == 200)


def test_a_bad_outbox_keeps_no_service_from_its_start_and_is_told_of(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / FILE_NAME).write_text("no database at all")
    with Redis.from_url(redis_server.url) as redis:
        redis.set(call_key("bad"), "of another program")
    settings = {"redis_url": redis_server.url, "state_dir": tmp_path, "drain_s": 1}
    with running(**settings) as server:
        ready(server)
        messages = call(server, "bad")
        rejected = ["call_started", *["reading"] * len(readings(messages))]
        # The last of them are written to the disk after they have left the queue.
        until(lambda: len(server.get("/v1/outbox").json()["dead_letters"]) >= len(rejected))
        state = server.get("/v1/outbox").json()
        assert state["pending_writes"] == 0
        assert [letter["kind"] for letter in state["dead_letters"]] == rejected
        letter = state["dead_letters"][0]
        assert set(letter) == {"id", "kind", "problem", "at"}
        assert letter["problem"].startswith("WRONGTYPE ")
        assert [problem["what"].split(" ")[0] for problem in state["problems"]] == ["outbox:"] * 2
        assert server.get("/readyz").json()["degraded"] == state["problems"]
        assert server.metric("kanjo_outbox_dead_letters") == len(rejected)
        assert server.metric("kanjo_oldest_pending_write_seconds") == 0


def test_readyz_is_503_while_the_service_has_no_room_for_a_call() -> None:
    with running(max_calls=1) as server:
        ready(server)
        with server.socket() as socket:
            socket.send(start("the only one"))
            receive_until(socket, "started")
            response = server.get("/readyz")
            assert (response.status_code, response.json()["room_for_calls"]) == (503, False)
            assert server.get("/healthz").status_code == 200
            socket.send(STOP)
            receive_until(socket)
        until(lambda: server.get("/readyz").status_code == 200)


def test_metrics_count_what_happened(service: Running) -> None:
    call(service, "the first")  # a labelled counter is absent before it counts
    taken = service.metric('kanjo_calls_started_total{provider="native"}')
    read = service.metric('kanjo_readings_total{track="caller"}')
    messages = call(service, "counted")
    assert service.metric('kanjo_calls_started_total{provider="native"}') == taken + 1
    assert service.metric('kanjo_readings_total{track="caller"}') == read + len(readings(messages))
    for emotion in ("anger", "happiness"):
        for state in ("pending", "firing", "resolved"):
            assert (
                service.metric(
                    f'kanjo_alert_transitions_total{{emotion="{emotion}",state="{state}"}}'
                )
                > 0
            )
    assert service.metric("kanjo_redis_up") == 1
    assert service.metric("kanjo_queued_windows") == 0
    assert service.metric("kanjo_connection_failures_total") == 0
    assert service.metric("kanjo_speech_lateness_seconds_count") == service.metric(
        "kanjo_reading_lateness_seconds_count"
    )
    assert service.metric("kanjo_reading_lateness_seconds_count") == service.metric(
        'kanjo_readings_total{track="caller"}'
    )
    assert service.metric("kanjo_scoring_duration_seconds_count") == service.metric(
        "kanjo_batch_windows_count"
    )


def test_metrics_show_the_live_calls(service: Running) -> None:
    assert service.metric("kanjo_live_calls") == 0
    with service.socket() as socket:
        socket.send(start("seen in metrics"))
        receive_until(socket, "started")
        assert service.metric("kanjo_live_calls") == 1
        socket.send(STOP)
        receive_until(socket)
    assert service.metric("kanjo_live_calls") == 0


def test_the_refusals_of_every_provider_are_shown_before_the_first(service: Running) -> None:
    for provider in PROVIDERS:
        labels = f'provider="{provider}",reason='
        assert service.metric(f'kanjo_calls_refused_total{{{labels}"Overloaded"}}') == 0
        assert service.metric(f'kanjo_handshakes_rejected_total{{{labels}"stale"}}') == 0
        assert service.metric(f'kanjo_unusable_streams_total{{{labels}"noise"}}') == 0
    for provider, code in (("audiohook", "bad_seq"), ("native", "bad_json"), ("plivo", "late")):
        labels = f'code="{code}",provider="{provider}"'
        assert service.metric(f"kanjo_message_errors_total{{{labels}}}") == 0


def test_metrics_count_the_tasks_of_the_event_loop(service: Running) -> None:
    before = service.metric("kanjo_asyncio_tasks")
    assert before > 5  # store, batcher, heartbeat, ...
    with service.socket() as socket:
        socket.send(start("tasks"))
        receive_until(socket, "started")
        assert service.metric("kanjo_asyncio_tasks") > before
        socket.send(STOP)
        receive_until(socket)
    until(lambda: service.metric("kanjo_asyncio_tasks") == before)


def test_metrics_are_in_the_text_format_of_prometheus(service: Running) -> None:
    response = service.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP kanjo_calls_started_total Calls that the service accepted." in response.text


def test_the_api_is_documented_by_openapi(service: Running) -> None:
    paths = service.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/calls",
        "/v1/calls/{call_id}",
        "/v1/calls/{call_id}/consent",
        "/v1/alerts",
        "/v1/alerts.csv",
        "/v1/events",
        "/classify",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/outbox",
        "/v1/webhooks",
        "/v1/webhooks/dead/{id}/retry",
        "/v1/audit",
        *(
            f"/v1/alerts/{{alert_id}}/{action}"
            for action in ("take", "take-over", "hand-over", "note", "dismiss", "undo")
        ),
        "/v1/alerts/summary",
        "/v1/mutes",
        "/v1/mutes/{mute_id}",
    }
    classify = paths["/classify"]["post"]["responses"]
    assert {"200", "400", "413", "415", "503"} <= set(classify)
    assert "application/problem+json" in classify["413"]["content"]


@pytest.mark.parametrize("path", ["/", "/dashboard/main.js", "/dashboard/style/frame.css"])
def test_the_page_is_served(service: Running, path: str) -> None:
    response = service.get(path)
    assert response.status_code == 200
    assert len(response.content) > 500


def test_a_service_that_stops_ends_its_live_calls() -> None:
    with running() as server:
        ready(server)
        with server.socket() as socket:
            socket.send(start("cut off"))
            receive_until(socket, "started")
            services = server.services
            server.should_exit = True
            server.thread.join(10)
            assert not server.thread.is_alive()
        assert services.stopping.is_set()
        assert len(services.calls) == 0
