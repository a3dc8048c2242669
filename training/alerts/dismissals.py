"""What other thresholds would have done to alerts that people have judged, on recorded posteriors.

Only alerts that fired can be judged. So of a higher threshold it is known which real alerts it
loses and which false ones it spares; of a lower one only how many alerts it adds that nobody has
judged. Episodes that raised no alert are not counted anywhere: this is no recall.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from model.artifact import Thresholds
from model.labels import Emotion

FIRE_AT = tuple(round(0.05 * i, 2) for i in range(6, 20))
CLEAR_RATIO = 0.75  # an alert clears below this share of the threshold that it fires at

ReadingT = TypeVar("ReadingT")
Span = tuple[float, float]  # call time, from the firing to the end
Replay = Callable[[Sequence[ReadingT], Mapping[Emotion, Thresholds]], Mapping[Emotion, list[Span]]]


@dataclass(frozen=True, slots=True)
class JudgedAlert:
    """An alert that fired, and what people made of it."""

    emotion: Emotion
    since_s: float  # call time, where its episode began
    until_s: float  # and where it ended
    is_real: bool | None  # None: nobody took or dismissed it, or for another reason


@dataclass(frozen=True, slots=True)
class JudgedCall(Generic[ReadingT]):
    """One call's alerts and the readings that caused them, in their order."""

    readings: Sequence[ReadingT]
    alerts: Sequence[JudgedAlert]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one threshold would have given for one emotion over some calls."""

    thresholds: Thresholds
    real: int  # judged alerts that are real
    real_kept: int  # of these, those in whose time it fires too
    false: int  # judged alerts that are false
    false_left: int  # of these, those in whose time it fires too
    unjudged: int  # alerts that it fires in the time of no judged one


def outcomes(
    calls: Sequence[JudgedCall[ReadingT]],
    emotion: Emotion,
    replay: Replay[ReadingT],
    fire_at: Sequence[float] = FIRE_AT,
) -> list[Outcome]:
    """Returns what each threshold would have given, by rising threshold."""
    return [
        _outcome(calls, emotion, replay, Thresholds(at, round(at * CLEAR_RATIO, 4)))
        for at in sorted(fire_at)
    ]


def _outcome(
    calls: Sequence[JudgedCall[ReadingT]],
    emotion: Emotion,
    replay: Replay[ReadingT],
    thresholds: Thresholds,
) -> Outcome:
    judged = met = real = real_kept = unjudged = 0
    for call in calls:
        spans = replay(call.readings, {emotion: thresholds})[emotion]
        alerts = [a for a in call.alerts if a.emotion is emotion and a.is_real is not None]
        for alert in alerts:
            is_met = any(_overlap(span, alert) for span in spans)
            judged += 1
            met += is_met
            real += alert.is_real is True
            real_kept += alert.is_real is True and is_met
        unjudged += sum(not any(_overlap(span, alert) for alert in alerts) for span in spans)
    return Outcome(thresholds, real, real_kept, judged - real, met - real_kept, unjudged)


def _overlap(span: Span, alert: JudgedAlert) -> bool:
    return span[0] <= alert.until_s and alert.since_s <= span[1]
