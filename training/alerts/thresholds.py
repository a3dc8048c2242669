"""What an operator lives with: how many episodes are caught, at how many false alerts an hour.

Calls of validation speakers choose the thresholds; those of test speakers tell, once, what they are
worth.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.artifact import ArtifactMeta, Thresholds
from model.audio import Pcm
from model.labels import ALERTED_EMOTIONS, EMOTIONS, Emotion
from training.alerts.simulated_calls import (
    EPISODE_S,
    CallsConfig,
    Episode,
    HeldOutPart,
    Skipped,
    held_out,
    make_calls,
)
from training.data.manifest import Utterance

PARTS: tuple[HeldOutPart, ...] = ("valid", "test")
LATE_S = 1.0  # so long after its end an alert still tells of an episode
SOON_S = 4.0  # from onset to alert: early enough for an operator
FIRE_AT = tuple(round(0.01 * i, 2) for i in range(10, 99))
HOLDS_S = (0.0, 1.0, 2.5)  # also tried on the validation speakers, to know what they would give
SMOOTHS_S = (0.0, 0.75, 1.5, 3.0)

TimedReadingT = TypeVar("TimedReadingT")


class TradeoffError(ValueError):
    """Thresholds can't be chosen; the message says what came and what was expected."""


class Simulator(Protocol[TimedReadingT]):
    """The service, as far as it is needed here."""

    @property
    def meta(self) -> ArtifactMeta: ...

    def play(self, call_id: str, pcm: Pcm) -> list[TimedReadingT]:
        """What it hears in a call, (n, 2) at 8 kHz: the caller, the agent."""

    def fired(
        self,
        heard: list[TimedReadingT],
        thresholds: Mapping[Emotion, Thresholds],
        hold_s: float,
        smooth_s: float,
    ) -> dict[Emotion, list[float]]:
        """When it would have told of alerts, in seconds of the call."""


@dataclass(frozen=True, slots=True)
class TradeoffConfig:
    """What is asked."""

    hold_s: float  # of the service's settings
    smooth_s: float
    calls: CallsConfig = CallsConfig()
    false_per_hour: Mapping[Emotion, float] = field(  # at most, on the validation speakers
        default_factory=lambda: dict.fromkeys(ALERTED_EMOTIONS, 2.0)
    )
    clear_ratio: float = 0.75  # an alert clears below this part of where it fires
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
class ThresholdRule:
    """When an alert fires and clears."""

    fire_at: float
    clear_at: float
    hold_s: float
    smooth_s: float

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.fire_at, self.clear_at)


@dataclass(frozen=True, slots=True)
class RateEstimate:
    """A number with its 95 % interval by bootstrap over speakers; None: there is nothing to tell.

    Of one speaker there is no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The alerts of one emotion in one call, held against what was in it."""

    episodes: int  # with EPISODE_S of speech or more
    delays_s: tuple[float, ...]  # from onset to first alert, of those that were caught
    short_episodes: int
    short_caught: int
    alerts: int
    false: Counter[Emotion]  # by what the caller showed then


def judge(episodes: Iterable[Episode], emotion: Emotion, told_s: Sequence[float]) -> CallOutcome:
    """An alert that is told from an episode's onset until LATE_S after its end tells of it."""
    own = [episode for episode in episodes if episode.emotion is emotion]
    others = [episode for episode in episodes if episode.emotion is not emotion]
    delays_s: dict[Episode, float] = {}
    false: Counter[Emotion] = Counter()
    for at_s in told_s:
        if episode := _during(own, at_s):
            delays_s.setdefault(episode, at_s - episode.onset_s)
        else:
            other = _during(others, at_s)
            false[other.emotion if other else Emotion.NEUTRAL] += 1
    long = [episode for episode in own if episode.speech_s >= EPISODE_S]
    return CallOutcome(
        episodes=len(long),
        delays_s=tuple(delays_s[episode] for episode in long if episode in delays_s),
        short_episodes=len(own) - len(long),
        short_caught=sum(episode not in long for episode in delays_s),
        alerts=len(told_s),
        false=false,
    )


