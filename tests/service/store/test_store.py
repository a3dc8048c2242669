import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from model.labels import EMOTIONS, Emotion
from service.events import AlertState, CallStarted, Reading, Track, Transition
from service.store import store as keys
from service.store.outbox import Outbox
from service.store.store import BadCursor, Store, StoreUnavailable
from service.store.views import StreamEvent
from tests.redis_server import RedisServer

NOW = time.time()
PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RESOLVED, LAPSED = AlertState.RESOLVED, AlertState.LAPSED
ENOUGH_S = 10.0  # for anything that must happen, however busy the machine


def started(call_id: str = "call-1", **metadata: str) -> CallStarted:
    return CallStarted(call_id, "twilio", (Track.CALLER, Track.AGENT), 8000, metadata)


def reading(number: int, call_id: str = "call-1", track: Track = Track.CALLER) -> Reading:
    probabilities = dict(zip(EMOTIONS, (0.7, 0.1, 0.1, 0.1), strict=True))
    return Reading(call_id, number, track, number - 1.0, number + 0.5, 1.0, probabilities)


def transition(
    number: int,
    state: AlertState,
    *,
    alert_id: str = "s1-caller-anger-1",
    call_id: str = "call-1",
    emotion: Emotion = Emotion.ANGER,
    peak: float = 0.825,
) -> Transition:
    return Transition(
        alert_id, number, call_id, Track.CALLER, emotion, state, 10.0, 10.0 + number, 0.7, peak
    )


def whole_call(store: Store, session: str = "s1", call_id: str = "call-1") -> None:
    """One call with one alert, from its first fact to its last."""
    alert_id = f"{session}-caller-anger-1"
    store.call_started(session, started(call_id, queue="billing"), NOW)
    for number in range(1, 4):
        store.reading(session, reading(number, call_id), NOW + number)
        step = transition(
            number, (PENDING, FIRING, RESOLVED)[number - 1], alert_id=alert_id, call_id=call_id
        )
        store.transition(session, step, NOW + number)
    store.call_ended(session, call_id, "hangup", 42.5, NOW + 60)


class Backend:
    """One Redis, real or in process, and the stores that share it."""

    def __init__(self, folder: Path, server: RedisServer | None) -> None:
        self.folder = folder
        self.server = server
        self.fake = FakeServer()
        self.redis: Any = self.client()
        self.opened = 0

    def client(self) -> Any:
        if self.server is None:
            return FakeAsyncRedis(server=self.fake, decode_responses=True)
        again = Retry(NoBackoff(), 1)  # after the server was away
        return Redis.from_url(self.server.url, decode_responses=True, retry=again)

    def store(self, outbox: str | None = None, **options: Any) -> Store:
        self.opened += 1
        path = self.folder / (outbox or f"outbox-{self.opened}.sqlite")
        options = {"retention_s": 3600.0, **options}
        if self.server is None:
            return Store(self.client(), Outbox(path, 1000), **options)
        return Store.connect(self.server.url, outbox_path=path, **options)

    async def everything(self) -> dict[str, Any]:
        """All that Redis holds, but for what the clock alone changes."""
        found: dict[str, Any] = {}
        for key in sorted(await self.redis.keys("*")):
            kind = await self.redis.type(key)
            match kind:
                case "hash":
                    found[key] = await self.redis.hgetall(key)
                case "stream":
                    found[key] = await self.redis.xrange(key)
                case "zset":
                    found[key] = await self.redis.zrange(key, 0, -1)
                case "set":
                    found[key] = sorted(await self.redis.smembers(key))
                case "string":
                    found[key] = await self.redis.get(key)
        return found

    async def steps(self) -> list[tuple[str, str, str]]:
        """Of kanjo:alerts, as a stranger reads it."""
        return [
            (named["alert_id"], named["number"], named["state"])
            for _, named in await self.redis.xrange(keys.ALERTS)
        ]

    async def event_kinds(self) -> list[str]:
        return [named["kind"] for _, named in await self.redis.xrange(keys.EVENTS)]


