"""Redis goes away, or the service is killed: no write is lost and none is applied twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.service.store.backend import Backend, delivered, live_calls, running, until
from tests.service.store.facts import (
    FIRING,
    NOW,
    PENDING,
    RESOLVED,
    reading,
    started,
    transition,
    whole_call,
)


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
                await until(lambda: not store.redis_up)
                assert store.pending_writes >= 100
                real.server.start()
            alert_id = f"s1-caller-anger-{n}"
            for number, state in enumerate((PENDING, FIRING, RESOLVED), 1):
                store.transition("s1", transition(number, state, alert_id=alert_id), NOW + n)
                expected.append((alert_id, str(number), str(state)))
            if n % 10 == 0:
                await asyncio.sleep(0)
        await delivered(store)
        assert store.redis_up
    assert await real.transitions() == expected
    assert await real.event_kinds() == ["alert"] * len(expected)


async def transitions_reach(backend: Backend, count: int) -> None:
    async def reached() -> bool:
        return await backend.transition_count() >= count

    await until(reached)


async def test_redis_stopped_in_the_middle_of_a_delivery_loses_and_doubles_nothing(
    real: Backend,
) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        for n in range(2000):
            store.transition("s1", transition(1, PENDING, alert_id=f"a{n}"), NOW)
        await transitions_reach(real, 100)
        real.server.stop()
        await asyncio.sleep(0.05)
        real.server.start()
        await delivered(store)
    assert [alert_id for alert_id, _, _ in await real.transitions()] == [
        f"a{n}" for n in range(2000)
    ]


async def test_writes_to_a_full_redis_are_delivered_in_order_once_there_is_room(
    real: Backend,
) -> None:
    async with running(real.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        await real.redis.config_set("maxmemory", 1)
        store.transition("s1", transition(2, FIRING), NOW)
        store.transition("s1", transition(3, RESOLVED), NOW)
        await until(lambda: not store.redis_up)
        assert not await store.flush(0.3)
        assert len(await real.transitions()) == 1
        await real.redis.config_set("maxmemory", 0)
        await delivered(store)
        states = [state for _, _, state in await real.transitions()]
        assert states == ["pending", "firing", "resolved"]
        assert store.rejected_writes == 0


async def test_a_redis_that_is_away_at_the_start_is_found_when_it_comes(real: Backend) -> None:
    assert real.server is not None
    real.server.stop()
    async with running(real.store()) as store:
        whole_call(store)
        assert not await store.flush(0.3)
        assert not store.redis_up
        real.server.start()
        await delivered(store)
        assert len(await real.transitions()) == 3


async def test_a_redis_that_lost_its_data_receives_the_live_calls_again(real: Backend) -> None:
    async with running(real.store(heartbeat_s=0.05)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        await real.redis.flushall()
        await real.redis.script_flush()

        async def restored() -> bool:
            return await live_calls(store) == 1

        await until(restored)
        store.reading("s1", reading(7), NOW)
        await delivered(store)
        call = await store.call("call-1")
        assert call is not None
        assert [r.number for r in call.readings] == [7]


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
    while store.writer.in_memory:
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
        lines = await asyncio.to_thread(lambda: list(iter(dying.stdout.readline, "on disk\n")))
        assert any("redis_away" in line for line in lines)
        os.kill(dying.pid, signal.SIGKILL)
    real.server.start()
    async with running(real.store("o")) as store:
        assert store.pending_writes == 101
        await delivered(store)
        assert len((await store.reader.alerts(None, 100)).alerts) == 50
    assert await real.transitions() == [
        (f"a{n}", str(number), state)
        for n in range(50)
        for number, state in ((1, "pending"), (2, "firing"))
    ]


async def test_kill_9_at_any_moment_of_a_delivery_neither_loses_nor_doubles(real: Backend) -> None:
    assert real.server is not None
    with service(real.server.url, real.folder / "o", 100_000, 0.0005) as dying:
        await transitions_reach(real, 50)
        await asyncio.sleep(random.uniform(0, 0.05))
        os.kill(dying.pid, signal.SIGKILL)
    before = await real.transitions()
    async with running(real.store("o")) as store:
        await delivered(store)
    after = await real.transitions()
    assert after[: len(before)] == before
    assert after == [
        (f"a{n // 2}", str(n % 2 + 1), ("pending", "firing")[n % 2]) for n in range(len(after))
    ]
