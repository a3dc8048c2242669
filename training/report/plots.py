"""The pictures of a report."""

import re
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from model.labels import EMOTIONS, STYLES
from training.report import paper
from training.report.means import MEAN
from training.report.svg import (
    COLOURS,
    LOOK,
    MARKERS,
    Picture,
    add_legend,
    draw_intervals,
    picture_of,
)
from training.report.systems import CONDITION_NAMES, CONDITIONS, GIVEN, label

CHANCE = 25.0  # per cent, of four emotions
LEAST_SHOWN = 20  # utterances in a bin that is drawn; the accuracy of fewer is chance


@matplotlib.rc_context(LOOK)
def gains(overall: pd.DataFrame) -> Picture:
    """Draws UA minus the baseline's, one panel a style, with the paper's own difference."""
    rows = overall[overall["system"] != "baseline"]
    names = _names(overall)
    labels = list(rows["label"])
    figure = Figure(figsize=(5.6, 1.2 + 0.29 * len(rows)))
    panels = figure.subplots(1, len(STYLES), sharex=True, sharey=True)
    for axes, style in zip(panels, STYLES, strict=True):
        in_paper = paper.BY_STYLE[style]
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
            if row["system"] in in_paper:
                gain = in_paper[row["system"]][-2] - in_paper["baseline"][-2]
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
    figure.supxlabel("UA minus baseline, percentage points", fontsize=9)
    return picture_of(
        figure,
        "gains",
        "UA of each system minus the baseline",
        f"Points with 95 % intervals, acted speech on the left, spontaneous on the right: UA of "
        f"{_listed(labels)} minus that of the baseline; diamonds are the paper's differences.",
    )


@matplotlib.rc_context(LOOK)
def overview(by_corpus: pd.DataFrame, excluding: str) -> Picture:
    """Draws UA per corpus, systems side by side, one panel for each kind of speaker data."""
    panels_of = [given for given in GIVEN if (by_corpus["given"] == given).any()]
    corpora = [*dict.fromkeys(c for c in by_corpus["corpus"] if c != MEAN), MEAN]
    names = _names(by_corpus)
    figure = Figure(figsize=(9.5, 1.2 + 2.6 * len(panels_of)))
    panels = figure.subplots(len(panels_of), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, given in zip(panels, panels_of, strict=True):
        own = by_corpus[by_corpus["given"] == given]
        present = [name for name in names if (own["name"] == name).any()]
        for place, name in enumerate(present):
            rows = own[own["name"] == name].set_index("corpus").reindex(corpora)
            at = np.arange(len(corpora)) + (place - (len(present) - 1) / 2) * 0.8 / len(names)
            draw_intervals(axes, at, rows, "ua", names.index(name), name, joined=False)
        axes.axhline(CHANCE, color="#999999", linewidth=0.8, linestyle=":")
        axes.set_title(f"speaker data: {given}", loc="left", fontsize=9)
        axes.set_ylabel("UA (%)")
        axes.axvline(len(corpora) - 1.5, color="#BBBBBB", linewidth=0.8)
    panels[-1].set_xticks(
        np.arange(len(corpora)), [*corpora[:-1], f"mean{excluding}".replace(" ", "\n", 1)]
    )
    panels[-1].set_xlim(-0.5, len(corpora) - 0.5)
    add_legend(figure, panels)
    return picture_of(
        figure,
        "overview",
        "UA per corpus",
        f"Points with 95 % intervals: UA of {_listed(names)} on {_listed(corpora[:-1])} and their "
        "mean; one panel for each kind of speaker data. The dotted line is chance.",
    )


@matplotlib.rc_context(LOOK)
def confusion(rows: pd.DataFrame) -> Picture:
    """Draws what utterances of each emotion were recognised as by one system, a panel a style."""
    title = label(rows["name"].iloc[0], rows["given"].iloc[0])
    names = [emotion.value for emotion in EMOTIONS]
    figure = Figure(figsize=(6.6, 3.1))
    for axes, style in zip(figure.subplots(1, len(STYLES)), STYLES, strict=True):
        own = rows[rows["style"] == style.value].set_index("labelled")
        axes.set_title(style.value)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if own.empty:
            axes.text(0.5, 0.5, "not tested", ha="center", transform=axes.transAxes)
            axes.set_xticks([])
            axes.set_yticks([])
            continue
        shares = own.loc[names, names].to_numpy(float) * 100
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
        axes.set_xticks(np.arange(len(names)) + 0.5, names, fontsize=8)
        axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=8)
        axes.set_xlabel("recognised as")
        axes.set_ylabel("labelled")
    return picture_of(
        figure,
        "confusion-" + re.sub(r"[^a-z0-9]+", "-", title.lower()),
        title,
        "Two matrices, acted and spontaneous: rows are labels, columns what utterances are "
        "recognised as, in per cent of the row. The diagonal is the recall.",
    )


