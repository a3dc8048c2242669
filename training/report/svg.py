"""Figures as SVG elements: text stays text, and colours differ for the colour-blind too."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's colours, without their yellow, which is faint on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000", "#CC79A7", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "D", "^", "*", "v", "P", "X")

# Set around the making of each picture: axes take their style when they are made.
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
    description: str  # for screen readers
    svg: str


def draw_intervals(
    axes: Axes,
    at: np.ndarray,
    rows: pd.DataFrame,
    column: str,
    number: int,
    name: str,
    joined: bool = True,
    linestyle: str = "-",
) -> None:
    """Draws a point with its 95 % interval for every row, in per cent."""
    value = rows[column].to_numpy(float) * 100
    low, high = (rows[f"{column}_{end}"].to_numpy(float) * 100 for end in ("low", "high"))
    reach = np.nan_to_num(np.stack([value - low, high - value]))
    axes.errorbar(
        at,
        value,
        # The sample's own figure may lie outside a bootstrap interval.
        yerr=np.maximum(reach, 0),
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=7 if MARKERS[number % len(MARKERS)] == "*" else 4.5,
        linestyle=linestyle if joined else "none",
        linewidth=1.2,
        elinewidth=0.9,
        label=name,
    )


def add_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """Adds one legend for all panels, above them."""
    entries: dict[Any, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=min(4, len(entries)),
        fontsize=9,
    )


def picture_of(figure: Figure, name: str, title: str, description: str) -> Picture:
    """Returns a figure as SVG; its ids begin with its name, as many pictures share one page."""
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
    accessible = (
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>'
    )
    labelled = f' role="img" aria-labelledby="{name}-title {name}-desc"'
    return Picture(name, title, description, f"{opening}{labelled}>{accessible}{rest.rstrip()}\n")
