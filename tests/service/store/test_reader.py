from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from model.labels import Emotion
from service.events import Track
from service.store import keys
from service.store.alert_filter import AlertFilter
from service.store.errors import BadCursor
from service.store.store import Store
from service.store.views import CALL_ALERTS_LIMIT
from tests.service.store.backend import Backend, delivered, running, until
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
        calls = (await store.calls(None, 10)).calls
        assert [call.call_id for call in calls] == ["call-3", "call-1", "call-4", "call-2"]
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


async def pages_of_calls(store: Store, limit: int) -> AsyncIterator[list[str]]:
    before = None
    while True:
        page = await store.calls(before, limit)
        yield [call.call_id for call in page.calls]
        before = page.next
        if before is None:
            return


async def test_pages_of_calls_miss_none_whatever_starts_and_ends_meanwhile(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        for n in range(1, 8):
            # Two at a time start at the same moment; the odd ones end.
            store.call_started(f"s{n}", started(f"call-{n}"), NOW - 100 + n // 2)
        for n in range(1, 8, 2):
            store.call_ended(f"s{n}", f"call-{n}", "hangup", 7.5, NOW)
        await delivered(store)
        pages = pages_of_calls(store, 2)
        assert await anext(pages) == ["call-6", "call-4"]
        store.call_started("new", started("new"), NOW)
        store.call_ended("s4", "call-4", "hangup", 7.5, NOW)  # on which the next page stands
        store.call_ended("s2", "call-2", "hangup", 7.5, NOW)
        await delivered(store)
        assert [page async for page in pages] == [
            ["call-7", "call-5"],
            ["call-4", "call-3"],  # call-4 again, as it has ended
            ["call-2", "call-1"],
        ]
        assert [page async for page in pages_of_calls(store, 100)] == [
            ["new", "call-6", *(f"call-{n}" for n in (7, 5, 4, 3, 2, 1))]
        ]


async def test_a_page_of_calls_reads_no_more_than_its_limit(real: Backend) -> None:
    async with running(real.store()) as store:
        for n in range(300):
            store.call_started(f"s{n}", started(f"call-{n}"), NOW - 300 + n)
        await delivered(store)
        await real.redis.config_resetstat()
        page = await store.calls(None, 5)
        stats = await real.redis.info("commandstats")
    assert [call.call_id for call in page.calls] == [f"call-{n}" for n in range(299, 294, -1)]
    assert stats["cmdstat_hgetall"]["calls"] == 5
    assert "cmdstat_zrange" not in stats  # of all that are live


async def test_live_calls_that_an_earlier_version_wrote_are_listed_as_live(
    backend: Backend,
) -> None:
    async with running(backend.store(heartbeat_s=0.05)) as store:
        for call_id in ("old", "new"):
            store.call_started(call_id, started(call_id), NOW)
        store.call_ended("new", "new", "hangup", 1.0, NOW)
        await delivered(store)
        await backend.redis.delete(keys.CALLS_LIVE_BY_TIME)

        async def listed() -> bool:
            return await backend.redis.zscore(keys.CALLS_LIVE_BY_TIME, "old") is not None

        await until(listed)
        assert [page async for page in pages_of_calls(store, 1)] == [["old"], ["new"]]
        key = keys.CALLS_BY_TIME
        expected = await backend.redis.zscore(key, "old")
        assert await backend.redis.zscore(keys.CALLS_LIVE_BY_TIME, "old") == expected


async def test_readings_come_in_pages_the_last_first(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        for number in range(1, 8):
            store.reading("s1", reading(number), NOW)
        await delivered(store)
        found, before = [], None
        while before is not None or not found:
            page = await store.call("call-1", before, 3)
            assert page is not None
            found.append([r.number for r in page.readings])
            before = page.next
            store.reading("s1", reading(7 + len(found)), NOW)
            await delivered(store)
        assert found == [[5, 6, 7], [2, 3, 4], [1]]
        with pytest.raises(ValueError, match="got a limit of 0, expected 1 or more"):
            await store.call("call-1", None, 0)


async def test_a_call_comes_with_its_last_alerts_however_many_it_has(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        for n in range(CALL_ALERTS_LIMIT + 150):
            step = transition(1, FIRING, alert_id=f"a{n}")
            store.transition("s1", replace(step, since_s=float(n)), NOW)
        await delivered(store)
        call = await store.call("call-1")
        assert call is not None
        assert [alert.since_s for alert in call.alerts] == list(range(150, CALL_ALERTS_LIMIT + 150))


@pytest.mark.parametrize("cursor", ["", "x", "0-0", "live:1", "live:1:", "live:1e9:c"])
async def test_what_is_no_place_in_the_list_of_calls_is_refused(
    backend: Backend, cursor: str
) -> None:
    store = backend.store()
    with pytest.raises(BadCursor) as refused:
        await store.calls(cursor, 3)
    assert str(refused.value) == f"got {cursor!r}, expected `next` of an earlier page"
    with pytest.raises(BadCursor, match="expected `next` of an earlier page"):
        await store.call("call-1", cursor, 3)
    await store.close()


async def test_alerts_that_fired_come_in_pages_newest_first(backend: Backend) -> None:
    async with running(backend.store()) as store:
        for n in range(7):
            for number, state in enumerate((PENDING, FIRING), 1):
                # Two at a time fire at the same moment.
                step = transition(number, state, alert_id=f"a{n}")
                store.transition("s1", step, NOW + n // 2)
        store.transition("s1", transition(1, PENDING, alert_id="never-fired"), NOW)
        await delivered(store)
        first = await store.reader.alerts(None, 3)
        store.transition("s1", transition(1, FIRING, alert_id="newer"), NOW + 100)
        await delivered(store)
        second = await store.reader.alerts(first.next, 3)
        third = await store.reader.alerts(second.next, 3)
        assert [[a.alert_id for a in page.alerts] for page in (first, second, third)] == [
            ["a6", "a5", "a4"],
            ["a3", "a2", "a1"],
            ["a0"],
        ]
        assert third.next is None
        assert (await store.reader.alerts("long-gone", 3)).alerts == []
        with pytest.raises(ValueError, match="got a limit of 0, expected 1 or more"):
            await store.reader.alerts(None, 0)


async def test_alerts_that_match_nothing_are_read_many_at_once(real: Backend) -> None:
    async with running(real.store()) as store:
        store.call_started("s1", started(), NOW)
        for n in range(300):
            for number, state in enumerate((PENDING, FIRING), 1):
                store.transition("s1", transition(number, state, alert_id=f"a{n}"), NOW + n)
        await delivered(store)
        await store.reader.alerts(None, 1)  # loads the script
        await real.redis.config_resetstat()
        page = await store.reader.alerts(None, 1, AlertFilter(queue="none"))
        stats = await real.redis.info("commandstats")
    assert (page.alerts, page.next) == ([], None)
    assert stats["cmdstat_evalsha"]["calls"] <= 2