@matplotlib.rc_context(LOOK)
def weight_curve(weights: pd.DataFrame, excluding: str) -> Picture:
    """Draws UA against lambda."""
    figure = Figure(figsize=(7.0, 4.0))
    axes = figure.subplots()
    curves = [("selective-mtl", "selective MTL"), ("mtl", "MTL")]
    for number, (system, name) in enumerate(curves):
        own = weights[weights["system"] == system].sort_values("ser_weight")
        drawn = [("ua", "", "-"), *([("ua_without", excluding, "--")] if excluding else [])]
        for column, suffix, style in drawn:
            if own.empty or not np.isfinite(own[column]).any():
                continue
            draw_intervals(
                axes,
                own["ser_weight"].to_numpy() + (0.008 if style == "--" else 0),
                own,
                column,
                2 * number + (style == "--"),
                name + suffix,
                linestyle=style,
            )
    combined = weights[weights["system"] == "combined"]
    if len(combined):
        draw_intervals(axes, np.array([1.0]), combined, "ua", 4, "combined (λ 1)", joined=False)
    axes.set_xlabel("λ, the weight of emotion in the loss")
    axes.set_ylabel("UA (%)")
    add_legend(figure, [axes])
    return picture_of(
        figure,
        "lambda",
        "UA against λ",
        "Curves with 95 % intervals: mean UA of both styles by the weight of the emotion loss"
        f"{', and' + excluding if excluding else ''}; a point for combined training without style.",
    )


@matplotlib.rc_context(LOOK)
def reliability_diagrams(bins: pd.DataFrame, calibration: pd.DataFrame) -> Picture:
    """Draws accuracy against confidence, before and after temperature scaling, a panel a system."""
    tested = list(dict.fromkeys(zip(bins["given"], bins["name"], strict=True)))
    columns = min(4, len(tested))
    rows = -(-len(tested) // columns)
    figure = Figure(figsize=(2.5 * columns + 0.4, 2.6 * rows + 0.6))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    errors = {(row["given"], row["name"]): row for _, row in calibration.iterrows()}
    for axes, (given, name) in zip(panels, tested, strict=False):
        own = bins[(bins["given"] == given) & (bins["name"] == name)]
        axes.plot([25, 100], [25, 100], color="#999999", linewidth=0.8, linestyle=":")
        for number, (calibrated, when) in enumerate(((False, "before"), (True, "after"))):
            points = own[(own["calibrated"] == calibrated) & (own["utterances"] >= LEAST_SHOWN)]
            axes.plot(
                points["confidence"] * 100,
                points["accuracy"] * 100,
                color=COLOURS[(3, 0)[number]],
                marker=MARKERS[number],
                markersize=3.5,
                linewidth=1.2,
                label=when,
            )
        before, after = (errors[given, name][when] * 100 for when in ("before", "after"))
        title = f"{label(name, given)}\nerror {before:.1f} → {after:.1f}"
        axes.set_title(title, fontsize=8, loc="left")
        axes.set(xlim=(20, 102), ylim=(0, 102))
    for axes in panels[len(tested) :]:
        axes.set_visible(False)
    figure.supxlabel("probability of the emotion recognised (%)", fontsize=9)
    figure.supylabel("recognised correctly (%)", fontsize=9)
    add_legend(figure, panels[:1])
    return picture_of(
        figure,
        "reliability",
        "Reliability before and after temperature scaling",
        f"For each of {len(tested)} tests, accuracy against the probability of the emotion "
        "recognised, before and after calibration; on the dotted diagonal the two agree. Bins with "
        f"fewer than {LEAST_SHOWN} utterances are not drawn.",
    )


@matplotlib.rc_context(LOOK)
def channel_conditions(channels: pd.DataFrame) -> Picture:
    """Draws UA over degraded channels, one panel for each kind of speaker data."""
    panels_of = [given for given in GIVEN if (channels["given"] == given).any()]
    tested = set(channels["condition"])
    conditions = [condition for condition in CONDITIONS if condition in tested]
    words = [CONDITION_NAMES[condition] for condition in conditions]
    names = _names(channels)
    figure = Figure(figsize=(1.0 + 3.4 * len(panels_of), 4.2))
    panels = figure.subplots(1, len(panels_of), sharey=True, squeeze=False)[0]
    for axes, given in zip(panels, panels_of, strict=True):
        own = channels[channels["given"] == given]
        present = [name for name in names if (own["name"] == name).any()]
        for place, name in enumerate(present):
            rows = own[own["name"] == name].set_index("condition").reindex(conditions)
            at = np.arange(len(conditions)) + (place - (len(present) - 1) / 2) * 0.06
            draw_intervals(axes, at, rows, "ua", names.index(name), name)
        axes.set_title(f"speaker data: {given}", loc="left", fontsize=9)
        axes.set_xticks(np.arange(len(words)), [w.replace(" ", "\n", 1) for w in words], fontsize=8)
    panels[0].set_ylabel("UA (%)")
    add_legend(figure, panels)
    return picture_of(
        figure,
        "channels",
        "UA over degraded channels",
        f"Curves with 95 % intervals: mean UA of {_listed(names)} on {_listed(words)}; one "
        "panel for each kind of speaker data.",
    )


def _names(rows: pd.DataFrame) -> list[str]:
    """Returns the systems in one order, so that each has the same colour in all panels."""
    return list(dict.fromkeys(rows["name"]))


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)
