"""How well alerts do over many calls: share of episodes caught, delay, false alerts an hour."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.artifact import Thresholds
from model.labels import Emotion
from training.alerts.matching import MatchedAlerts
from training.metrics import Estimate, estimate, speaker_weights

SOON_S = 4.0  # from onset to alert: early enough for an operator to act


@dataclass(frozen=True, slots=True)
class AlertParameters:
    """The parameters of the alert policy that are evaluated."""

    fire_at: float
    clear_at: float
    hold_s: float  # speech at or above `fire_at` before an alert fires (KANJO_HOLD_S)
    smooth_s: float  # speech over which probabilities are smoothed (KANJO_SMOOTH_S)

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.fire_at, self.clear_at)


@dataclass(frozen=True, slots=True)
class MatchedCall:
    """One call's alerts of one emotion."""

    speaker: str  # the unit of the bootstrap
    hours: float
    matched: MatchedAlerts


@dataclass(frozen=True, slots=True)
class AlertPerformance:
    """What one set of parameters gives for one emotion over some calls.

    An artifact keeps these fields under their names here: renaming one changes its meta.json.
    """

    rule: AlertParameters
    speakers: int
    hours: float
    episodes: int
    caught: Estimate  # share of the episodes
    soon: Estimate  # share of the episodes with an alert within SOON_S of their onset
    delay_s: tuple[float, float, float] | None  # quartiles over caught episodes
    short_episodes: int
    short_caught: int
    alerts: int
    false: Mapping[Emotion, int]  # by the caller's emotion at that time
    false_per_hour: Estimate
    precision: Estimate  # share of the alerts that belong to an episode


def alert_performance(
    rule: AlertParameters, calls: Sequence[MatchedCall], draws: int
) -> AlertPerformance:
    """Returns the figures of all calls together, with 95 % intervals by bootstrap over speakers.

    An estimate is NaN where nothing was counted, and has no interval for a single speaker.
    """
    number = {speaker: i for i, speaker in enumerate(sorted({call.speaker for call in calls}))}
    counts = np.zeros((len(number), 6))
    false: Counter[Emotion] = Counter()
    for call in calls:
        counts[number[call.speaker]] += (
            call.matched.episodes,
            len(call.matched.delays_s),
            sum(delay_s <= SOON_S for delay_s in call.matched.delays_s),
            call.matched.alerts,
            call.matched.false.total(),
            call.hours,
        )
        false += call.matched.false
    # Of a single speaker every draw is the sample itself: that is no interval.
    weights = speaker_weights(len(number), draws if len(number) > 1 else 0, 0)
    episodes, caught, soon, alerts, wrong, hours = (weights @ counts).T  # (1 + draws,) each
    delays_s = [delay_s for call in calls for delay_s in call.matched.delays_s]
    low_s, median_s, high_s = np.quantile(delays_s, [0.25, 0.5, 0.75]) if delays_s else [0] * 3
    return AlertPerformance(
        rule=rule,
        speakers=len(number),
        hours=float(hours[0]),
        episodes=int(episodes[0]),
        caught=_rate(caught, episodes),
        soon=_rate(soon, episodes),
        delay_s=(float(low_s), float(median_s), float(high_s)) if delays_s else None,
        short_episodes=sum(call.matched.short_episodes for call in calls),
        short_caught=sum(call.matched.short_caught for call in calls),
        alerts=int(alerts[0]),
        false=dict(false),
        false_per_hour=_rate(wrong, hours),
        precision=_rate(alerts - wrong, alerts),
    )


def _rate(count: NDArray[np.float64], of: NDArray[np.float64]) -> Estimate:
    """Estimates a ratio of sums, of the sample and of every draw: (1 + draws,) each."""
    return estimate(np.divide(count, of, out=np.full_like(of, np.nan), where=of > 0))