def _during(episodes: Iterable[Episode], at_s: float) -> Episode | None:
    found = (e for e in episodes if e.onset_s <= at_s <= e.end_s + LATE_S)
    return next(found, None)


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """What comes of one rule for one emotion, over some calls."""

    rule: ThresholdRule
    speakers: int
    hours: float
    episodes: int
    caught: RateEstimate  # share of the episodes
    soon: RateEstimate  # share of the episodes, alert within SOON_S of their onset
    delay_s: tuple[float, float, float] | None  # quartiles, of those caught
    short_episodes: int
    short_caught: int
    alerts: int
    false: Mapping[Emotion, int]  # by what the caller showed then
    false_per_hour: RateEstimate
    precision: RateEstimate  # share of the alerts that tell of an episode


def figures(
    rule: ThresholdRule,
    outcomes: Sequence[tuple[str, float, CallOutcome]],  # speaker, hours of the call, its outcome
    draws: int,
) -> AlertFigures:
    """Calls taken together; what is drawn in the bootstrap is speakers."""
    number = {speaker: i for i, speaker in enumerate(sorted({s for s, _, _ in outcomes}))}
    counts = np.zeros((len(number), 6))
    false: Counter[Emotion] = Counter()
    for speaker, call_hours, outcome in outcomes:
        counts[number[speaker]] += (
            outcome.episodes,
            len(outcome.delays_s),
            sum(delay_s <= SOON_S for delay_s in outcome.delays_s),
            outcome.alerts,
            outcome.false.total(),
            call_hours,
        )
        false += outcome.false
    episodes, caught, soon, alerts, wrong, hours = counts.T  # (S,) each
    drawn = np.random.default_rng(0).integers(len(number), size=(draws, len(number)))
    delays_s = [delay_s for _, _, outcome in outcomes for delay_s in outcome.delays_s]
    low_s, median_s, high_s = np.quantile(delays_s, [0.25, 0.5, 0.75]) if delays_s else [0] * 3
    return AlertFigures(
        rule=rule,
        speakers=len(number),
        hours=float(hours.sum()),
        episodes=int(episodes.sum()),
        caught=_ratio(caught, episodes, drawn),
        soon=_ratio(soon, episodes, drawn),
        delay_s=(float(low_s), float(median_s), float(high_s)) if delays_s else None,
        short_episodes=sum(outcome.short_episodes for _, _, outcome in outcomes),
        short_caught=sum(outcome.short_caught for _, _, outcome in outcomes),
        alerts=int(alerts.sum()),
        false=dict(false),
        false_per_hour=_ratio(wrong, hours, drawn),
        precision=_ratio(alerts - wrong, alerts, drawn),
    )


def _ratio(
    over: NDArray[np.float64], under: NDArray[np.float64], drawn: NDArray[np.int64]
) -> RateEstimate:
    """Sums over speakers (S,), and over those that were drawn (draws, S)."""
    if not under.sum():
        return RateEstimate(None)
    value = float(over.sum() / under.sum())
    below = under[drawn].sum(1)  # (draws,)
    if len(over) < 2 or not below.any():
        return RateEstimate(value)
    resampled = over[drawn].sum(1)[below > 0] / below[below > 0]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return RateEstimate(value, float(low), float(high))


def best(curve: Sequence[AlertFigures], false_per_hour: float) -> AlertFigures | None:
    """What catches most at no more false alerts an hour, if anything keeps that limit.

    Of equals it is what has fewer of them, then the higher threshold.
    """

    def worth(point: AlertFigures) -> tuple[float, float, float]:
        return point.caught.value or 0.0, -(point.false_per_hour.value or 0.0), point.rule.fire_at

    within = [point for point in curve if (point.false_per_hour.value or 0.0) <= false_per_hour]
    return max(within, key=worth, default=None)


def choose(curve: Sequence[AlertFigures], emotion: Emotion, false_per_hour: float) -> AlertFigures:
    """The best point of the validation speakers' curve.

    Raises:
        TradeoffError: there is no episode to catch, or no threshold that keeps the limit.
    """
    if not curve[0].episodes:
        raise TradeoffError(
            f"found no episode of {emotion} in the calls of the validation speakers, "
            "expected one or more"
        )
    chosen = best(curve, false_per_hour)
    if chosen is None:
        least = min(point.false_per_hour.value or 0.0 for point in curve)
        raise TradeoffError(
            f"{emotion}: found {least:.1f} false alerts an hour or more at every threshold, "
            f"expected {false_per_hour:g} or fewer at one"
        )
    return chosen


