"""Redis goes away in the middle of a call and comes back: frozen, stopped, or the service killed.

The three scenarios run at the same time, each with a service, a Redis and a call of its own.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from service.replay.player import Recording, ReplaySummary, replay
from service.store.redis_client import REPLY_TIMEOUT_S
from service.store.views import ReadingView
from tests.e2e.service import Service, until
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES
from tests.redis_server import RedisServer

ANGRY = SAMPLES / "sounds-angry.flac"
AWAY_S = 20.0
# At twice the natural speed the outage covers all that sounds angry.
SPEED = 2.0
# Low thresholds make many transitions; this test is about their storage, not their time.
LOW_THRESHOLDS = {"anger_fire_at": 0.4, "anger_clear_at": 0.3, "hold_s": 1}


@contextmanager
def redis(folder: Path) -> Iterator[RedisServer]:
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def redis_client(server: RedisServer) -> AsyncIterator[Any]:
    async with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


async def is_degraded(kanjo: Service, expected: bool) -> bool:
    """Returns whether Redis is among what is wrong, or is not; calls are taken in both cases."""
    assert await kanjo.ready()
    return any(what.startswith("Redis ") for what in await kanjo.degraded()) is expected


async def is_taking_calls(kanjo: Service) -> bool:
    return await kanjo.ready()


async def has_readings(summary: ReplaySummary, readings: int) -> bool:
    return summary.readings >= readings


async def delivered(kanjo: Service) -> bool:
    return await kanjo.metric("kanjo_outbox_pending_writes") == 0


async def stored_call(
    server: RedisServer,
) -> tuple[dict[str, str], list[int], list[dict[str, str]]]:
    """Returns the only call, the numbers of its readings and all transitions, from Redis."""
    async with redis_client(server) as client:
        ((call_id, _),) = await client.zrange("kanjo:calls:by-time", 0, -1, withscores=True)
        call = await client.hgetall(f"kanjo:call:{call_id}")
        entries = await client.xrange(f"kanjo:readings:{call_id}")
        transitions = [fields for _, fields in await client.xrange("kanjo:alerts")]
    numbers = [ReadingView.model_validate_json(fields["data"]).number for _, fields in entries]
    return call, numbers, transitions


def assert_in_order(transitions: list[dict[str, str]]) -> None:
    """Asserts that each alert has transitions 1, 2, 3, ... once each, in order."""
    alerts: dict[str, list[str]] = {}
    for transition in transitions:
        numbers = alerts.setdefault(transition["alert_id"], [])
        numbers.append(transition["number"])
    for numbers in alerts.values():
        assert numbers == [str(n + 1) for n in range(len(numbers))]


async def outlasts_outage(server: RedisServer, kanjo: Service, *, frozen: bool) -> None:
    """Redis goes away during a call and is back before the call ends."""
    async with redis_client(server) as client:
        pid = (await client.info("server"))["process_id"]
    summary = ReplaySummary()
    call = asyncio.create_task(
        replay([Recording.read(ANGRY)], kanjo.ws, speed=SPEED, summary=summary)
    )
    await until(partial(has_readings, summary, 1), 30)
    if frozen:
        os.kill(pid, signal.SIGSTOP)
    else:
        server.stop()
    before = summary.readings
    try:
        # A frozen Redis is noticed after the longest time that two replies may take.
        await until(partial(is_degraded, kanjo, True), 2 * REPLY_TIMEOUT_S + 5)
        await asyncio.sleep(AWAY_S)
        assert await is_degraded(kanjo, True)
        assert await kanjo.metric("kanjo_oldest_pending_write_seconds") > AWAY_S / 2
        assert summary.readings >= before + 10, "the call waited for Redis"
        async with kanjo.client() as http:
            assert (await http.get("/healthz")).status_code == 200
        assert await kanjo.metric("kanjo_outbox_pending_writes") > 10
    finally:
        if frozen:
            os.kill(pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(server.start)
    await until(partial(is_degraded, kanjo, False), ENOUGH_S)
    await call
    assert not summary.errors, summary.reasons
    await until(partial(delivered, kanjo), ENOUGH_S)
    call_hash, numbers, transitions = await stored_call(server)
    assert call_hash["state"] == "ended"
    assert call_hash["reason"] == "stop"
    assert numbers == list(range(1, summary.readings + 1))
    assert_in_order(transitions)
    fired = [step for step in transitions if step["state"] == "firing"]
    assert len(fired) == summary.fired.total() > 0
    assert transitions[-1]["state"] in ("resolved", "lapsed")
    assert await kanjo.metric("kanjo_outbox_dropped_readings_total") == 0
    assert await kanjo.metric("kanjo_outbox_rejected_writes_total") == 0


async def survives_kill(server: RedisServer, kanjo: Service) -> None:
    """Redis goes away, then the service is killed; both come back, the service first."""
    summary = ReplaySummary()
    call = asyncio.create_task(
        replay([Recording.read(ANGRY)], kanjo.ws, speed=SPEED, summary=summary)
    )
    await until(partial(has_readings, summary, 2), 30)
    server.stop()
    gone = summary.readings
    await until(partial(has_readings, summary, gone + 10), 30)
    received = summary.readings
    await asyncio.sleep(1)  # by now the readings that the client received are on disk
    await asyncio.to_thread(kanjo.kill)
    await call
    assert summary.errors == {"closed": 1}

    await asyncio.to_thread(kanjo.start, "/healthz")
    await until(partial(is_taking_calls, kanjo), ENOUGH_S)
    assert await is_degraded(kanjo, True)
    await asyncio.to_thread(server.start)
    await until(partial(is_degraded, kanjo, False), ENOUGH_S + 10)
    await until(partial(delivered, kanjo), ENOUGH_S)
    call_hash, numbers, transitions = await stored_call(server)
    assert len(numbers) >= received
    assert numbers == list(range(1, len(numbers) + 1))
    assert_in_order(transitions)
    assert call_hash["readings"] == str(len(numbers))


@pytest.mark.campaign
async def test_a_call_goes_on_while_redis_is_away_and_all_of_it_arrives(tmp_path: Path) -> None:
    async def run(name: str, scenario: Callable[[RedisServer, Service], Awaitable[None]]) -> None:
        folder = tmp_path / name
        folder.mkdir()
        with ExitStack() as ends:
            server = ends.enter_context(redis(folder / "redis"))
            kanjo = Service(folder, redis_url=server.url, **LOW_THRESHOLDS)
            await asyncio.to_thread(ends.enter_context, kanjo)
            await scenario(server, kanjo)
            await asyncio.to_thread(kanjo.stop)

    async with asyncio.TaskGroup() as scenarios:
        scenarios.create_task(run("frozen", partial(outlasts_outage, frozen=True)))
        scenarios.create_task(run("stopped", partial(outlasts_outage, frozen=False)))
        scenarios.create_task(run("killed", survives_kill))
