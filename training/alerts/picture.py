"""The picture of an evaluation: share of episodes caught against false alerts an hour."""

import math

from matplotlib.figure import Figure

from model.labels import ADJECTIVES
from training.alerts.callers import HELD_OUT_SETS, HeldOutSet
from training.alerts.simulated_calls import EPISODE_S
from training.alerts.thresholds import EmotionTradeoff, Tradeoff

SET_NAMES: dict[HeldOutSet, str] = {"valid": "validation", "test": "test"}
COLOURS: dict[HeldOutSet, str] = {"valid": "#8a8f98", "test": "#d95f02"}
WIDTH_IN_LIMITS = 4.0  # width of the x axis, in multiples of the limit of false alerts


def draw(tradeoff: Tradeoff) -> Figure:
    """Draws one panel an emotion, with one curve for each set of held-out speakers."""
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
