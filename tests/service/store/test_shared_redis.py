"""Several services on one Redis: clocks, call ids, and whether it keeps what it is given."""

import asyncio

import pytest

from service.store import keys
from service.store.eviction import EvictionWatch
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import FIRING, NOW, PENDING, reading, started, transition

HOUR_S = 3600.0


async def test_calls_and_alerts_are_in_their_order_whatever_the_services_clocks_are(
    backend: Backend,
) -> None:
    """The scores are by Redis's clock; the services' clocks are an hour fast and slow."""
    now = NOW
    async with (
        running(backend.store(wall_clock=lambda: now + HOUR_S)) as fast,
        running(backend.store(wall_clock=lambda: now - HOUR_S)) as slow,
    ):
        order = [slow, fast, slow, fast]
        for n, store in enumerate(order):
            at = now + (HOUR_S if store is fast else -HOUR_S)
            store.call_started(f"s{n}", started(f"call-{n}"), at)
            step = transition(1, FIRING, alert_id=f"a{n}", call_id=f"call-{n}")
            store.transition(f"s{n}", step, at)
            await delivered(store)
            now += 1.0
            await asyncio.sleep(0.05)  # Redis's own clock goes on as well
        assert await backend.redis.zrange(keys.CALLS_BY_TIME, 0, -1) == [
            f"call-{n}" for n in range(4)
        ]
        assert [alert.alert_id for alert in (await fast.reader.alerts(None, 10)).alerts] == [
            f"a{n}" for n in (3, 2, 1, 0)
        ]
        # All three sets are of one clock, and so agree on what is older than the retention.
        time_s, _ = await backend.redis.time()
        for name in (keys.CALLS_BY_TIME, keys.ALERTS_BY_TIME, keys.CALLS_LIVE):
            scores = [
                score for _, score in await backend.redis.zrange(name, 0, -1, withscores=True)
            ]
            assert all(abs(score - time_s) < 60 for score in scores), name


async def test_what_waited_for_redis_is_placed_where_it_happened(real: Backend) -> None:
    assert real.server is not None
    now = NOW
    async with (
        running(real.store(wall_clock=lambda: now)) as away,
        running(real.store(wall_clock=lambda: now)) as there,
    ):
        waiting = transition(1, FIRING, alert_id="waited")
        there.transition("s2", transition(1, FIRING, alert_id="direct"), now)
        await delivered(there)
        await asyncio.sleep(0.05)
        # It fired ten minutes before the other and arrives after it.
        away.transition("s1", waiting, now - 600)
        await delivered(away)
        page = await there.reader.alerts(None, 10)
        assert [alert.alert_id for alert in page.alerts] == ["direct", "waited"]


async def test_readings_that_lose_against_another_session_of_their_call_id_are_counted(
    backend: Backend, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(backend.store()) as loser, running(backend.store()) as winner:
        loser.call_started("s1", started("+49301234567"), NOW)
        for number in (1, 2, 3):
            loser.reading("s1", reading(number, "+49301234567"), NOW)
        await delivered(loser)
        assert winner.superseded_readings == loser.superseded_readings == 0
        winner.call_started("s2", started("+49301234567"), NOW)
        winner.reading("s2", reading(1, "+49301234567"), NOW)
        await delivered(winner)
        assert winner.superseded_readings == 3  # of the session that it took the id from
        for number in range(4, 14):
            loser.reading("s1", reading(number, "+49301234567"), NOW)
        await delivered(loser)
        assert loser.superseded_readings == 10
        call = await winner.call("+49301234567")
        assert call is not None
        assert (call.session, [r.number for r in call.readings]) == ("s2", [1])
        loser.transition("s1", transition(1, PENDING), NOW)  # alerts are kept all the same
        await delivered(loser)
        assert len(await backend.transitions()) == 1
    told = "".join(capfd.readouterr())
    assert told.count("call_id_taken") == 2  # once a session and service
    assert "+49" not in told


async def test_a_call_id_that_is_used_again_after_its_call_supersedes_nothing(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        for session in ("s1", "s2"):
            store.call_started(session, started(), NOW)
            store.reading(session, reading(1), NOW)
            store.reading(session, reading(1), NOW)  # a repetition is none either
            store.call_ended(session, "call-1", "hangup", 3.0, NOW)
        await delivered(store)
        assert store.superseded_readings == 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
async def test_a_redis_that_may_evict_is_warned_of(
    real: Backend, policy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await real.redis.config_set("maxmemory-policy", policy)
    watch = EvictionWatch(real.redis, look_s=0.02)
    looking = asyncio.create_task(watch.run())
    await asyncio.sleep(0.2)
    assert watch.problem is None  # without a limit nothing is ever evicted
    await real.redis.config_set("maxmemory", "1gb")
    await until(lambda: watch.problem is not None)
    assert watch.problem is not None
    assert policy in watch.problem.what
    await asyncio.sleep(0.2)
    await real.redis.config_set("maxmemory-policy", "noeviction")
    await until(lambda: watch.problem is None)
    looking.cancel()
    assert "".join(capfd.readouterr()).count("redis_may_evict") == 1


async def test_a_store_names_a_redis_that_may_evict_from_its_start(real: Backend) -> None:
    await real.redis.config_set("maxmemory-policy", "allkeys-lru")
    await real.redis.config_set("maxmemory", "1gb")
    async with running(real.store()) as store:
        await until(lambda: store.problems != [])
        assert "allkeys-lru" in store.problems[0].what
        assert store.keeps_writes


@pytest.mark.parametrize("forbidden", ["-config", "-info", "-@admin"])
async def test_a_managed_redis_that_forbids_commands_is_served(
    real: Backend, forbidden: str
) -> None:
    await real.redis.execute_command("ACL", "SETUSER", "default", forbidden)
    async with running(real.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        assert store.problems == []
