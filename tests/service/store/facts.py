"""Facts, readings and transitions for the tests of the store."""

import time

from model.labels import EMOTIONS, Emotion
from service.events import AlertState, CallStarted, Reading, Track, Transition
from service.store.store import Store

NOW = time.time()
PENDING, FIRING = AlertState.PENDING, AlertState.FIRING
RESOLVED, LAPSED = AlertState.RESOLVED, AlertState.LAPSED


def started(call_id: str = "call-1", **metadata: str) -> CallStarted:
    return CallStarted(call_id, "twilio", (Track.CALLER, Track.AGENT), 8000, metadata)


def reading(number: int, call_id: str = "call-1", track: Track = Track.CALLER) -> Reading:
    probabilities = dict(zip(EMOTIONS, (0.7, 0.1, 0.1, 0.1), strict=True))
    return Reading(call_id, number, track, number - 1.0, number + 0.5, 1.0, probabilities)


def transition(
    number: int,
    state: AlertState,
    *,
    alert_id: str = "s1-caller-anger-1",
    call_id: str = "call-1",
    emotion: Emotion = Emotion.ANGER,
    peak: float = 0.825,
) -> Transition:
    return Transition(
        alert_id, number, call_id, Track.CALLER, emotion, state, 10.0, 10.0 + number, 0.7, peak
    )


def whole_call(store: Store, session: str = "s1", call_id: str = "call-1") -> None:
    """Writes one call with one alert, from its first fact to its last: 8 writes."""
    alert_id = f"{session}-caller-anger-1"
    store.call_started(session, started(call_id, queue="billing"), NOW)
    for number in range(1, 4):
        store.reading(session, reading(number, call_id), NOW + number)
        step = transition(
            number, (PENDING, FIRING, RESOLVED)[number - 1], alert_id=alert_id, call_id=call_id
        )
        store.transition(session, step, NOW + number)
    store.call_ended(session, call_id, "hangup", 42.5, NOW + 60)
