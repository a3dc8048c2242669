"""write.lua: what each command changes, and that a repeated command changes nothing."""

import asyncio
import time

from service.events import CallStarted, Track
from service.store import keys
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import (
    FIRING,
    LAPSED,
    NOW,
    PENDING,
    RESOLVED,
    reading,
    started,
    transition,
    whole_call,
)


async def test_every_transition_is_in_the_stream_in_order_in_plain_fields(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        await delivered(store)
        entries = [fields for _, fields in await backend.redis.xrange(keys.ALERTS)]
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


async def test_a_repeated_write_changes_nothing(backend: Backend) -> None:
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


async def test_a_repetition_of_a_replaced_session_changes_nothing(backend: Backend) -> None:
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
        assert [alert.alert_id for alert in (await store.reader.alerts(None, 10)).alerts] == [
            "s1-caller-anger-1"
        ]


async def test_a_call_that_gets_more_tracks_stays_one_call_and_a_repetition_changes_nothing(
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


async def test_a_closed_alert_takes_no_further_step(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, LAPSED), NOW)
        store.transition("s1", transition(3, FIRING), NOW)
        await delivered(store)
        assert [state for _, _, state in await backend.transitions()] == ["pending", "lapsed"]


async def test_the_end_of_a_call_closes_its_open_alerts(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="s1-caller-anger-2"), NOW)
        store.call_ended("s1", "call-1", "hangup", 99.0, NOW + 9)
        await delivered(store)
        assert (await backend.transitions())[3:] == [
            ("s1-caller-anger-1", "3", "resolved"),
            ("s1-caller-anger-2", "2", "lapsed"),
        ]
        call = await store.call("call-1")
        assert call is not None
        [alert, _] = call.alerts
        assert (alert.state, alert.resolved_at_s, alert.at) == (RESOLVED, 99.0, NOW)


async def test_what_is_older_than_the_retention_is_gone(backend: Backend) -> None:
    async with running(backend.store(retention_s=1.0, heartbeat_s=0.05, lost_after_s=0.2)) as store:
        at = time.time()
        store.call_started("s1", started(), at)
        store.reading("s1", reading(1), at)
        for n in range(250):
            store.transition("s1", transition(1, FIRING, alert_id=f"a{n}"), at)
        store.call_ended("s1", "call-1", "hangup", 1.0, at)
        await delivered(store)
        assert await backend.transition_count() >= 100

        async def all_gone() -> bool:
            return await backend.redis.keys("kanjo:*") == [keys.DATA]

        await until(all_gone)
        assert (await store.reader.alerts(None, 10)).alerts == []
        assert (await store.calls(None, 10)).calls == []


async def test_a_new_transition_trims_the_old_ones_by_itself(real: Backend) -> None:
    # No sweep interferes: it would come after the default lost_after_s of 30 s.
    async with running(real.store(retention_s=2.0)) as store:
        for n in range(250):
            store.transition("s1", transition(1, FIRING, alert_id=f"a{n}"), time.time())
        await delivered(store)
        assert await real.transition_count() == 250
        for n in range(3):
            await asyncio.sleep(0.8)
            store.transition("s1", transition(1, FIRING, alert_id=f"b{n}"), time.time())
            await delivered(store)
        assert await real.transition_count() < 150  # Redis trims whole nodes of a hundred


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
