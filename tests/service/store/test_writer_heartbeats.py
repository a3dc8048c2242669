"""Heartbeats and the sweep: calls of a dead service end as lost, calls of a live one never do.

The sleeps are real because Redis compares heartbeats by its own clock.
"""

import asyncio
import time

from service.store import keys
from tests.service.store.backend import Backend, delivered, live_calls, running, until
from tests.service.store.facts import (
    FIRING,
    LAPSED,
    NOW,
    PENDING,
    RESOLVED,
    reading,
    started,
    transition,
)


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

        async def none_live() -> bool:
            return await live_calls(one) == 0

        await until(none_live)
        await asyncio.sleep(0.1)  # in which the other store would end the call again, if it could
        call = await one.call("call-1")
        assert call is not None
        assert (call.state, call.reason, call.duration_s) == ("ended", "lost", 20.5)
        assert await backend.transitions() == [
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


async def test_a_call_whose_service_is_alive_is_never_lost(backend: Backend) -> None:
    async with (
        running(backend.store(heartbeat_s=0.05, lost_after_s=60.0)) as alive,
        running(backend.store(heartbeat_s=0.02, lost_after_s=0.5)),
    ):
        alive.call_started("s1", started(), NOW)
        await asyncio.sleep(1.5)
        assert await live_calls(alive) == 1
        assert await backend.event_kinds() == ["call_started"]


async def test_a_heartbeat_that_fails_by_itself_keeps_back_no_other(backend: Backend) -> None:
    async with (
        running(backend.store(heartbeat_s=0.05, lost_after_s=60.0)) as alive,
        running(backend.store(heartbeat_s=0.02, lost_after_s=0.5)) as other,
    ):
        for n in range(50):
            alive.call_started(f"s{n}", started(f"call-{n}"), NOW)
        await delivered(alive)
        await backend.redis.set(keys.call_key("call-0"), "of another program")
        await asyncio.sleep(1.5)
        assert alive.redis_up
        beats = await backend.redis.zcard(keys.CALLS_LIVE)
        assert beats >= 49
        assert other.redis_up


async def test_no_call_is_ended_as_lost_before_redis_has_replied_for_long_enough(
    backend: Backend,
) -> None:
    """After an outage all heartbeats are old."""
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
    await asyncio.sleep(0.6)
    since = time.monotonic()
    async with running(backend.store(heartbeat_s=0.02, lost_after_s=0.5)) as store:

        async def none_live() -> bool:
            return await live_calls(store) == 0

        await until(none_live)
        assert time.monotonic() - since >= 0.5


async def test_a_call_ended_as_lost_is_live_again_when_its_service_is_back(
    backend: Backend,
) -> None:
    async with (
        running(backend.store(heartbeat_s=1.0)) as silent,
        running(backend.store(heartbeat_s=0.02, lost_after_s=0.2)) as other,
    ):
        silent.call_started("s1", started(), NOW)

        async def ended() -> bool:
            return await backend.event_kinds() == ["call_started", "call_ended"]

        async def live_again() -> bool:
            return await live_calls(other) == 1

        await until(ended)
        await until(live_again)
        call = await other.call("call-1")
        assert call is not None
        assert (call.ended_at, call.reason) == (None, None)
        assert await backend.redis.ttl(keys.call_key("call-1")) == -1
