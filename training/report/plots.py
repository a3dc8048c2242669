"""The figures as SVG: text stays text, colours can be told apart by the colour-blind."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from model.labels import EMOTIONS, STYLES
from training.report import paper
from training.report.results import CONDITIONS, GROUPS, knowing
from training.report.statistics import MEAN

# Okabe & Ito's colours, without their yellow, which is faint on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000", "#CC79A7", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "D", "^", "*", "v", "P", "X")
CHANCE = 25.0  # per cent, of four emotions
LEAST_SHOWN = 20  # utterances in a bin; the accuracy of fewer is chance

# Set around each picture: axes are made as they are set then.
LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG element with its own title and description."""

    name: str  # of its file, without .svg
    title: str
    description: str  # for those who do not see it
    svg: str


@matplotlib.rc_context(LOOK)
def gains(overall: pd.DataFrame) -> Picture:
    """UA less the baseline's, one panel a style, the paper's own beside."""
    rows = overall[overall["system"] != "baseline"]
    names = _names(overall)
    labels = list(rows["known"])
    figure = Figure(figsize=(5.6, 1.2 + 0.29 * len(rows)))
    panels = figure.subplots(1, len(STYLES), sharex=True, sharey=True)
    for axes, style in zip(panels, STYLES, strict=True):
        theirs = paper.BY_STYLE[style]
        for at, (_, row) in enumerate(rows.iterrows()):
            column = f"difference_{style.value}"
            value, low, high = (row[column + end] * 100 for end in ("", "_low", "_high"))
            reach = np.nan_to_num([[value - low], [high - value]])
            number = names.index(row["name"])
            axes.errorbar(
                value,
                at,
                xerr=np.maximum(reach, 0),
                color=COLOURS[number % len(COLOURS)],
                marker="o",
                markersize=4.5,
                linewidth=1.2,
            )
            if row["system"] in theirs:
                gain = theirs[row["system"]][-2] - theirs["baseline"][-2]
                axes.plot(gain, at, "D", color="#444444", fillstyle="none", markersize=6)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(style.value, loc="left")
    panels[0].set_yticks(np.arange(len(rows)), labels)
    panels[0].invert_yaxis()
    shown = {"here, 95 % interval": ("o", "full"), "paper, other data": ("D", "none")}
    handles = [
        Line2D([], [], color="#444444", marker=marker, fillstyle=fill, linestyle="none")  # type: ignore[arg-type]
        for marker, fill in shown.values()
    ]
    figure.legend(handles, list(shown), loc="outside upper right", ncols=2, fontsize=9)
    figure.supxlabel("UA less baseline, percentage points", fontsize=9)
    return _picture(
        figure,
        "gains",
        "What each system adds to the baseline",
        f"Points with 95 % intervals, acted speech on the left, spontaneous on the right: UA of "
        f"{_listed(labels)} less that of the baseline; diamonds are the paper's differences.",
    )


