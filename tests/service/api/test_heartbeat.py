"""Heartbeats name the live calls that no service confirms."""

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.api.heartbeat import Heartbeat
from service.store import keys
from tests.redis_server import RedisServer
from tests.service.calls.harness import LiveStream, LoudnessScorer, service, started
from tests.service.store.backend import Backend, delivered, running
from tests.service.store.facts import NOW
from tests.service.store.facts import started as stored


@pytest.fixture
async def real(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Backend]:
    backend = Backend(tmp_path, redis_server)
    yield backend
    await backend.redis.aclose()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_own_calls_are_confirmed_and_those_of_a_service_that_is_gone_are_not(
    real: Backend,
) -> None:
    assert real.server is not None
    clock = Clock()
    async with service(LoudnessScorer()) as calls, running(real.store()) as store:
        async with LiveStream(calls, started()) as live:
            [own] = calls.sessions
            for session, call_id in ((own, "call-1"), ("ghost", "call-2")):
                store.call_started(session, stored(call_id), NOW)
            await delivered(store)
            old = time.time() - 20
            await real.redis.zadd(keys.CALLS_LIVE, {own: old, "ghost": old})
            heartbeat = Heartbeat(store, calls, clock=clock)
            assert await heartbeat.ask_redis()
            beat = heartbeat.now()
            assert (beat.unconfirmed, beat.live_calls) == (["ghost"], 1)
            assert json.loads(beat.model_dump_json())["redis"] == beat.redis

            real.server.stop()
            assert not await heartbeat.ask_redis()
            away = heartbeat.now(replied=False)
            assert (away.redis, away.unconfirmed) == ("away", [])
            real.server.start()
            with contextlib.suppress(Exception):
                await real.redis.ping()
            await real.redis.zadd(keys.CALLS_LIVE, {"ghost": old})
            assert await heartbeat.ask_redis()
            assert heartbeat.now().unconfirmed == [], "no service could confirm its calls yet"
            clock.now = 9.0
            assert await heartbeat.ask_redis()
            assert heartbeat.now().unconfirmed == ["ghost"]
            await live.end()
