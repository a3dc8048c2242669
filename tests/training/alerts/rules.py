"""Parameters of alerts, and calls with a given number of caught episodes and false alerts."""

from collections import Counter

from model.labels import Emotion
from training.alerts.matching import MatchedAlerts
from training.alerts.performance import AlertParameters, MatchedCall

CHOSEN = AlertParameters(fire_at=0.5, clear_at=0.375, hold_s=2.5, smooth_s=3.0)


def call(
    speaker: str,
    hours: float = 1.0,
    episodes: int = 0,
    delays_s: tuple[float, ...] = (),
    false: int = 0,
) -> MatchedCall:
    wrong = Counter({Emotion.NEUTRAL: false} if false else {})
    matched = MatchedAlerts(episodes, delays_s, 0, 0, len(delays_s) + false, wrong)
    return MatchedCall(speaker, hours, matched)