@pytest.fixture
async def real(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Backend]:
    backend = Backend(tmp_path, redis_server)
    yield backend
    await backend.redis.aclose()


@pytest.fixture(params=["redis", "embedded"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    server = request.getfixturevalue("redis_server") if request.param == "redis" else None
    backend = Backend(tmp_path, server)
    yield backend
    await backend.redis.aclose()


@contextlib.asynccontextmanager
async def running(store: Store) -> AsyncIterator[Store]:
    task = asyncio.create_task(store.run())
    try:
        yield store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.close()


async def delivered(store: Store) -> None:
    assert await store.flush(ENOUGH_S), f"{store.waiting} writes did not reach Redis"


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not await happened():  # noqa: ASYNC110 - what happens, happens in Redis
            await asyncio.sleep(0.01)


async def take(events: AsyncIterator[StreamEvent], count: int) -> list[StreamEvent]:
    async with asyncio.timeout(ENOUGH_S):
        return [await anext(events) for _ in range(count)]


# Writes


async def test_every_transition_is_in_the_stream_in_order_in_plain_fields(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        await delivered(store)
        entries = [named for _, named in await backend.redis.xrange(keys.ALERTS)]
    assert entries[1] == {
        "alert_id": "s1-caller-anger-1",
        "number": "2",
        "call_id": "call-1",
        "track": "caller",
        "emotion": "anger",
        "state": "firing",
        "since_s": "10.0",
        "at_s": "12.0",
        "probability": "0.7",
        "peak": "0.825",
        "at": str(NOW + 2),
    }
    assert [entry["state"] for entry in entries] == ["pending", "firing", "resolved"]


async def test_what_is_written_again_changes_nothing(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        await delivered(store)
        once = await backend.everything()
        whole_call(store)
        await delivered(store)
        assert await backend.everything() == once
        assert await backend.event_kinds() == [
            "call_started",
            *["reading", "alert"] * 3,
            "call_ended",
        ]


async def test_a_replay_of_a_replaced_session_changes_nothing(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store, "s1")
        whole_call(store, "s2")
        await delivered(store)
        both = await backend.everything()
        whole_call(store, "s1")
        whole_call(store, "s2")
        await delivered(store)
        assert await backend.everything() == both


async def test_a_new_session_with_a_used_call_id_replaces_call_and_readings(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        whole_call(store, "s1")
        store.call_started("s2", started(queue="sales"), NOW + 100)
        store.reading("s2", reading(1), NOW + 101)
        store.reading("s1", reading(4), NOW + 102)  # the old session, late
        store.call_ended("s1", "call-1", "late", 1.0, NOW + 103)
        await delivered(store)
        call = await store.call("call-1")
        assert call is not None
        assert (call.session, call.state, call.metadata) == ("s2", "live", {"queue": "sales"})
        assert [r.number for r in call.readings] == [1]
        assert call.alerts == []
        assert [alert.alert_id for alert in (await store.alerts(None, 10)).alerts] == [
            "s1-caller-anger-1"
        ]


async def test_calls_named_as_others_readings_are_calls_of_their_own(backend: Backend) -> None:
    names = [f"call-1{more}" for more in ("", ":readings", ":readings:", ":readings:readings")]
    async with running(backend.store()) as store:
        for number, name in enumerate(names):
            whole_call(store, f"s{number}", name)
        await delivered(store)
        for name in names:
            call = await store.call(name)
            assert call is not None
            assert call.call_id == name
            assert [told.call_id for told in call.readings] == [name] * 3
        assert store.refused == 0


async def test_a_call_that_gets_more_tracks_stays_one_call_and_a_replay_changes_nothing(
    backend: Backend,
) -> None:
    first = CallStarted("call-1", "asterisk", (Track.CALLER,), 8000, {"channel": "1"})
    both = started("call-1", channel="1", other="2")
    async with running(backend.store()) as store:

        def joined() -> None:
            store.call_started("s1", first, NOW)
            store.reading("s1", reading(1), NOW)
            store.call_joined("s1", both, NOW)

        joined()
        await delivered(store)
        once = await backend.everything()
        call = await store.call("call-1")
        joined()
        await delivered(store)
        assert await backend.everything() == once
        kinds = await backend.event_kinds()
        store.call_ended("s1", "call-1", "hangup", 3.0, NOW + 3)
        store.call_joined("s1", started("call-1", late="yes"), NOW)
        await delivered(store)
        after = await store.call("call-1")
    assert kinds == ["call_started", "reading", "call_started"]
    assert call is not None
    assert after is not None
    assert call.tracks == [Track.CALLER, Track.AGENT]
    assert call.metadata == after.metadata == {"channel": "1", "other": "2"}
    assert (call.state, call.bridge, len(call.readings)) == ("live", "asterisk", 1)


async def test_an_alert_that_has_ended_takes_no_further_step(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, LAPSED), NOW)
        store.transition("s1", transition(3, FIRING), NOW)
        await delivered(store)
        assert [state for _, _, state in await backend.steps()] == ["pending", "lapsed"]


async def test_the_end_of_a_call_closes_alerts_that_are_still_open(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="s1-caller-anger-2"), NOW)
        store.call_ended("s1", "call-1", "hangup", 99.0, NOW + 9)
        await delivered(store)
        assert (await backend.steps())[3:] == [
            ("s1-caller-anger-1", "3", "resolved"),
            ("s1-caller-anger-2", "2", "lapsed"),
        ]
        [alert, _] = (await store.call("call-1")).alerts
        assert (alert.state, alert.resolved_at_s, alert.at) == (RESOLVED, 99.0, NOW)


async def test_a_write_that_redis_can_never_take_is_counted_and_holds_up_nothing(
    backend: Backend,
) -> None:
    await backend.redis.set(keys.alert_key("s1-caller-anger-1"), "a stranger's")
    async with running(backend.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="s1-caller-anger-2"), NOW)
        await delivered(store)
        assert store.refused == 1
        assert await backend.steps() == [("s1-caller-anger-2", "1", "pending")]


async def test_when_memory_is_full_readings_go_first_and_transitions_last(
    backend: Backend,
) -> None:
    store = backend.store("o", memory_limit=3)
    store.call_started("s1", started(), NOW)
    store.reading("s1", reading(1), NOW)
    store.reading("s1", reading(2), NOW)
    store.transition("s1", transition(1, PENDING), NOW)
    assert (store.waiting, store.dropped, store.refused) == (3, 1, 0)
    store.transition("s1", transition(2, FIRING), NOW)
    store.transition("s1", transition(3, RESOLVED), NOW)
    store.reading("s1", reading(3), NOW)
    assert (store.waiting, store.dropped, store.refused) == (3, 3, 1)
    await store.close()
    async with running(backend.store("o")) as store:
        await delivered(store)
        assert [state for _, _, state in await backend.steps()] == ["pending", "firing"]


async def test_what_is_in_memory_at_the_end_is_on_disk_for_the_next_start(
    backend: Backend,
) -> None:
    store = backend.store("o")
    whole_call(store)
    await store.close()
    async with running(backend.store("o")) as store:
        assert store.waiting == 8
        await delivered(store)
    assert len(await backend.steps()) == 3


async def test_embedded_says_so_and_needs_nothing(tmp_path: Path) -> None:
    store = Store.connect(None, outbox_path=tmp_path / "unused", retention_s=60)
    assert store.embedded
    async with running(store):
        whole_call(store)
        await delivered(store)
        await store.ping()
        assert store.redis_up
        assert len(await store.calls(10)) == 1
    assert not (tmp_path / "unused").exists()


# Outages and deaths


async def test_nothing_is_lost_and_nothing_doubled_while_redis_is_away(real: Backend) -> None:
    assert real.server is not None
    expected = []
    async with running(real.store()) as store:
        for n in range(1, 301):
            if n == 100:
                await delivered(store)
                assert store.redis_up
                real.server.stop()
            if n == 200:
                await until(lambda: _is(not store.redis_up))
                assert store.waiting >= 100
                real.server.start()
            alert_id = f"s1-caller-anger-{n}"
            for number, state in enumerate((PENDING, FIRING, RESOLVED), 1):
                store.transition("s1", transition(number, state, alert_id=alert_id), NOW + n)
                expected.append((alert_id, str(number), str(state)))
            if n % 10 == 0:
                await asyncio.sleep(0)
        await delivered(store)
        assert store.redis_up
    assert await real.steps() == expected
    assert await real.event_kinds() == ["alert"] * len(expected)


async def test_redis_stopped_in_the_middle_of_a_delivery_loses_and_doubles_nothing(
    real: Backend,
) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        for n in range(2000):
            store.transition("s1", transition(1, PENDING, alert_id=f"a{n}"), NOW)
        await until(lambda: _at_least(real, 100))
        real.server.stop()
        await asyncio.sleep(0.05)
        real.server.start()
        await delivered(store)
    assert [alert_id for alert_id, _, _ in await real.steps()] == [f"a{n}" for n in range(2000)]


async def _at_least(backend: Backend, count: int) -> bool:
    return bool(await backend.redis.xlen(keys.ALERTS) >= count)


async def _is(value: bool) -> bool:
    return value


async def test_a_redis_that_is_full_is_waited_for_in_order(real: Backend) -> None:
    async with running(real.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        await real.redis.config_set("maxmemory", 1)
        store.transition("s1", transition(2, FIRING), NOW)
        store.transition("s1", transition(3, RESOLVED), NOW)
        await until(lambda: _is(not store.redis_up))
        assert not await store.flush(0.3)
        assert len(await real.steps()) == 1
        await real.redis.config_set("maxmemory", 0)
        await delivered(store)
        assert [state for _, _, state in await real.steps()] == ["pending", "firing", "resolved"]
        assert store.refused == 0


async def test_reads_say_that_redis_is_away_and_writes_do_not(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        await until(lambda: _is(store.redis_up))
        real.server.stop()
        whole_call(store)
        for read in (store.ping, store.cursor):
            with pytest.raises(StoreUnavailable, match="got no answer from Redis"):
                await read()
        for answer in (store.calls(1), store.call("call-1"), store.alerts(None, 1)):
            with pytest.raises(StoreUnavailable):
                await answer
        with pytest.raises(StoreUnavailable):
            await take(store.events("0-0"), 1)
        assert store.waiting == 8


async def test_a_redis_that_was_never_there_is_found_when_it_comes(real: Backend) -> None:
    assert real.server is not None
    real.server.stop()
    async with running(real.store()) as store:
        whole_call(store)
        assert not await store.flush(0.3)
        assert not store.redis_up
        real.server.start()
        await delivered(store)
        assert len(await real.steps()) == 3


async def test_a_redis_that_lost_its_data_hears_of_live_calls_again(real: Backend) -> None:
    async with running(real.store(heartbeat_s=0.05)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        await real.redis.flushall()
        await real.redis.script_flush()
        await until(lambda: _lives(store, 1))
        store.reading("s1", reading(7), NOW)
        await delivered(store)
        assert [r.number for r in (await store.call("call-1")).readings] == [7]


async def _lives(store: Store, count: int) -> bool:
    return sum(call.state == "live" for call in await store.calls(100)) == count


SERVICE = """
import asyncio, sys, time
from pathlib import Path
from model.labels import Emotion
from service.events import AlertState, CallStarted, Track, Transition
from service.store.store import Store

async def main(url, path, count, pause_s):
    store = Store.connect(url, outbox_path=Path(path), retention_s=3600)
    run = asyncio.create_task(store.run())
    started = CallStarted("dead-call", "twilio", (Track.CALLER,), 8000)
    store.call_started("dead", started, time.time())
    for n in range(count):
        for number, state in enumerate((AlertState.PENDING, AlertState.FIRING), 1):
            store.transition("dead", Transition(f"a{n}", number, "dead-call", Track.CALLER,
                Emotion.ANGER, state, 1.0, 2.0, 0.7, 0.8), time.time())
        await asyncio.sleep(pause_s)
    while store._memory or store._in_hand:
        await asyncio.sleep(0.01)
    print("on disk", flush=True)
    await run

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
"""


def service(url: str, outbox: Path, count: int, pause_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVICE, url, str(outbox), str(count), str(pause_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


async def test_kill_9_between_disk_and_redis_loses_nothing(real: Backend) -> None:
    assert real.server is not None
    real.server.stop()
    with service(real.server.url, real.folder / "o", 50, 0) as dying:
        assert dying.stdout is not None
        said = await asyncio.to_thread(lambda: list(iter(dying.stdout.readline, "on disk\n")))
        assert any("redis_away" in line for line in said)
        os.kill(dying.pid, signal.SIGKILL)
    real.server.start()
    async with running(real.store("o")) as store:
        assert store.waiting == 101
        await delivered(store)
        assert len((await store.alerts(None, 100)).alerts) == 50
    assert await real.steps() == [
        (f"a{n}", str(number), state)
        for n in range(50)
        for number, state in ((1, "pending"), (2, "firing"))
    ]


async def test_kill_9_at_any_moment_of_a_delivery_neither_loses_nor_doubles(real: Backend) -> None:
    assert real.server is not None
    with service(real.server.url, real.folder / "o", 100_000, 0.0005) as dying:
        await until(lambda: _at_least(real, 50))
        await asyncio.sleep(random.uniform(0, 0.05))
        os.kill(dying.pid, signal.SIGKILL)
    before = await real.steps()
    async with running(real.store("o")) as store:
        await delivered(store)
    after = await real.steps()
    assert after[: len(before)] == before
    assert after == [
        (f"a{n // 2}", str(n % 2 + 1), ("pending", "firing")[n % 2]) for n in range(len(after))
    ]


async def test_calls_of_a_dead_service_are_ended_as_lost_with_their_alerts_once(
    backend: Backend,
) -> None:
    dead = backend.store()
    async with running(dead):
        dead.call_started("s1", started(), NOW)
        dead.reading("s1", reading(20), NOW)
        dead.transition("s1", transition(1, PENDING), NOW)
        dead.transition("s1", transition(2, FIRING), NOW)
        dead.transition("s1", transition(1, PENDING, alert_id="s1-caller-anger-2"), NOW)
        await delivered(dead)
    sweeping = {"heartbeat_s": 0.02, "lost_after_s": 0.2}
    async with (
        running(backend.store(**sweeping)) as one,
        running(backend.store(**sweeping)),
    ):
        await until(lambda: _lives(one, 0))
        await asyncio.sleep(0.1)  # time for the other one to do it again, if it would
        call = await one.call("call-1")
        assert call is not None
        assert (call.state, call.reason, call.duration_s) == ("ended", "lost", 20.5)
        assert await backend.steps() == [
            ("s1-caller-anger-1", "1", "pending"),
            ("s1-caller-anger-1", "2", "firing"),
            ("s1-caller-anger-2", "1", "pending"),
            ("s1-caller-anger-1", "3", "resolved"),
            ("s1-caller-anger-2", "2", "lapsed"),
        ]
        assert [alert.state for alert in call.alerts] == [RESOLVED, LAPSED]
        assert call.alerts[0].resolved_at_s == 20.5
        assert (await backend.event_kinds()).count("call_ended") == 1
    assert await backend.redis.zrange(keys.CALLS_LIVE, 0, -1) == []


async def test_a_call_whose_service_lives_is_never_lost(backend: Backend) -> None:
    async with (
        running(backend.store(heartbeat_s=0.05, lost_after_s=60.0)) as alive,
        running(backend.store(heartbeat_s=0.02, lost_after_s=0.5)),
    ):
        alive.call_started("s1", started(), NOW)
        await asyncio.sleep(1.5)
        assert await _lives(alive, 1)
        assert await backend.event_kinds() == ["call_started"]


async def test_nobody_is_taken_for_lost_before_redis_has_been_there_long_enough(
    backend: Backend,
) -> None:
    """After an outage everybody's heartbeats are old."""
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
    await asyncio.sleep(0.6)
    since = time.monotonic()
    async with running(backend.store(heartbeat_s=0.02, lost_after_s=0.5)) as store:
        await until(lambda: _lives(store, 0))
        assert time.monotonic() - since >= 0.5


async def test_a_call_taken_for_lost_comes_back_when_its_service_does(backend: Backend) -> None:
    async with (
        running(backend.store(heartbeat_s=1.0)) as silent,
        running(backend.store(heartbeat_s=0.02, lost_after_s=0.2)) as other,
    ):
        silent.call_started("s1", started(), NOW)
        await until(lambda: _kinds_are(backend, ["call_started", "call_ended"]))
        await until(lambda: _lives(other, 1))
        call = await other.call("call-1")
        assert call is not None
        assert (call.ended_at, call.reason) == (None, None)
        assert await backend.redis.ttl(keys.call_key("call-1")) == -1


async def _kinds_are(backend: Backend, kinds: list[str]) -> bool:
    return await backend.event_kinds() == kinds


# Reads


async def test_calls_are_live_first_and_newest_first_with_their_last_readings(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        for n in range(1, 5):
            store.call_started(f"s{n}", started(f"call-{n}", queue="billing"), NOW + n)
        store.reading("s1", reading(1), NOW)
        store.reading("s1", reading(2, track=Track.AGENT), NOW)
        store.reading("s1", reading(3), NOW + 3)
        store.call_ended("s4", "call-4", "hangup", 7.5, NOW + 10)
        store.call_ended("s2", "call-2", "hangup", 7.5, NOW + 11)
        await delivered(store)
        calls = await store.calls(10)
        assert [call.call_id for call in calls] == ["call-3", "call-1", "call-4", "call-2"]
        assert [call.call_id for call in await store.calls(3)] == ["call-3", "call-1", "call-4"]
        first = calls[1]
        assert (first.bridge, first.tracks) == ("twilio", [Track.CALLER, Track.AGENT])
        assert (first.metadata, first.state) == ({"queue": "billing"}, "live")
        assert {track: last.number for track, last in first.last.items()} == {
            Track.CALLER: 3,
            Track.AGENT: 2,
        }
        assert first.last[Track.CALLER].probabilities == dict(reading(3).probabilities)
        ended = calls[2]
        assert (ended.ended_at, ended.reason, ended.duration_s) == (NOW + 10, "hangup", 7.5)


async def test_a_call_comes_with_its_readings_and_alerts(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        happy = transition(
            1, PENDING, alert_id="s1-caller-happiness-1", emotion=Emotion.HAPPINESS, peak=0.714
        )
        store.transition("s1", happy, NOW)
        await delivered(store)
        call = await store.call("call-1")
        assert call is not None
        assert [r.number for r in call.readings] == [1, 2, 3]
        assert (call.readings[0].start_s, call.readings[0].at) == (0.0, NOW + 1)
        angry, happy_view = call.alerts
        assert (angry.state, angry.since_s, angry.fired_at_s) == (RESOLVED, 10.0, 12.0)
        assert (angry.resolved_at_s, angry.at, angry.peak) == (13.0, NOW + 2, 0.825)
        assert angry.text == "sounds angry (0.82)"
        assert happy_view.text == "sounds happy (0.71)"
        assert (happy_view.fired_at_s, happy_view.at) == (None, None)
        assert await store.call("call-2") is None


async def test_alerts_that_fired_come_in_pages_newest_first(backend: Backend) -> None:
    async with running(backend.store()) as store:
        for n in range(7):
            for number, state in enumerate((PENDING, FIRING), 1):
                # Two at a time fire at the same moment.
                step = transition(number, state, alert_id=f"a{n}")
                store.transition("s1", step, NOW + n // 2)
        store.transition("s1", transition(1, PENDING, alert_id="never-fired"), NOW)
        await delivered(store)
        first = await store.alerts(None, 3)
        store.transition("s1", transition(1, FIRING, alert_id="newer"), NOW + 100)
        await delivered(store)
        second = await store.alerts(first.next, 3)
        third = await store.alerts(second.next, 3)
        assert [[a.alert_id for a in page.alerts] for page in (first, second, third)] == [
            ["a6", "a5", "a4"],
            ["a3", "a2", "a1"],
            ["a0"],
        ]
        assert third.next is None
        assert (await store.alerts("long-gone", 3)).alerts == []
        with pytest.raises(ValueError, match="got a limit of 0, expected 1 or more"):
            await store.alerts(None, 0)


async def test_what_is_older_than_the_retention_is_gone(backend: Backend) -> None:
    async with running(backend.store(retention_s=1.0, heartbeat_s=0.05, lost_after_s=0.2)) as store:
        at = time.time()
        store.call_started("s1", started(), at)
        store.reading("s1", reading(1), at)
        for n in range(250):
            store.transition("s1", transition(1, FIRING, alert_id=f"a{n}"), at)
        store.call_ended("s1", "call-1", "hangup", 1.0, at)
        await delivered(store)
        assert await backend.redis.xlen(keys.ALERTS) >= 100
        await until(lambda: _all_gone(backend))
        assert (await store.alerts(None, 10)).alerts == []
        assert await store.calls(10) == []


async def _all_gone(backend: Backend) -> bool:
    return await backend.redis.keys("kanjo:*") == []


async def test_a_new_transition_trims_the_old_ones_by_itself(real: Backend) -> None:
    async with running(real.store(retention_s=0.5)) as store:  # lost_after_s: no sweep comes
        for n in range(250):
            store.transition("s1", transition(1, FIRING, alert_id=f"a{n}"), time.time())
        await delivered(store)
        assert await real.redis.xlen(keys.ALERTS) == 250
        for _ in range(3):
            await asyncio.sleep(0.25)
            store.transition("s1", transition(1, FIRING, alert_id=f"b{_}"), time.time())
            await delivered(store)
        assert await real.redis.xlen(keys.ALERTS) < 150  # whole nodes of a hundred go


async def test_readings_and_events_are_capped(backend: Backend) -> None:
    async with running(backend.store(readings_limit=10, events_limit=10)) as store:
        store.call_started("s1", started(), NOW)
        for n in range(1, 301):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        call = await store.call("call-1")
        assert call is not None
        assert 10 <= len(call.readings) < 150
        assert call.readings[-1].number == 300
        assert 10 <= await backend.redis.xlen(keys.EVENTS) < 150


# Events


async def test_every_subscriber_gets_every_event_as_the_views_that_are_read(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        await until(lambda: _is(store._following.is_set()))
        both = [store.events(None), store.events(None)]
        waiting = [asyncio.create_task(take(events, 8)) for events in both]
        await asyncio.sleep(0)
        whole_call(store)
        one, other = await asyncio.gather(*waiting)
        assert one == other
        assert [event.kind for event in one] == await backend.event_kinds()
        call = await store.call("call-1")
        assert call is not None
        said = [json.loads(event.data) for event in one]
        assert said[0]["call_id"] == "call-1"
        assert said[0]["state"] == "live"
        assert said[1] == call.readings[0].model_dump(mode="json")
        assert said[6] == call.alerts[0].model_dump(mode="json")
        assert said[6]["text"] == "sounds angry (0.82)"
        assert said[7].items() <= call.model_dump(mode="json").items()
        for events in both:
            await events.aclose()
        assert store._subscribers == set()


async def test_a_cursor_joins_what_was_read_to_what_happens_without_gap_or_double(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()
        for n in range(1, 601):
            store.reading("s1", reading(n), NOW)
            if n == 300:
                events = store.events(cursor)
                first = await take(events, 1)
        rest = await take(events, 599)
        numbers = [json.loads(event.data)["number"] for event in [*first, *rest]]
        assert numbers == list(range(1, 601))
        again = await take(store.events(rest[-3].id), 2)
        assert again == rest[-2:]


async def test_subscribers_that_join_while_events_pour_in_miss_and_double_none(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()

        async def pour() -> None:
            for n in range(1, 401):
                store.reading("s1", reading(n), NOW)
                await asyncio.sleep(0.001)

        async def join(after_s: float) -> list[int]:
            await asyncio.sleep(after_s)
            got = await take(store.events(cursor), 400)
            return [json.loads(event.data)["number"] for event in got]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pour())
            joined = [tasks.create_task(join(n / 50)) for n in range(20)]
        for got in joined:
            assert got.result() == list(range(1, 401))


async def test_a_slow_subscriber_gets_one_resync_and_then_goes_on(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        slow = store.events(await store.cursor())
        store.reading("s1", reading(1), NOW)
        assert (await take(slow, 1))[0].kind == "reading"
        for n in range(2, 302):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        last = await store.cursor()
        await until(lambda: _is(store._position == last))
        assert [event.kind for event in await take(slow, 1)] == ["resync"]
        store.reading("s1", reading(302), NOW)
        numbers = [0]
        while numbers[-1] != 302:
            [event] = await take(slow, 1)
            numbers.append(json.loads(event.data)["number"])
        # 256 fitted in; the 257th emptied the queue, and the rest are there again.
        assert numbers[1:] == list(range(numbers[1], 303))
        assert len(numbers) - 1 < 60


async def test_one_who_comes_back_too_late_is_told_to_read_everything_anew(
    backend: Backend,
) -> None:
    async with running(backend.store(events_limit=10)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()
        for n in range(1, 301):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        events = store.events(cursor)
        assert [event.kind for event in await take(events, 1)] == ["resync"]
        store.reading("s1", reading(301), NOW)
        assert json.loads((await take(events, 1))[0].data)["number"] == 301


async def test_a_cursor_of_an_empty_redis_catches_up_or_says_so(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: _is(store._following.is_set()))
        assert await store.cursor() == "0-0"
        events = store.events("0-0")
        first = asyncio.create_task(take(events, 1))
        await until(lambda: _is(len(store._subscribers) == 1))
        store.call_started("s1", started(), NOW)
        assert [event.kind for event in await first] == ["call_started"]
        assert [event.kind for event in await take(store.events("0-0"), 1)] == ["resync"]


async def test_subscribers_outlive_an_outage_and_miss_nothing(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        events = store.events(await store.cursor())
        store.reading("s1", reading(1), NOW)
        got = await take(events, 1)
        real.server.stop()
        store.reading("s1", reading(2), NOW)
        await until(lambda: _is(not store.redis_up))
        real.server.start()
        store.reading("s1", reading(3), NOW)
        got += await take(events, 2)
        assert [json.loads(event.data)["number"] for event in got] == [1, 2, 3]


@pytest.mark.parametrize("empty", [True, False], ids=["while it is empty", "once it is not"])
async def test_subscribers_of_a_redis_that_lost_its_data_are_told(
    real: Backend, empty: bool
) -> None:
    assert real.server is not None
    async with running(real.store(heartbeat_s=60.0)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        events = store.events(await store.cursor())
        waiting = asyncio.create_task(take(events, 1))
        await until(lambda: _is(len(store._subscribers) == 1))
        await real.redis.flushall()
        real.server.stop()
        await until(lambda: _is(not store.redis_up))
        if not empty:
            store.call_started("s2", started("call-2"), NOW)
        real.server.start()
        assert [event.kind for event in await waiting] == ["resync"]


async def test_events_end_when_the_store_stops(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: _is(store._following.is_set()))
        ended = asyncio.create_task(anext(store.events(None), None))
        await until(lambda: _is(len(store._subscribers) == 1))
    assert await ended is None


async def test_a_cursor_that_is_none_is_refused(backend: Backend) -> None:
    store = backend.store()
    for wrong in ("", "yesterday", "1-2-3", "1", f"{2**64}-0", "١-٠"):
        with pytest.raises(BadCursor, match="expected the id of an event"):
            await anext(store.events(wrong))
    await store.close()


async def test_what_a_stranger_writes_into_the_stream_disturbs_nobody(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: _is(store._following.is_set()))
        await backend.redis.xadd(keys.EVENTS, {"kind": "call_started", "call_id": "half"})
        await backend.redis.xadd(keys.EVENTS, {"hello": "world"})
        events = store.events((await backend.redis.xrange(keys.EVENTS))[0][0])
        store.call_started("s1", started(), NOW)
        assert json.loads((await take(events, 1))[0].data)["call_id"] == "call-1"
