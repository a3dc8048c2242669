"""The picture of an evaluation: share of episodes caught against false alerts an hour."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from pydantic import BaseModel, ValidationError

from model.labels import ADJECTIVES, Emotion
from training.alerts.callers import HELD_OUT_SETS, HeldOutSet
from training.alerts.simulated_calls import EPISODE_S
from training.alerts.thresholds import EmotionTradeoff, Tradeoff, TradeoffError

SET_NAMES: dict[HeldOutSet, str] = {"valid": "validation", "test": "test"}
COLOURS: dict[HeldOutSet, str] = {"valid": "#8a8f98", "test": "#d95f02"}
BESIDE = ("#1b6ca8", "#2a9d5c", "#7b4fa3", "#a8791b")  # colours of other evaluations, in turn
WIDTH_IN_LIMITS = 4.0  # width of the x axis, in multiples of the limit of false alerts


class _Estimate(BaseModel):
    value: float | None


class _Point(BaseModel):
    caught: _Estimate
    false_per_hour: _Estimate


class _Curves(BaseModel):
    curve: dict[HeldOutSet, list[_Point]]


class OtherEvaluation(BaseModel):
    """What the picture shows of another evaluation: its `alerts.json`, as far as it is needed."""

    model: str
    version: str
    emotions: dict[Emotion, _Curves]

    @classmethod
    def read(cls, path: Path) -> "OtherEvaluation":
        """Reads an `alerts.json`.

        Raises:
            TradeoffError: the file can't be read, or is something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            problem = error.strerror if isinstance(error, OSError) else "something else"
            raise TradeoffError(
                f"{path}: got {problem}, expected an evaluation's alerts.json"
            ) from None

    def curve(self, emotion: Emotion) -> list[tuple[float, float]]:
        """Returns false alerts an hour and the share caught, of the test speakers."""
        points = self.emotions[emotion].curve["test"]
        pairs = [(point.false_per_hour.value, point.caught.value) for point in points]
        return [
            (false, caught) for false, caught in pairs if false is not None and caught is not None
        ]


def draw(tradeoff: Tradeoff, beside: Sequence[OtherEvaluation] = ()) -> Figure:
    """Draws one panel an emotion, with one curve for each set of held-out speakers.

    Of the evaluations `beside`, the curves of the test speakers are drawn too.
    """
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    for panel, (emotion, found) in zip(
        figure.subplots(1, len(tradeoff.emotions), squeeze=False)[0],
        tradeoff.emotions.items(),
        strict=True,
    ):
        limit = tradeoff.config.false_per_hour[emotion]
        for name in HELD_OUT_SETS:
            curve = [(p.false_per_hour.value, p.caught.value) for p in found.curve[name]]
            drawn = [(false, caught) for false, caught in curve if math.isfinite(caught)]
            point = found.at_chosen[name]
            if not drawn or not math.isfinite(point.caught.value):
                continue
            panel.plot(
                *zip(*drawn, strict=True),
                ".-",
                color=COLOURS[name],
                label=f"{SET_NAMES[name]} speakers",
            )
            panel.plot(
                point.false_per_hour.value,
                point.caught.value,
                "o",
                markersize=11,
                fillstyle="none",
                markeredgewidth=2,
                color=COLOURS[name],
                label=f"at {found.chosen.fire_at:g}",
            )
        for other, colour in zip(beside, BESIDE, strict=False):
            label = f"{other.model} {other.version}, test speakers"
            panel.plot(*zip(*other.curve(emotion), strict=True), ".--", color=colour, label=label)
        panel.axvline(limit, color="black", linewidth=0.8, linestyle=":", label="limit")
        shown = [p.false_per_hour.value for p in found.at_chosen.values()]
        panel.set_xlim(-0.1 * limit, max(WIDTH_IN_LIMITS * limit, *(1.2 * x for x in shown), 1.0))
        panel.set_ylim(-0.02, 1.02)
        panel.set_title(f"sounds {ADJECTIVES[emotion]}")
        panel.set_xlabel("false alerts an hour of calls")
        panel.set_ylabel(f"share of episodes of {EPISODE_S:g} s or more that are caught")
        panel.grid(alpha=0.25)
        panel.legend(frameon=False, loc="upper right" if _is_low(found) else "lower right")
    return figure


def _is_low(found: EmotionTradeoff) -> bool:
    """Returns whether the curves leave the upper half of the panel free."""
    return not any(p.caught.value >= 0.5 for curve in found.curve.values() for p in curve)
