"""Counts of alerts and dismissals, a day and a queue."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from model.labels import Emotion
from service.alerts.lifecycle import Action, ActionKind, Why
from service.store.errors import TooManyAlerts
from service.store.summary import Summaries
from tests.service.store.backend import Backend, delivered, running
from tests.service.store.facts import FIRING, NOW, started, transition

HOUR_S, DAY_S = 3600.0, 86_400.0


async def test_alerts_are_counted_by_day_queue_and_emotion(backend: Backend) -> None:
    midnight = NOW - NOW % DAY_S
    times = [midnight - 5 * HOUR_S, midnight - HOUR_S, midnight - HOUR_S, midnight - 1.0]
    async with running(backend.store(retention_s=30 * DAY_S)) as store:
        store.call_started("s1", started(), NOW)
        for number, (at, queue) in enumerate(zip(times, ("a", "a", "a", None), strict=True)):
            emotion = Emotion.HAPPINESS if number == 0 else Emotion.ANGER
            step = transition(1, FIRING, alert_id=f"a{number}", emotion=emotion)
            store.transition("s1", step, at, queue=queue)
        await delivered(store)
        for number, why in ((1, Why.NOT_ANGRY), (2, Why.OTHER)):
            await store.actions.act(f"a{number}", Action("x", ActionKind.TAKE, "Ada"))
            dismissal = Action("y", ActionKind.DISMISS, "Ada", why=why)
            await store.actions.act(f"a{number}", dismissal)

        day = datetime.fromtimestamp(midnight - 1, UTC).date().isoformat()
        found = (await store.summaries.alerts(midnight - DAY_S, midnight, UTC)).counts
        assert [(c.day, c.queue, c.emotion, c.fired, c.taken) for c in found] == [
            (day, None, "anger", 1, 0),
            (day, "a", "anger", 2, 2),
            (day, "a", "happiness", 1, 0),
        ]
        assert found[1].dismissed == {Why.NOT_ANGRY: 1, Why.OTHER: 1}
        assert [count.false_alarm_share for count in found] == [0.0, 1.0, 0.0]

        tokyo = (await store.summaries.alerts(0, NOW, ZoneInfo("Asia/Tokyo"))).counts
        assert {count.day for count in tokyo} == {
            datetime.fromtimestamp(midnight, UTC).date().isoformat()
        }
        late = (await store.summaries.alerts(midnight - 2 * HOUR_S, midnight - 2, UTC)).counts
        assert [(count.queue, count.fired) for count in late] == [("a", 2)]


async def test_a_span_with_too_many_alerts_is_refused(backend: Backend) -> None:
    async with running(backend.store()) as store:
        for number in range(3):
            store.transition("s1", transition(1, FIRING, alert_id=f"a{number}"), NOW)
        await delivered(store)
        with pytest.raises(TooManyAlerts, match="more than 2 alerts, expected a shorter one"):
            await Summaries(backend.redis, longest=2).alerts(0, NOW + DAY_S, UTC)
