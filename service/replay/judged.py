"""Recorded calls whose alerts people have judged, and the alert policy run on them again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.artifact import Thresholds
from model.labels import Emotion
from service.alerts.lifecycle import Why
from service.alerts.policy import AlertPolicy, AlertRule
from service.events import AlertState, Reading, Track
from service.store import redis_client
from service.store.reader import Reader
from service.store.views import AlertView, CallDetail

PAGE = 1000
READINGS = 10_000  # of a call; fewer are kept
FALSE = (Why.NOT_ANGRY, Why.NOT_THE_CALLER)


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call with the alerts of its caller that fired, and the caller's readings."""

    readings: Sequence[Reading]
    alerts: Sequence[AlertView]


def is_real(alert: AlertView) -> bool | None:
    """Returns what people made of an alert: dismissed as false, taken, or None, neither of them.

    One that somebody took and did not dismiss counts as real, though they may have been too busy
    to say that it was not. One that was dismissed for another reason says nothing.
    """
    if alert.dismissed is not None:
        return False if alert.dismissed.why in FALSE else None
    return True if alert.taken is not None else None


async def judged_calls(url: str) -> tuple[list[RecordedCall], int]:
    """Returns the calls with a judged alert whose readings are still kept, and how many are not.

    Raises:
        UnusableRedisUrl: the URL can't be one of Redis.
        StoreUnavailable: Redis does not reply.
    """
    redis = redis_client.connect(url)
    try:
        reader = Reader(redis)
        sessions: dict[str, str] = {}  # call id by session
        before: str | None = None
        while True:
            page = await reader.alerts(before, PAGE)
            for alert in page.alerts:
                if alert.session and is_real(alert) is not None:
                    sessions[alert.session] = alert.call_id
            before = page.next
            if before is None:
                break
        details = [
            (session, await reader.call(id, limit=READINGS)) for session, id in sessions.items()
        ]
    finally:
        await redis.aclose()
    found = [_recorded(call) for session, call in details if call and call.session == session]
    kept = [call for call in found if call.readings]
    return kept, len(sessions) - len(kept)


def _recorded(call: CallDetail) -> RecordedCall:
    return RecordedCall(
        [
            Reading(
                call_id=view.call_id,
                number=view.number,
                track=view.track,
                start_s=view.start_s,
                end_s=view.end_s,
                heard_s=view.heard_s,
                probabilities=view.probabilities,
            )
            for view in call.readings
            if view.track is Track.CALLER
        ],
        [a for a in call.alerts if a.track is Track.CALLER and a.fired_at_s is not None],
    )


def fired_spans(
    readings: Sequence[Reading],
    thresholds: Mapping[Emotion, Thresholds],
    *,
    hold_s: float,
    release_s: float,
    smooth_s: float,
) -> dict[Emotion, list[tuple[float, float]]]:
    """Returns from when to when alerts of each emotion would have been firing, in call time."""
    rules = [
        AlertRule(emotion, at.fire_at, at.clear_at, hold_s, release_s, smooth_s)
        for emotion, at in thresholds.items()
    ]
    spans: dict[Emotion, list[tuple[float, float]]] = {emotion: [] for emotion in thresholds}
    policy = AlertPolicy("judged", readings[0].call_id if readings else "", rules)
    began: dict[Emotion, float] = {}
    steps = [step for reading in readings for step in policy.update(reading)]
    end_s = max((reading.end_s for reading in readings), default=0.0)
    for step in [*steps, *policy.end(end_s)]:
        if step.state is AlertState.FIRING:
            began[step.emotion] = step.at_s
        elif step.state is AlertState.RESOLVED:
            spans[step.emotion].append((began.pop(step.emotion, -math.inf), step.at_s))
    return spans
