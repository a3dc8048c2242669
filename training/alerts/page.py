"""The page that tells how a model's alerts do: `alerts.md`, its picture, all numbers as JSON."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from model.labels import ADJECTIVES, Emotion
from training.alerts.simulated_calls import EPISODE_S, HeldOutPart
from training.alerts.thresholds import (
    LATE_S,
    PARTS,
    SOON_S,
    AlertFigures,
    EmotionFindings,
    Participants,
    RateEstimate,
    Tradeoff,
)

PART_NAMES: dict[HeldOutPart, str] = {"valid": "validation", "test": "test"}
COLOURS: dict[HeldOutPart, str] = {"valid": "#8a8f98", "test": "#d95f02"}
SHOWN = tuple(i / 10 for i in range(1, 10))  # thresholds in the tables
WIDEST = 4.0  # times the limit: how many false alerts an hour the picture reaches to


def write(tradeoff: Tradeoff, folder: Path) -> Path:
    """All three files; gives the page. Each is written beside and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / "alerts.part.svg"
    with matplotlib.rc_context({"svg.hashsalt": "kanjo"}):  # the same ids in every picture
        draw(tradeoff).savefig(picture, format="svg", metadata={"Date": None})
    os.replace(picture, folder / "alerts.svg")
    page = folder / "alerts.md"
    for path, text in (
        (folder / "alerts.json", json.dumps(tradeoff.as_dict(), indent=1)),
        (page, markdown(tradeoff)),
    ):
        unfinished = path.with_name(f"{path.name}.part")
        unfinished.write_text(f"{text}\n", encoding="utf-8")
        os.replace(unfinished, path)
    return page


