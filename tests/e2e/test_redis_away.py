"""Redis goes and comes back in the middle of a call: frozen, stopped, and with a service that dies.

Every way has a service, a Redis and a call of its own, all at the same time.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from service.replay.player import Recording, ReplaySummary, replay
from service.store.views import ReadingView
from tests.e2e.service import Service, until
from tests.paths import SAMPLES
from tests.redis_server import RedisServer

ANGRY = SAMPLES / "sounds-angry.flac"
AWAY_S = 20.0
BACK_WITHIN_S = 15.0
# Twice as fast as it was spoken: the outage takes in all that sounds angry.
SPEED = 2.0
# Low, because this is about steps being kept, not about when they are taken.
LOW = {"anger_fire_at": 0.4, "anger_clear_at": 0.3, "hold_s": 1}


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
async def asked(server: RedisServer) -> AsyncIterator[Any]:
    async with Redis.from_url(server.url, decode_responses=True) as client:
        yield client


async def says_ready(kanjo: Service, says: bool) -> bool:
    return await kanjo.ready() is says


async def read(summary: ReplaySummary, readings: int) -> bool:
    return summary.readings >= readings


async def delivered(kanjo: Service) -> bool:
    return await kanjo.metric("kanjo_outbox_pending_writes") == 0


async def kept(server: RedisServer) -> tuple[dict[str, str], list[int], list[dict[str, str]]]:
    """The one call, the numbers of its readings, and the steps of its alerts, as Redis has them."""
    async with asked(server) as client:
        ((call_id, _),) = await client.zrange("kanjo:calls:by-time", 0, -1, withscores=True)
        call = await client.hgetall(f"kanjo:call:{call_id}")
        entries = await client.xrange(f"kanjo:call:{call_id}:readings")
        steps = [fields for _, fields in await client.xrange("kanjo:alerts")]
    numbers = [ReadingView.model_validate_json(fields["data"]).number for _, fields in entries]
    return call, numbers, steps


def in_order(steps: list[dict[str, str]]) -> None:
    """Every alert's steps, once each."""
    alerts: dict[str, list[str]] = {}
    for step in steps:
        numbers = alerts.setdefault(step["alert_id"], [])
        numbers.append(step["number"])
    for numbers in alerts.values():
        assert numbers == [str(n + 1) for n in range(len(numbers))]


async def outlasts(server: RedisServer, kanjo: Service, *, frozen: bool) -> None:
    """A call during which Redis is away, and back before its end."""
    async with asked(server) as client:
        pid = (await client.info("server"))["process_id"]
    summary = ReplaySummary()
    call = asyncio.create_task(
        replay([Recording.read(ANGRY)], kanjo.ws, speed=SPEED, summary=summary)
    )
    await until(partial(read, summary, 1), 30)
    if frozen:
        os.kill(pid, signal.SIGSTOP)
    else:
        server.stop()
    before = summary.readings
    try:
        await until(partial(says_ready, kanjo, False), 5)
        await asyncio.sleep(AWAY_S)
        assert not await kanjo.ready()
        assert summary.readings >= before + 10, "the call waited for Redis"
        async with kanjo.client() as http:
            assert (await http.get("/healthz")).status_code == 200
        assert await kanjo.metric("kanjo_outbox_pending_writes") > 10
    finally:
        if frozen:
            os.kill(pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(server.start)
    await until(partial(says_ready, kanjo, True), BACK_WITHIN_S)
    await call
    assert not summary.errors, summary.reasons
    await until(partial(delivered, kanjo), BACK_WITHIN_S)
    stored, numbers, steps = await kept(server)
    assert stored["state"] == "ended"
    assert stored["reason"] == "stop"
    assert numbers == list(range(1, summary.readings + 1))
    in_order(steps)
    fired = [step for step in steps if step["state"] == "firing"]
    assert len(fired) == summary.fired.total() > 0
    assert steps[-1]["state"] in ("resolved", "lapsed")
    assert await kanjo.metric("kanjo_outbox_dropped_readings") == 0
    assert await kanjo.metric("kanjo_outbox_rejected_writes") == 0


async def arrives_after_kill(server: RedisServer, kanjo: Service) -> None:
    """Redis goes, then the service is killed; both come back, the service first."""
    summary = ReplaySummary()
    call = asyncio.create_task(
        replay([Recording.read(ANGRY)], kanjo.ws, speed=SPEED, summary=summary)
    )
    await until(partial(read, summary, 2), 30)
    server.stop()
    gone = summary.readings
    await until(partial(read, summary, gone + 10), 30)
    told = summary.readings
    await asyncio.sleep(1)  # what the client has been told has reached the disk by now
    await asyncio.to_thread(kanjo.kill)
    await call
    assert summary.errors == {"closed": 1}

    await asyncio.to_thread(kanjo.start, "/healthz")
    assert not await kanjo.ready()
    await asyncio.to_thread(server.start)
    await until(partial(says_ready, kanjo, True), BACK_WITHIN_S + 10)
    await until(partial(delivered, kanjo), BACK_WITHIN_S)
    stored, numbers, steps = await kept(server)
    assert len(numbers) >= told
    assert numbers == list(range(1, len(numbers) + 1))
    in_order(steps)
    assert stored["readings"] == str(len(numbers))


async def test_a_call_goes_on_while_redis_is_away_and_all_of_it_arrives(tmp_path: Path) -> None:
    async def away(name: str, way: Callable[[RedisServer, Service], Awaitable[None]]) -> None:
        folder = tmp_path / name
        folder.mkdir()
        with ExitStack() as ends:
            server = ends.enter_context(redis(folder / "redis"))
            kanjo = Service(folder, redis_url=server.url, **LOW)
            await asyncio.to_thread(ends.enter_context, kanjo)
            await way(server, kanjo)
            await asyncio.to_thread(kanjo.stop)

    async with asyncio.TaskGroup() as ways:
        ways.create_task(away("frozen", partial(outlasts, frozen=True)))
        ways.create_task(away("stopped", partial(outlasts, frozen=False)))
        ways.create_task(away("killed", arrives_after_kill))
