"""What a page is made of, and how a figure is written on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.report.plots import Picture

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are read; the first `labels` columns say what a row is about."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int = 1
    missing: str = "No such run has finished."  # instead of a table without rows


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = field(default=())


def percent(share: float) -> str:
    return f"{share * 100:.1f}" if np.isfinite(share) else NOTHING


def interval(row: pd.Series, name: str) -> str:
    """`62.7 (58.1–66.0)`; without the interval where there is none."""
    value, low, high = (percent(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    return value if low == NOTHING else f"{value} ({low}–{high})"


def difference(row: pd.Series, name: str = "difference") -> str:
    """`+1.2 (−0.5 to +2.9)`, in percentage points."""
    value, low, high = (points(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    return value if low == NOTHING else f"{value} ({low} to {high})"


def points(share: float, digits: int = 1) -> str:
    """`−0.5`"""
    return f"{share * 100:+.{digits}f}".replace("-", "−") if np.isfinite(share) else NOTHING


def probability(p: float, draws: int) -> str:
    if not np.isfinite(p):
        return NOTHING
    least = 2 / (1 + draws)
    return f"≤ {least:.3f}" if p <= least else f"{p:.3f}"