@matplotlib.rc_context(LOOK)
def overview(by_corpus: pd.DataFrame, without: str) -> Picture:
    """UA per corpus, systems side by side, one panel a normalisation."""
    groups = [group for group in GROUPS if (by_corpus["group"] == group).any()]
    corpora = [*dict.fromkeys(c for c in by_corpus["corpus"] if c != MEAN), MEAN]
    names = _names(by_corpus)
    figure = Figure(figsize=(9.5, 1.2 + 2.6 * len(groups)))
    panels = figure.subplots(len(groups), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        own = by_corpus[by_corpus["group"] == group]
        there = [name for name in names if (own["name"] == name).any()]
        for place, name in enumerate(there):
            rows = own[own["name"] == name].set_index("corpus").reindex(corpora)
            at = np.arange(len(corpora)) + (place - (len(there) - 1) / 2) * 0.8 / len(names)
            _interval(axes, at, rows, "ua", names.index(name), name, joined=False)
        axes.axhline(CHANCE, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_title(f"knows of the speaker: {group}", loc="left", fontsize=9)
        axes.set_ylabel("UA (%)")
        axes.axvline(len(corpora) - 1.5, color="#BBBBBB", linewidth=0.8)
    panels[-1].set_xticks(
        np.arange(len(corpora)), [*corpora[:-1], f"mean{without}".replace(" ", "\n", 1)]
    )
    panels[-1].set_xlim(-0.5, len(corpora) - 0.5)
    _legend(figure, panels)
    return _picture(
        figure,
        "overview",
        "UA per corpus",
        f"Points with 95 % intervals: UA of {_listed(names)} on {_listed(corpora[:-1])} and their "
        "mean; one panel for each knowledge of the speaker. The dotted line is chance.",
    )


@matplotlib.rc_context(LOOK)
def confusion(rows: pd.DataFrame) -> Picture:
    """Of one system: as what utterances of each emotion were recognised, one panel a style."""
    name, group = rows["name"].iloc[0], rows["group"].iloc[0]
    told = [emotion.value for emotion in EMOTIONS]
    figure = Figure(figsize=(6.6, 3.1))
    for axes, style in zip(figure.subplots(1, len(STYLES)), STYLES, strict=True):
        own = rows[rows["style"] == style.value].set_index("was")
        axes.set_title(style.value)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if own.empty:
            axes.text(0.5, 0.5, "not tested", ha="center", transform=axes.transAxes)
            axes.set_xticks([])
            axes.set_yticks([])
            continue
        shares = own.loc[told, told].to_numpy(float) * 100
        axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=1)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        for row, column in np.ndindex(shares.shape):
            share = shares[row, column]
            axes.text(
                column + 0.5,
                row + 0.5,
                f"{share:.0f}" if np.isfinite(share) else "–",
                ha="center",
                va="center",
                color="white" if share > 55 else "#222222",
            )
        axes.set_xticks(np.arange(len(told)) + 0.5, told, fontsize=8)
        axes.set_yticks(np.arange(len(told)) + 0.5, told, fontsize=8)
        axes.set_xlabel("recognised as")
        axes.set_ylabel("labelled")
    return _picture(
        figure,
        "confusion-" + re.sub(r"[^a-z0-9]+", "-", knowing(name, group).lower()),
        knowing(name, group),
        "Two matrices, acted and spontaneous: rows as what utterances are labelled, columns as "
        "what they are recognised, in per cent of the row. The diagonal is the recall.",
    )


@matplotlib.rc_context(LOOK)
def weight_curve(weights: pd.DataFrame, without: str) -> Picture:
    """UA against lambda."""
    figure = Figure(figsize=(7.0, 4.0))
    axes = figure.subplots()
    curves = [("selective-mtl", "selective MTL"), ("mtl", "MTL")]
    for number, (system, name) in enumerate(curves):
        own = weights[weights["system"] == system].sort_values("ser_weight")
        lines = [("ua", "", "-"), *([("ua_without", without, "--")] if without else [])]
        for column, suffix, style in lines:
            if own.empty or not np.isfinite(own[column]).any():
                continue
            _interval(
                axes,
                own["ser_weight"].to_numpy() + (0.008 if style == "--" else 0),
                own,
                column,
                2 * number + (style == "--"),
                name + suffix,
                line=style,
            )
    combined = weights[weights["system"] == "combined"]
    if len(combined):
        _interval(axes, np.array([1.0]), combined, "ua", 4, "combined (λ 1)", joined=False)
    axes.set_xlabel("λ, the weight of emotion in the loss")
    axes.set_ylabel("UA (%)")
    _legend(figure, [axes])
    return _picture(
        figure,
        "lambda",
        "UA against λ",
        "Lines with 95 % intervals: mean UA of both styles by the weight of the emotion loss"
        f"{', and' + without if without else ''}; a point for the combined training without style.",
    )


@matplotlib.rc_context(LOOK)
def reliability_diagrams(bins: pd.DataFrame, calibration: pd.DataFrame) -> Picture:
    """Accuracy against confidence, before and after temperature scaling, one panel a system."""
    tested = list(dict.fromkeys(zip(bins["group"], bins["name"], strict=True)))
    columns = min(4, len(tested))
    rows = -(-len(tested) // columns)
    figure = Figure(figsize=(2.5 * columns + 0.4, 2.6 * rows + 0.6))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    errors = {(row["group"], row["name"]): row for _, row in calibration.iterrows()}
    for axes, (group, name) in zip(panels, tested, strict=False):
        own = bins[(bins["group"] == group) & (bins["name"] == name)]
        axes.plot([25, 100], [25, 100], color="#999999", linewidth=0.8, linestyle=":")
        for number, (calibrated, label) in enumerate(((False, "before"), (True, "after"))):
            points = own[(own["calibrated"] == calibrated) & (own["utterances"] >= LEAST_SHOWN)]
            axes.plot(
                points["confidence"] * 100,
                points["accuracy"] * 100,
                color=COLOURS[(3, 0)[number]],
                marker=MARKERS[number],
                markersize=3.5,
                linewidth=1.2,
                label=label,
            )
        before, after = (errors[group, name][when] * 100 for when in ("before", "after"))
        title = f"{knowing(name, group)}\nerror {before:.1f} → {after:.1f}"
        axes.set_title(title, fontsize=8, loc="left")
        axes.set(xlim=(20, 102), ylim=(0, 102))
    for axes in panels[len(tested) :]:
        axes.set_visible(False)
    figure.supxlabel("probability of the emotion recognised (%)", fontsize=9)
    figure.supylabel("recognised rightly (%)", fontsize=9)
    _legend(figure, panels[:1])
    return _picture(
        figure,
        "reliability",
        "Reliability before and after temperature scaling",
        f"For each of {len(tested)} tests, accuracy against the probability of the emotion "
        "recognised, before and after calibration; on the dotted diagonal the two agree. Bins with "
        f"fewer than {LEAST_SHOWN} utterances are not drawn.",
    )


@matplotlib.rc_context(LOOK)
def line_conditions(lines: pd.DataFrame) -> Picture:
    """UA over degraded telephone lines, one panel a normalisation."""
    groups = [group for group in GROUPS if (lines["group"] == group).any()]
    conditions = [condition for condition in CONDITIONS if (lines["condition"] == condition).any()]
    names = _names(lines)
    figure = Figure(figsize=(1.0 + 3.4 * len(groups), 4.2))
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, group in zip(panels, groups, strict=True):
        own = lines[lines["group"] == group]
        there = [name for name in names if (own["name"] == name).any()]
        for place, name in enumerate(there):
            rows = own[own["name"] == name].set_index("condition").reindex(conditions)
            at = np.arange(len(conditions)) + (place - (len(there) - 1) / 2) * 0.06
            _interval(axes, at, rows, "ua", names.index(name), name)
        axes.set_title(f"knows of the speaker: {group}", loc="left", fontsize=9)
        axes.set_xticks(np.arange(len(conditions)), conditions, fontsize=8)
    panels[0].set_ylabel("UA (%)")
    _legend(figure, panels)
    return _picture(
        figure,
        "lines",
        "UA over degraded lines",
        f"Lines with 95 % intervals: mean UA of {_listed(names)} on {_listed(conditions)}; one "
        "panel for each knowledge of the speaker.",
    )


# ---- how they are drawn ----------------------------------------------------------------------


def _names(rows: pd.DataFrame) -> list[str]:
    """Systems in one order in every picture: Kanjo's and the peers' colours stay theirs."""
    return list(dict.fromkeys(rows["name"]))


def _interval(
    axes: Axes,
    at: np.ndarray,
    rows: pd.DataFrame,
    column: str,
    number: int,
    name: str,
    joined: bool = True,
    line: str = "-",
) -> None:
    """A point with its 95 % interval for every row, in per cent."""
    value = rows[column].to_numpy(float) * 100
    low, high = (rows[f"{column}_{end}"].to_numpy(float) * 100 for end in ("low", "high"))
    reach = np.nan_to_num(np.stack([value - low, high - value]))
    axes.errorbar(
        at,
        value,
        # A bootstrap interval may leave out the sample's own figure.
        yerr=np.maximum(reach, 0),
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=7 if MARKERS[number % len(MARKERS)] == "*" else 4.5,
        linestyle=line if joined else "none",
        linewidth=1.2,
        elinewidth=0.9,
        label=name,
    )


def _legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """One for all panels, above them."""
    known: dict[Any, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(known.values()),
        list(known),
        loc="outside upper center",
        ncols=min(4, len(known)),
        fontsize=9,
    )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def _picture(figure: Figure, name: str, title: str, description: str) -> Picture:
    """Ids get the picture's name before them: many pictures stand in one page."""
    drawn = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    salt: Any = {"svg.hashsalt": name}  # the same figures give the same file
    with matplotlib.rc_context(salt):
        figure.savefig(drawn, format="svg", metadata=nothing)
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{name}-", svg)
    opening, rest = svg.split(">", 1)
    said = (
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    labelled = f' role="img" aria-labelledby="{name}-title {name}-desc"'
    return Picture(name, title, description, f"{opening}{labelled}>{said}{rest.rstrip()}\n")