@dataclass(frozen=True, slots=True)
class Participants:
    """Whose calls they were."""

    speakers: Mapping[str, int]  # by corpus
    skipped: Sequence[Skipped]
    missing: Mapping[str, Sequence[Emotion]]  # by speaker: too little for an episode
    calls: int
    hours: float
    said: Mapping[Emotion, int]  # utterances, each time they came
    distinct: Mapping[Emotion, int]  # utterances


@dataclass(frozen=True, slots=True)
class EmotionFindings:
    """All about one emotion."""

    chosen: ThresholdRule
    curve: Mapping[HeldOutPart, Sequence[AlertFigures]]  # by rising threshold
    at_chosen: Mapping[HeldOutPart, AlertFigures]
    as_found: Mapping[HeldOutPart, AlertFigures]  # at the thresholds that the model had
    corpora: Mapping[HeldOutPart, Mapping[str, AlertFigures]]  # at the chosen ones
    others: Sequence[
        AlertFigures
    ]  # the best with other holds and smoothings, on validation speakers


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """All that a page is made of."""

    model: str
    version: str
    config: TradeoffConfig
    cast: Mapping[HeldOutPart, Participants]
    emotions: Mapping[Emotion, EmotionFindings]

    @property
    def thresholds(self) -> dict[Emotion, Thresholds]:
        return {emotion: found.chosen.thresholds for emotion, found in self.emotions.items()}

    @property
    def provenance(self) -> dict[str, Any]:
        """What an artifact should keep beside the thresholds: they suit one hold and smoothing."""
        return {
            "config": asdict(self.config),
            "test": {e: asdict(found.at_chosen["test"]) for e, found in self.emotions.items()},
        }

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Played(Generic[TimedReadingT]):
    """A call after its rehearsal: what was in it, and what was heard of it."""

    corpus: str
    speaker: str  # with its corpus
    hours: float
    episodes: tuple[Episode, ...]
    said: Mapping[Emotion, tuple[str, ...]]
    missing: frozenset[Emotion]
    heard: list[TimedReadingT]


