"""The paper's gain, selective MTL minus baseline: whether it is found here, and why or why not."""

from typing import Any

import numpy as np
import pandas as pd

from model.labels import STYLES
from training.report.means import BOTH
from training.report.page import NOTHING, Table, difference, points, probability
from training.report.prose import paragraphs
from training.report.statistics import StudyFigures


def table(figures: StudyFigures, draws: int) -> Table:
    claim = _claim(figures)
    return Table(
        "Selective MTL minus baseline, percentage points of UA",
        ["over", "speakers", "difference", "p", "paper", f"speakers for ±{_gain(claim[BOTH])}"],
        [
            [over, str(row["speakers"]), difference(row), probability(row["p"], draws)]
            + [points(row["paper"], 2)]
            + [_about(row["needed"]) if np.isfinite(row["needed"]) else NOTHING]
            for over, row in claim.items()
            if np.isfinite(row["difference"])
        ],
        missing="The two have not been tested on a common speaker.",
    )


def verdict(figures: StudyFigures) -> str:
    """Returns whether the gain is found here, is not, or cannot be decided.

    Nothing is concluded where a system recognised one emotion alone: it has learned nothing, and
    an interval around its constant UA says nothing about the paper's systems.
    """
    claim = _claim(figures)
    row = claim[BOTH]
    others = [
        (over.removeprefix(BOTH), other)
        for over, other in claim.items()
        if over.startswith(BOTH) and over != BOTH
    ]
    low, high = row["difference_low"], row["difference_high"]
    (sentence,) = paragraphs(
        "gain_verdict",
        row=row,
        others=others,
        constant=row["constant"],
        tested=bool(np.isfinite(row["difference"])),
        has_interval=bool(row["half"] > 0),
        zero_excluded=not low <= 0.0 <= high,
        paper_excluded=not low <= row["paper"] <= high,
    )
    return sentence


def width(figures: StudyFigures) -> list[str]:
    """Returns whose speakers make the interval wide, and the gain in each style."""
    row, wide, narrow = _by_width(figures)
    if not row["half"] > 0 or row["constant"]:
        return []
    share = wide["half"] ** 2 / (wide["half"] ** 2 + narrow["half"] ** 2)
    return paragraphs("gain_width", row=row, wide=wide, narrow=narrow, share=share)


def sources(figures: StudyFigures) -> list[str]:
    """Returns how much of the gain comes from the other style's data, how much from the style."""
    steps = {
        (row["system"], row["minus"]): row
        for _, row in figures.steps.iterrows()
        if row["of"] == "UA" and np.isfinite(row["difference"])
    }
    data = steps.get(("combined", "baseline"))
    style = steps.get(("selective MTL", "combined"))
    if data is None or style is None or _claim(figures)[BOTH]["constant"]:
        return []
    return paragraphs("gain_sources", data=data, style=style, styles=[s.value for s in STYLES])


def speakers_needed(figures: StudyFigures) -> list[str]:
    """Returns how many speakers it would take to tell the paper's gain from none."""
    row, wide, narrow = _by_width(figures)
    if not row["half"] > 0 or row["constant"]:
        return []
    # The mean of two independent figures: (2 * half) ** 2 is the sum of their halves' squares.
    left = (2 * row["paper"]) ** 2 - narrow["half"] ** 2
    values: dict[str, Any] = {
        "row": row,
        "wide": wide,
        "gain": _gain(row),
        "enough": bool(row["half"] <= row["paper"]),
        "needed": _about(row["needed"]),
        "needed_wide": _about(wide["speakers"] * wide["half"] ** 2 / left) if left > 0 else None,
    }
    return paragraphs("gain_speakers", **values)


def _by_width(figures: StudyFigures) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Returns the claim over both styles, over the style with the wider interval, the other."""
    claim = _claim(figures)
    wide, narrow = sorted((claim[s.value] for s in STYLES), key=lambda style: -style["half"])
    return claim[BOTH], wide, narrow


def _gain(row: pd.Series) -> str:
    return f"{row['paper'] * 100:.2f}"


def _about(count: float) -> str:
    """Returns two significant digits: the estimate has no more."""
    return f"{int(float(f'{count:.2g}'))}"


def _claim(figures: StudyFigures) -> dict[str, pd.Series]:
    return {row["over"]: row for _, row in figures.claim.iterrows()}
