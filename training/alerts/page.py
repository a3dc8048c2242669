"""The page of an evaluation of alerts: `alerts.md`, its picture, and all numbers as JSON."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

from model.files import atomic_write
from model.labels import ADJECTIVES
from training.alerts.callers import HELD_OUT_SETS, HeldOutSet
from training.alerts.matching import LATE_S
from training.alerts.performance import SOON_S, AlertPerformance
from training.alerts.picture import SET_NAMES, OtherEvaluation, draw
from training.alerts.simulated_calls import EPISODE_S, MUSIC_S, NOISE_BELOW_DB
from training.alerts.thresholds import EmotionTradeoff, Tradeoff
from training.metrics import Estimate
from training.pages import environment

SHOWN = tuple(i / 10 for i in range(1, 10))  # thresholds in the tables
NOTHING = "–"
COLUMNS = ("caught", f"within {SOON_S:g} s", "onset to alert", "false an hour", "precision")

Row = tuple[str, ...]


def write(tradeoff: Tradeoff, folder: Path, beside: Sequence[OtherEvaluation] = ()) -> Path:
    """Writes `alerts.md`, `alerts.svg` and `alerts.json`; returns the path of the page.

    The picture has the curves of the evaluations `beside`, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        matplotlib.rc_context({"svg.hashsalt": "kanjo"}),  # the same ids in every picture
        atomic_write(folder / "alerts.svg") as unfinished,
    ):
        draw(tradeoff, beside).savefig(unfinished, format="svg", metadata={"Date": None})
    with atomic_write(folder / "alerts.json") as unfinished:
        unfinished.write_text(f"{json.dumps(tradeoff.as_dict(), indent=1)}\n", encoding="utf-8")
    page = folder / "alerts.md"
    with atomic_write(page) as unfinished:
        unfinished.write_text(markdown(tradeoff), encoding="utf-8")
    return page


def markdown(tradeoff: Tradeoff) -> str:
    """Returns the page; its sentences are in `templates/alerts.md.jinja`."""
    pages = environment(Path(__file__).parent / "templates")
    pages.filters |= {
        "adjective": ADJECTIVES.__getitem__,
        "corpora": _corpora,
        "curve": _curve,
        "number": "{:g}".format,
        "others": _others,
        "percent": _percent,
        "rate": _rate,
    }
    return pages.get_template("alerts.md.jinja").render(
        tradeoff=tradeoff,
        config=tradeoff.config,
        calls=tradeoff.config.calls,
        columns=list(COLUMNS),
        chosen=list(_chosen(tradeoff)),
        titles={name: SET_NAMES[name].capitalize() for name in HELD_OUT_SETS},
        episode_s=EPISODE_S,
        late_s=LATE_S,
        soon_s=SOON_S,
        music_s=MUSIC_S,
        noise_below_db=NOISE_BELOW_DB,
    )


def _chosen(tradeoff: Tradeoff) -> Iterator[Row]:
    for emotion, found in tradeoff.emotions.items():
        for name in HELD_OUT_SETS:
            yield (
                f"sounds {ADJECTIVES[emotion]}",
                f"{found.chosen.fire_at:g}",
                f"{found.chosen.clear_at:g}",
                SET_NAMES[name],
                *_cells(found.at_chosen[name]),
            )


def _curve(found: EmotionTradeoff, name: HeldOutSet) -> Iterator[Row]:
    """Yields some points of the curve, the chosen one in bold, then the model's present one."""
    for point in found.curve[name]:
        at = f"{point.rule.fire_at:g}"
        if point.rule == found.chosen:
            yield (f"**{at}**", *_cells(point), _false_during(point))
        elif point.rule.fire_at in (*SHOWN, found.chosen.fire_at):
            yield (at, *_cells(point), _false_during(point))
    present = found.at_present[name]
    at = f"{present.rule.fire_at:g}, below {present.rule.clear_at:g}"
    yield (at, *_cells(present), _false_during(present))


def _corpora(found: EmotionTradeoff, name: HeldOutSet) -> Iterator[Row]:
    for corpus, point in found.corpora[name].items():
        yield (
            corpus,
            str(point.speakers),
            f"{point.hours:.1f}",
            str(point.episodes),
            *_cells(point),
            f"{point.short_caught} of {point.short_episodes}",
        )


def _others(found: EmotionTradeoff) -> Iterator[Row]:
    for point in found.others:
        rule = point.rule
        yield (f"{rule.hold_s:g}", f"{rule.smooth_s:g}", f"{rule.fire_at:g}", *_cells(point))


def _cells(point: AlertPerformance) -> Row:
    """Returns the cells of COLUMNS."""
    delay = NOTHING
    if point.delay_s:
        low_s, median_s, high_s = point.delay_s
        delay = f"{median_s:.1f} s ({low_s:.1f}–{high_s:.1f})"
    return (
        _percent(point.caught),
        _percent(point.soon),
        delay,
        _rate(point.false_per_hour),
        _percent(point.precision),
    )


def _percent(share: Estimate) -> str:
    """`54 % (35–71)`"""
    return _estimate(Estimate(100 * share.value, 100 * share.low, 100 * share.high), ".0f", " %")


def _rate(rate: Estimate) -> str:
    """`1.3 (0.2–3.0)`"""
    return _estimate(rate, ".1f")


def _estimate(estimate: Estimate, form: str, unit: str = "") -> str:
    if not math.isfinite(estimate.value):
        return NOTHING
    value = f"{estimate.value:{form}}{unit}"
    if not math.isfinite(estimate.low):
        return value
    return f"{value} ({estimate.low:{form}}–{estimate.high:{form}})"


def _false_during(point: AlertPerformance) -> str:
    """`12 neutral, 3 happiness`"""
    ordered = sorted(point.false.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {emotion}" for emotion, count in ordered) or "none"