def evaluate(
    utterances: Sequence[Utterance], stage: Simulator[TimedReadingT], config: TradeoffConfig
) -> Tradeoff:
    """Plays both parts' calls, chooses the thresholds on one, and tells of the other.

    Raises:
        CallsError: the model does not say who was held out, or nobody of them can call.
        RecordingError: an utterance can't be read.
        TradeoffError: no thresholds can be chosen.
    """
    played, cast = _rehearse(utterances, stage, config.calls)
    curves = {
        part: _curves(played[part], stage, config, config.hold_s, config.smooth_s, part)
        for part in PARTS
    }
    chosen = {
        emotion: choose(curves["valid"][emotion], emotion, config.false_per_hour[emotion]).rule
        for emotion in ALERTED_EMOTIONS
    }
    found = {
        emotion: replace(chosen[emotion], fire_at=at.fire_at, clear_at=at.clear_at)
        for emotion, at in stage.meta.thresholds.items()
        if emotion in ALERTED_EMOTIONS
    }
    others = [
        _curves(played["valid"], stage, replace(config, draws=0), hold_s, smooth_s, "valid")
        for hold_s in HOLDS_S
        for smooth_s in SMOOTHS_S
    ]

    def figures_at(rules: Mapping[Emotion, ThresholdRule], corpus: str | None = None) -> _ByPart:
        return {
            part: _at(
                [one for one in played[part] if corpus in (None, one.corpus)],
                stage,
                rules,
                config.draws,
            )
            for part in PARTS
        }

    at_chosen, as_found = figures_at(chosen), figures_at(found)
    corpora = {
        corpus: figures_at(chosen, corpus)
        for corpus in sorted({one.corpus for part in PARTS for one in played[part]})
    }
    return Tradeoff(
        model=stage.meta.name,
        version=stage.meta.version,
        config=config,
        cast=cast,
        emotions={
            emotion: EmotionFindings(
                chosen=chosen[emotion],
                curve={part: curves[part][emotion] for part in PARTS},
                at_chosen={part: at_chosen[part][emotion] for part in PARTS},
                as_found={part: as_found[part][emotion] for part in PARTS},
                corpora={
                    part: {
                        corpus: by_part[part][emotion]
                        for corpus, by_part in corpora.items()
                        if by_part[part][emotion].speakers
                    }
                    for part in PARTS
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


_ByPart = dict[HeldOutPart, dict[Emotion, AlertFigures]]


def _rehearse(
    utterances: Sequence[Utterance], stage: Simulator[TimedReadingT], config: CallsConfig
) -> tuple[dict[HeldOutPart, list[_Played[TimedReadingT]]], dict[HeldOutPart, Participants]]:
    trained_on = stage.meta.training.get("trained_on", {})
    held = {part: held_out(utterances, trained_on, part) for part in PARTS}
    played: dict[HeldOutPart, list[_Played[TimedReadingT]]] = {part: [] for part in PARTS}
    count = sum(len(callers) for callers, _ in held.values()) * config.calls_per_speaker
    with tqdm(total=count, desc="calls", unit="call", mininterval=1) as progress:
        for part, (callers, _) in held.items():
            for call in make_calls(callers, config, stage.meta.gate):
                progress.set_postfix_str(f"{part} {call.call_id}")
                played[part].append(
                    _Played(
                        corpus=call.corpus,
                        speaker=f"{call.corpus}/{call.speaker}",
                        hours=call.duration_s / 3600,
                        episodes=call.episodes,
                        said=call.said,
                        missing=call.missing,
                        heard=stage.play(call.call_id, call.pcm),
                    )
                )
                progress.update()
    return played, {part: _cast(played[part], held[part][1]) for part in PARTS}


def _cast(played: Sequence[_Played[Any]], skipped: Sequence[Skipped]) -> Participants:
    corpus_of = {one.speaker: one.corpus for one in played}
    missing: dict[str, set[Emotion]] = defaultdict(set)
    said: dict[Emotion, list[tuple[str, str]]] = {emotion: [] for emotion in EMOTIONS}
    for one in played:
        for emotion in one.missing:
            missing[one.speaker].add(emotion)
        for emotion, names in one.said.items():
            said[emotion] += ((one.speaker, name) for name in names)
    return Participants(
        speakers=dict(Counter(corpus_of.values())),
        skipped=skipped,
        missing={speaker: sorted(emotions) for speaker, emotions in sorted(missing.items())},
        calls=len(played),
        hours=sum(one.hours for one in played),
        said={emotion: len(names) for emotion, names in said.items()},
        distinct={emotion: len(set(names)) for emotion, names in said.items()},
    )


def _at(
    played: Sequence[_Played[TimedReadingT]],
    stage: Simulator[TimedReadingT],
    rules: Mapping[Emotion, ThresholdRule],
    draws: int,
) -> dict[Emotion, AlertFigures]:
    """Every emotion at its rule; they hold and smooth alike."""
    thresholds = {emotion: rule.thresholds for emotion, rule in rules.items()}
    rule = next(iter(rules.values()))
    outcomes: dict[Emotion, list[tuple[str, float, CallOutcome]]] = {
        emotion: [] for emotion in rules
    }
    for one in played:
        told = stage.fired(one.heard, thresholds, rule.hold_s, rule.smooth_s)
        for emotion, told_s in told.items():
            outcome = judge(one.episodes, emotion, told_s)
            outcomes[emotion].append((one.speaker, one.hours, outcome))
    return {emotion: figures(rules[emotion], outcomes[emotion], draws) for emotion in rules}


def _curves(
    played: Sequence[_Played[TimedReadingT]],
    stage: Simulator[TimedReadingT],
    config: TradeoffConfig,
    hold_s: float,
    smooth_s: float,
    part: HeldOutPart,
) -> dict[Emotion, list[AlertFigures]]:
    """Every emotion at every threshold."""
    curves: dict[Emotion, list[AlertFigures]] = {emotion: [] for emotion in ALERTED_EMOTIONS}
    name = f"{part}, hold {hold_s:g} s, smooth {smooth_s:g} s"
    for fire_at in tqdm(FIRE_AT, name, unit="threshold", leave=False, disable=None):
        rule = ThresholdRule(fire_at, round(fire_at * config.clear_ratio, 4), hold_s, smooth_s)
        at = _at(played, stage, dict.fromkeys(ALERTED_EMOTIONS, rule), config.draws)
        for emotion in ALERTED_EMOTIONS:
            curves[emotion].append(at[emotion])
    return curves