def draw(tradeoff: Tradeoff) -> Figure:
    """Share caught against false alerts an hour, a panel an emotion, a line a part."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    for panel, (emotion, found) in zip(
        figure.subplots(1, len(tradeoff.emotions), squeeze=False)[0],
        tradeoff.emotions.items(),
        strict=True,
    ):
        limit = tradeoff.config.false_per_hour[emotion]
        for part in PARTS:
            curve = [(p.false_per_hour.value, p.caught.value) for p in found.curve[part]]
            drawn = [(false, caught) for false, caught in curve if caught is not None]
            point = found.at_chosen[part]
            if not drawn or point.caught.value is None:
                continue
            panel.plot(
                *zip(*drawn, strict=True),
                ".-",
                color=COLOURS[part],
                label=f"{PART_NAMES[part]} speakers",
            )
            panel.plot(
                point.false_per_hour.value,
                point.caught.value,
                "o",
                markersize=11,
                fillstyle="none",
                markeredgewidth=2,
                color=COLOURS[part],
                label=f"at {found.chosen.fire_at:g}",
            )
        panel.axvline(limit, color="black", linewidth=0.8, linestyle=":", label="limit")
        shown = [p.false_per_hour.value or 0.0 for p in found.at_chosen.values()]
        panel.set_xlim(-0.1 * limit, max(WIDEST * limit, *(1.2 * x for x in shown), 1.0))
        panel.set_ylim(-0.02, 1.02)
        panel.set_title(f"sounds {ADJECTIVES[emotion]}")
        panel.set_xlabel("false alerts an hour of calls")
        panel.set_ylabel(f"share of episodes of {EPISODE_S:g} s or more that are caught")
        panel.grid(alpha=0.25)
        panel.legend(frameon=False, loc="upper right" if _low(found) else "lower right")
    return figure


def _low(found: EmotionFindings) -> bool:
    """Whether the curves leave the upper half free."""
    return all((p.caught.value or 0.0) < 0.5 for curve in found.curve.values() for p in curve)


def markdown(tradeoff: Tradeoff) -> str:
    return "\n\n".join(_sections(tradeoff))


def _sections(tradeoff: Tradeoff) -> Iterator[str]:
    config, calls = tradeoff.config, tradeoff.config.calls
    yield f"# Alerts of {tradeoff.model} {tradeoff.version}"
    yield (
        f"Calls of {calls.minutes:g} minutes, made of recordings of speakers whom the model never "
        "heard in training, were played through the service's own bridge, speech gate, windows, "
        "network and alert policy, over G.711 mu-law in 20 ms frames. A caller talks neutrally "
        f"with silences of {_span(calls.pause_s)}; in three of four calls there are episodes of "
        "anger, happiness or sadness. An agent who shows every emotion talks on a track of their "
        "own, which the service drops."
    )
    yield (
        "The thresholds are those that catch most episodes of the **validation** speakers at no "
        "more false alerts an hour than "
        + " and ".join(f"{limit:g} ({e})" for e, limit in config.false_per_hour.items())
        + f", with alerts that hold for {config.hold_s:g} s of speech, smoothed over "
        f"{config.smooth_s:g} s, and clear below {config.clear_ratio:g} of where they fire. What "
        "they do for the **test** speakers was looked at once, after that."
    )
    yield _table(
        ("alert", "fires at", "clears below", "speakers", *_COLUMNS),
        (
            (
                f"sounds {ADJECTIVES[emotion]}",
                f"{found.chosen.fire_at:g}",
                f"{found.chosen.clear_at:g}",
                PART_NAMES[part],
                *_cells(found.at_chosen[part]),
            )
            for emotion, found in tradeoff.emotions.items()
            for part in PARTS
        ),
    )
    yield (
        f"*Caught*: share of the episodes with {EPISODE_S:g} s of speech or more for which an "
        f"alert of their emotion fires between onset and {LATE_S:g} s after their end. *Within "
        f"{SOON_S:g} s*: share of the same episodes with an alert that soon after onset. *Onset to "
        "alert*: median and quartiles of those caught. *False an hour*: alerts outside any episode "
        "of their emotion, an hour of calls. *Precision*: share of the alerts that fire in an "
        "episode of their emotion, short ones included. In brackets 95 % intervals by bootstrap "
        "over speakers; of one speaker there is none."
    )
    yield "![Share of episodes caught against false alerts an hour](alerts.svg)"
    for emotion, found in tradeoff.emotions.items():
        yield from _emotion(emotion, found)
    yield "## The calls"
    for part in PARTS:
        yield from _cast(part, tradeoff.cast[part])
    yield (
        "These are not real calls. Emotion begins and ends with an utterance, most of it is acted, "
        "and neutral talk is the same few sentences over and over where a speaker recorded few. "
        "Speakers count alike, so a corpus counts by its speakers. How many false alerts come in "
        "an hour depends on how many episodes of other emotions are in it; an alert in a shorter "
        "episode of its own emotion is not false. What scoring itself takes is not in *onset to "
        "alert*; the pause that ends a stretch of speech is."
    )


def _emotion(emotion: Emotion, found: EmotionFindings) -> Iterator[str]:
    yield f"## Sounds {ADJECTIVES[emotion]}"
    for part in PARTS:
        rows = [p for p in found.curve[part] if p.rule.fire_at in (*SHOWN, found.chosen.fire_at)]
        as_found = found.as_found[part]
        own = as_found.rule
        yield f"{PART_NAMES[part].capitalize()} speakers, at several thresholds:"
        yield _table(
            ("fires at", *_COLUMNS, "false during"),
            (
                *((_mark(p, found), *_cells(p), _during(p)) for p in rows),
                (f"{own.fire_at:g}, below {own.clear_at:g}", *_cells(as_found), _during(as_found)),
            ),
        )
    yield (
        "In bold the one chosen; the last row is what the model had. At low thresholds less is "
        "caught again, because an alert that is on already, falsely, can't fire in the episode."
    )
    for part in PARTS:
        yield f"{PART_NAMES[part].capitalize()} speakers, each corpus apart, at the chosen one:"
        yield _table(
            ("corpus", "speakers", "hours", "episodes", *_COLUMNS, "shorter episodes caught"),
            (
                (
                    corpus,
                    str(p.speakers),
                    f"{p.hours:.1f}",
                    str(p.episodes),
                    *_cells(p),
                    f"{p.short_caught} of {p.short_episodes}",
                )
                for corpus, p in found.corpora[part].items()
            ),
        )
    yield (
        "Other settings, each at the threshold that is best for the validation speakers under the "
        "same limit (where none keeps it, there is no row):"
    )
    yield _table(
        ("`KANJO_HOLD_S`", "`KANJO_SMOOTH_S`", "fires at", *_COLUMNS),
        (
            (
                f"{p.rule.hold_s:g}",
                f"{p.rule.smooth_s:g}",
                f"{p.rule.fire_at:g}",
                *_cells(p),
            )
            for p in found.others
        ),
    )


def _cast(part: HeldOutPart, cast: Participants) -> Iterator[str]:
    corpora = ", ".join(f"{corpus} {count}" for corpus, count in sorted(cast.speakers.items()))
    yield (
        f"**{PART_NAMES[part].capitalize()}**: {cast.calls} calls, {cast.hours:.1f} hours, of "
        f"{sum(cast.speakers.values())} speakers ({corpora}). Utterances played, and how many "
        "different ones those are: "
        + "; ".join(f"{e} {n}, {cast.distinct[e]}" for e, n in cast.said.items())
        + "."
    )
    if cast.missing:
        yield "Too little was recorded for episodes of: " + _listed(
            f"{speaker} ({', '.join(emotions)})" for speaker, emotions in cast.missing.items()
        )
    if cast.skipped:
        yield "No calls could be made of: " + _listed(
            f"{one.corpus}/{one.speaker} ({one.why})" for one in cast.skipped
        )


_COLUMNS = ("caught", f"within {SOON_S:g} s", "onset to alert", "false an hour", "precision")


def _cells(point: AlertFigures) -> tuple[str, ...]:
    delay = "–"
    if point.delay_s:
        low_s, median_s, high_s = point.delay_s
        delay = f"{median_s:.1f} s ({low_s:.1f}–{high_s:.1f})"
    return (
        _percent(point.caught),
        _percent(point.soon),
        delay,
        _estimate(point.false_per_hour, 1.0, ".1f"),
        _percent(point.precision),
    )


def _percent(estimate: RateEstimate) -> str:
    return _estimate(estimate, 100.0, ".0f", " %")


def _estimate(estimate: RateEstimate, times: float, form: str, unit: str = "") -> str:
    if estimate.value is None:
        return "–"
    value = f"{times * estimate.value:{form}}{unit}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({times * estimate.low:{form}}–{times * estimate.high:{form}})"


def _mark(point: AlertFigures, found: EmotionFindings) -> str:
    at = f"{point.rule.fire_at:g}"
    return f"**{at}**" if point.rule == found.chosen else at


def _during(point: AlertFigures) -> str:
    """`12 neutral, 3 happiness`"""
    ordered = sorted(point.false.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {emotion}" for emotion, count in ordered) or "none"


def _span(span: tuple[float, float]) -> str:
    return f"{span[0]:g} to {span[1]:g} s"


def _listed(names: Iterable[str]) -> str:
    return "; ".join(names) + "."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (columns, ["---"] * len(columns), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
