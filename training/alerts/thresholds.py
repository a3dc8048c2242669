"""The trade-off between caught episodes and false alerts, and the thresholds chosen from it.

Thresholds are chosen on calls of validation speakers; calls of test speakers show, once, how well
they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from model.artifact import Thresholds
from model.labels import ALERTED_EMOTIONS, Emotion
from training.alerts.callers import HELD_OUT_SETS, HeldOutSet
from training.alerts.matching import match_alerts
from training.alerts.performance import (
    AlertParameters,
    AlertPerformance,
    MatchedCall,
    alert_performance,
)
from training.alerts.playing import (
    CallsSummary,
    PlayedCall,
    Simulator,
    TimedReadingT,
    play_calls,
)
from training.alerts.simulated_calls import CallsConfig
from training.data.manifest import Utterance
from training.pages import without_nan
from training.progress import ProgressBar

FIRE_AT = tuple(round(0.01 * i, 2) for i in range(10, 99))
# Also tried on the validation speakers, to show what other settings of the service would give.
HOLDS_S = (0.0, 1.0, 2.5)
SMOOTHS_S = (0.0, 0.75, 1.5, 3.0)


class TradeoffError(ValueError):
    """Thresholds cannot be chosen; the message states what came and what was expected."""


@dataclass(frozen=True, slots=True)
class TradeoffConfig:
    """The parameters of an evaluation of alerts.

    An artifact keeps these fields under their names here: renaming one changes its meta.json.

    Raises:
        TradeoffError: a value is out of range, or an alerted emotion has no limit.
    """

    hold_s: float  # as in the service's settings: speech at or above before an alert fires
    smooth_s: float
    calls: CallsConfig = CallsConfig()
    false_per_hour: Mapping[Emotion, float] = field(  # limit, on the validation speakers
        default_factory=lambda: dict.fromkeys(ALERTED_EMOTIONS, 2.0)
    )
    clear_ratio: float = 0.75  # an alert clears below this share of the threshold that it fires at
    draws: int = 1000  # of the bootstrap

    def __post_init__(self) -> None:
        if not 0 <= self.clear_ratio <= 1:
            raise TradeoffError(f"got clear_ratio {self.clear_ratio}, expected 0 to 1")
        if set(self.false_per_hour) != set(ALERTED_EMOTIONS):
            got = ", ".join(self.false_per_hour) or "none"
            raise TradeoffError(
                f"got limits of false alerts for {got}, "
                f"expected them for {', '.join(ALERTED_EMOTIONS)}"
            )
        for emotion, limit in self.false_per_hour.items():
            if not limit >= 0:
                raise TradeoffError(
                    f"got at most {limit} false alerts of {emotion} an hour, expected 0 or more"
                )


@dataclass(frozen=True, slots=True)
class EmotionTradeoff:
    """The results for one emotion."""

    chosen: AlertParameters
    curve: Mapping[HeldOutSet, Sequence[AlertPerformance]]  # by rising threshold
    at_chosen: Mapping[HeldOutSet, AlertPerformance]
    at_present: Mapping[HeldOutSet, AlertPerformance]  # at the thresholds that the model has
    corpora: Mapping[HeldOutSet, Mapping[str, AlertPerformance]]  # at the chosen ones
    # The best with other holds and smoothings, on validation speakers.
    others: Sequence[AlertPerformance]


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """All results of an evaluation: the source of its page, and of an artifact's thresholds."""

    model: str
    version: str
    config: TradeoffConfig
    calls: Mapping[HeldOutSet, CallsSummary]
    emotions: Mapping[Emotion, EmotionTradeoff]

    @property
    def thresholds(self) -> dict[Emotion, Thresholds]:
        return {emotion: found.chosen.thresholds for emotion, found in self.emotions.items()}

    @property
    def provenance(self) -> dict[str, Any]:
        """Returns what an artifact keeps beside thresholds: they suit one hold and smoothing."""
        test = {
            emotion: asdict(found.at_chosen["test"]) for emotion, found in self.emotions.items()
        }
        return {"config": asdict(self.config), "test": without_nan(test)}

    def as_dict(self) -> dict[str, Any]:
        """Returns JSON values; an estimate of nothing is None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


def best(curve: Sequence[AlertPerformance], false_per_hour: float) -> AlertPerformance | None:
    """Returns the point that catches most within a limit of false alerts, None if none is within.

    Of equals the one with fewer false alerts is taken, then the one with the higher threshold.
    """

    def order(point: AlertPerformance) -> tuple[float, float, float]:
        return point.caught.value, -point.false_per_hour.value, point.rule.fire_at

    within = [point for point in curve if point.false_per_hour.value <= false_per_hour]
    return max(within, key=order, default=None)


def choose(
    curve: Sequence[AlertPerformance], emotion: Emotion, false_per_hour: float
) -> AlertPerformance:
    """Returns the best point of the validation speakers' curve.

    Raises:
        TradeoffError: there is no episode to catch, or no threshold within the limit.
    """
    if not curve[0].episodes:
        raise TradeoffError(
            f"found no episode of {emotion} in the calls of the validation speakers, "
            "expected one or more"
        )
    chosen = best(curve, false_per_hour)
    if chosen is None:
        least = min(point.false_per_hour.value for point in curve)
        raise TradeoffError(
            f"{emotion}: found {least:.1f} false alerts an hour or more at every threshold, "
            f"expected {false_per_hour:g} or fewer at one"
        )
    return chosen


def evaluate(
    utterances: Sequence[Utterance],
    simulator: Simulator[TimedReadingT],
    config: TradeoffConfig,
    *,
    fire_at: Sequence[float] = FIRE_AT,
    holds_s: Sequence[float] = HOLDS_S,
    smooths_s: Sequence[float] = SMOOTHS_S,
) -> Tradeoff:
    """Plays all calls, chooses thresholds on validation speakers, measures them on test speakers.

    `fire_at` are the thresholds tried; `holds_s` x `smooths_s` are the other settings tried.

    Raises:
        CallsError: the model does not name its held-out speakers, or none of them is a caller.
        RecordingError: the file of an utterance cannot be read.
        TradeoffError: no thresholds can be chosen.
    """
    played, summaries = play_calls(utterances, simulator, config.calls)
    curves_to_measure = len(HELD_OUT_SETS) + len(holds_s) * len(smooths_s)
    with ProgressBar("thresholds", curves_to_measure * len(fire_at)) as bar:
        curves = {
            name: _curves(played[name], simulator, config, fire_at, bar) for name in HELD_OUT_SETS
        }
        chosen = {
            emotion: choose(curves["valid"][emotion], emotion, config.false_per_hour[emotion]).rule
            for emotion in ALERTED_EMOTIONS
        }
        others = [
            _curves(
                played["valid"],
                simulator,
                replace(config, draws=0, hold_s=hold_s, smooth_s=smooth_s),
                fire_at,
                bar,
            )
            for hold_s in holds_s
            for smooth_s in smooths_s
        ]
    present = {
        emotion: replace(chosen[emotion], fire_at=at.fire_at, clear_at=at.clear_at)
        for emotion, at in simulator.meta.thresholds.items()
        if emotion in ALERTED_EMOTIONS
    }

    def measure(
        rules: Mapping[Emotion, AlertParameters], corpus: str | None = None
    ) -> dict[HeldOutSet, dict[Emotion, AlertPerformance]]:
        return {
            name: _measure(
                [call for call in played[name] if corpus in (None, call.corpus)],
                simulator,
                rules,
                config.draws,
            )
            for name in HELD_OUT_SETS
        }

    at_chosen, at_present = measure(chosen), measure(present)
    corpora = {
        corpus: measure(chosen, corpus)
        for corpus in sorted({call.corpus for name in HELD_OUT_SETS for call in played[name]})
    }
    return Tradeoff(
        model=simulator.meta.name,
        version=simulator.meta.version,
        config=config,
        calls=summaries,
        emotions={
            emotion: EmotionTradeoff(
                chosen=chosen[emotion],
                curve={name: curves[name][emotion] for name in HELD_OUT_SETS},
                at_chosen={name: at_chosen[name][emotion] for name in HELD_OUT_SETS},
                at_present={name: at_present[name][emotion] for name in HELD_OUT_SETS},
                corpora={
                    name: {
                        corpus: by_set[name][emotion]
                        for corpus, by_set in corpora.items()
                        if by_set[name][emotion].speakers
                    }
                    for name in HELD_OUT_SETS
                },
                others=[
                    point
                    for by_emotion in others
                    if (point := best(by_emotion[emotion], config.false_per_hour[emotion]))
                ],
            )
            for emotion in ALERTED_EMOTIONS
        },
    )


def _measure(
    played: Sequence[PlayedCall[TimedReadingT]],
    simulator: Simulator[TimedReadingT],
    rules: Mapping[Emotion, AlertParameters],
    draws: int,
) -> dict[Emotion, AlertPerformance]:
    """Measures every emotion with its own thresholds; hold and smoothing are the same for all."""
    thresholds = {emotion: rule.thresholds for emotion, rule in rules.items()}
    rule = next(iter(rules.values()))
    matched: dict[Emotion, list[MatchedCall]] = {emotion: [] for emotion in rules}
    for call in played:
        fired = simulator.fired(call.readings, thresholds, rule.hold_s, rule.smooth_s)
        for emotion, fired_s in fired.items():
            alerts = match_alerts(call.episodes, emotion, fired_s)
            matched[emotion].append(MatchedCall(call.speaker, call.hours, alerts))
    return {
        emotion: alert_performance(rules[emotion], matched[emotion], draws) for emotion in rules
    }


def _curves(
    played: Sequence[PlayedCall[TimedReadingT]],
    simulator: Simulator[TimedReadingT],
    config: TradeoffConfig,
    fire_at: Sequence[float],
    bar: ProgressBar,
) -> dict[Emotion, list[AlertPerformance]]:
    """Measures every emotion at every threshold."""
    curves: dict[Emotion, list[AlertPerformance]] = {emotion: [] for emotion in ALERTED_EMOTIONS}
    for at in fire_at:
        clear_at = round(at * config.clear_ratio, 4)
        rule = AlertParameters(at, clear_at, config.hold_s, config.smooth_s)
        found = _measure(played, simulator, dict.fromkeys(ALERTED_EMOTIONS, rule), config.draws)
        for emotion in ALERTED_EMOTIONS:
            curves[emotion].append(found[emotion])
        bar.advance(f"hold {config.hold_s:g} s, smooth {config.smooth_s:g} s")
    return curves
