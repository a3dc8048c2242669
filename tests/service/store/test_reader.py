import pytest

from model.labels import Emotion
from service.events import Track
from tests.service.store.backend import Backend, delivered, running
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
