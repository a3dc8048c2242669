"""Redis loses its data, all or in part: live calls and open alerts are told again, once."""

import shutil
from collections.abc import Awaitable, Callable

import pytest

from service.store import keys
from tests.service.store.backend import Backend, delivered, live_calls, running, until
from tests.service.store.facts import (
    FIRING,
    NOW,
    PENDING,
    RESOLVED,
    reading,
    started,
    transition,
)


async def flush(real: Backend) -> None:
    await real.redis.flushall()


async def flush_with_scripts(real: Backend) -> None:
    await real.redis.flushall()
    await real.redis.script_flush()


async def restart_empty(real: Backend) -> None:
    assert real.server is not None
    real.server.stop()
    shutil.rmtree(real.folder / "redis" / "appendonlydir")
    real.server.start()


LOSSES = [flush, flush_with_scripts, restart_empty]
Loss = Callable[[Backend], Awaitable[None]]
OPEN = [("a-firing", "1", "pending"), ("a-firing", "2", "firing"), ("a-pending", "1", "pending")]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
async def test_live_calls_and_open_alerts_are_written_again_before_anything_else(
    real: Backend, lose: Loss
) -> None:
    # No heartbeat but the first: the next write alone finds out.
    async with running(real.store(heartbeat_s=60.0)) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="a-closed"), NOW)
        store.transition("s1", transition(2, FIRING, alert_id="a-closed"), NOW)
        store.transition("s1", transition(3, RESOLVED, alert_id="a-closed"), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="a-firing"), NOW + 1)
        store.transition("s1", transition(2, FIRING, alert_id="a-firing"), NOW + 2)
        store.transition("s1", transition(1, PENDING, alert_id="a-pending"), NOW + 3)
        store.reading("s1", reading(6), NOW)
        store.call_started("s2", started("call-2"), NOW)
        store.call_ended("s2", "call-2", "hangup", 3.0, NOW + 4)
        await delivered(store)
        await lose(real)
        store.reading("s1", reading(7), NOW)  # the first write after the loss is kept too
        await delivered(store)
        assert await real.transitions() == OPEN
        [call] = (await store.calls(None, 10)).calls
        assert (call.session, call.state) == ("s1", "live")
        detail = await store.call("call-1")
        assert detail is not None
        assert [r.number for r in detail.readings] == [7]
        assert {alert.alert_id: alert.state for alert in detail.alerts} == {
            "a-firing": FIRING,
            "a-pending": PENDING,
        }
        [fired] = (await store.reader.alerts(None, 10)).alerts
        assert (fired.alert_id, fired.at) == ("a-firing", NOW + 2)
        # Once: what comes later neither repeats nor lacks a step.
        store.transition("s1", transition(3, RESOLVED, alert_id="a-firing"), NOW + 5)
        store.call_ended("s1", "call-1", "hangup", 99.0, NOW + 9)
        await delivered(store)
        assert (await real.transitions())[3:] == [
            ("a-firing", "3", "resolved"),
            ("a-pending", "2", "lapsed"),
        ]


async def test_an_idle_service_tells_again_at_its_next_heartbeat(real: Backend) -> None:
    async with running(real.store(heartbeat_s=0.05)) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        await real.redis.flushall()

        async def written_again() -> bool:
            return await live_calls(store) == 1 and await real.transition_count() == 1

        await until(written_again)


async def test_every_service_tells_again_of_its_own(real: Backend) -> None:
    async with (
        running(real.store(heartbeat_s=0.05)) as one,
        running(real.store(heartbeat_s=0.05)) as other,
        running(real.store(heartbeat_s=0.05)),
    ):
        for store, name in ((one, "1"), (other, "2")):
            store.call_started(f"s{name}", started(f"call-{name}"), NOW)
            store.transition(f"s{name}", transition(1, PENDING, alert_id=f"a{name}"), NOW)
            await delivered(store)
        for _ in range(3):
            await real.redis.flushall()

            async def written_again() -> bool:
                return await live_calls(one) == 2 and await real.transition_count() == 2

            await until(written_again)


async def test_what_is_not_yet_delivered_is_neither_lost_nor_doubled(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="a-firing"), NOW)
        await delivered(store)
        real.server.stop()
        store.transition("s1", transition(2, FIRING, alert_id="a-firing"), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="a-pending"), NOW)
        await until(lambda: not store.redis_up)
        shutil.rmtree(real.folder / "redis" / "appendonlydir")
        real.server.start()
        await delivered(store)
        assert await real.transitions() == OPEN


@pytest.mark.parametrize(
    "lost",
    [
        keys.session_key("s1"),
        keys.alert_key("s1-caller-anger-1"),
    ],
)
async def test_a_part_that_is_lost_alone_is_written_again(real: Backend, lost: str) -> None:
    async with running(real.store(heartbeat_s=0.05)) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        await delivered(store)
        before = await real.everything()
        await real.redis.delete(lost)

        async def written_again() -> bool:
            return await real.redis.exists(lost) == 1

        await until(written_again)
        await delivered(store)
        after = await real.everything()
        for key in (lost, keys.session_alerts_key("s1"), keys.ALERTS_BY_TIME):
            assert after[key] == before[key]
        assert (await store.reader.alerts(None, 10)).alerts[0].state == FIRING


async def test_subscribers_get_what_is_written_again_as_states_that_they_have(
    real: Backend,
) -> None:
    async with running(real.store(heartbeat_s=0.05)) as store:
        await until(lambda: store.feed.following)
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        await delivered(store)
        steps = await real.transitions()
        alert = await real.redis.hgetall(keys.alert_key("s1-caller-anger-1"))
        await real.redis.flushall()

        async def written_again() -> bool:
            return await real.transition_count() == 2

        await until(written_again)
        # (alert_id, number) and the state of the alert are those that they were.
        assert await real.transitions() == steps
        assert await real.redis.hgetall(keys.alert_key("s1-caller-anger-1")) == alert


async def test_what_is_on_its_way_is_not_written_again(real: Backend) -> None:
    """Heartbeats that come before the first delivery find nothing of the call in Redis."""
    await real.redis.set(keys.alert_key("bad"), "of another program")
    for n in range(20):
        async with running(real.store(heartbeat_s=0.001)) as store:
            store.call_started(f"s{n}", started(), NOW)
            store.transition(f"s{n}", transition(1, PENDING, alert_id="bad"), NOW)
            await delivered(store)
            assert len(store.dead_letters) == 1
