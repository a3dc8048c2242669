"""The parts of a page, and how figures are written on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.report.svg import Picture

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of written cells; its first `labels` columns identify a row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1
    missing: str = "No such run has finished."  # instead of a table without rows


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a page: paragraphs, then pictures, then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = field(default=())


def percent(share: float) -> str:
    """Returns `62.7` of 0.627."""
    return f"{share * 100:.1f}" if np.isfinite(share) else NOTHING


def interval(row: pd.Series, name: str) -> str:
    """Returns `62.7 (58.1–66.0)`, or the value alone where there is no interval."""
    value, low, high = (percent(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    return value if low == NOTHING else f"{value} ({low}–{high})"


def difference(row: pd.Series, name: str = "difference") -> str:
    """Returns `+1.2 (−0.5 to +2.9)`, in percentage points."""
    value, low, high = (points(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    return value if low == NOTHING else f"{value} ({low} to {high})"


def points(share: float, digits: int = 1) -> str:
    """Returns `−0.5` of -0.005: percentage points with their sign."""
    return f"{share * 100:+.{digits}f}".replace("-", "−") if np.isfinite(share) else NOTHING


def probability(p: float, draws: int) -> str:
    """Returns `0.031`, or `≤ 0.002` where the draws cannot show less."""
    if not np.isfinite(p):
        return NOTHING
    least = 2 / (1 + draws)
    return f"≤ {least:.3f}" if p <= least else f"{p:.3f}"
