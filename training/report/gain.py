"""The paper's gain, selective MTL less baseline: can it be told here, and why or why not?"""

import numpy as np
import pandas as pd

from model.labels import STYLES
from training.report.page import NOTHING, Table, difference, percent, points, probability
from training.report.statistics import BOTH, Figures


def table(figures: Figures, draws: int) -> Table:
    claim = _claim(figures)
    return Table(
        "Selective MTL less baseline, percentage points of UA",
        ["over", "speakers", "difference", "p", "paper", f"speakers for {_reach(claim[BOTH])}"],
        [
            [over, str(row["speakers"]), difference(row), probability(row["p"], draws)]
            + [points(row["paper"], 2)]
            + [_about(row["needed"]) if np.isfinite(row["needed"]) else NOTHING]
            for over, row in claim.items()
            if np.isfinite(row["difference"])
        ],
        missing="The two have not been tested on a common speaker.",
    )


def verdict(figures: Figures) -> str:
    """Whether it is found here, is not, or can't be told."""
    claim = _claim(figures)
    row = claim[BOTH]
    said = f"Selective MTL less baseline, {points(row['paper'], 2)} points in the paper,"
    if not np.isfinite(row["difference"]):
        return f"{said} has not been tested here in both styles."
    said = f"{said} is {difference(row)} here"
    if not row["half"] > 0:
        return f"{said}, without an interval."
    no_gain, theirs = (
        row["difference_low"] <= gain <= row["difference_high"] for gain in (0.0, row["paper"])
    )
    verdict = {
        (True, True): "It cannot be told here: neither no gain at all nor the paper's is excluded",
        (True, False): "It is not found here: the paper's is excluded, no gain at all is not",
        (False, True): "It is found here: no gain at all is excluded, the paper's is not",
        (False, False): "It is another here: no gain at all and the paper's are both excluded",
    }[bool(no_gain), bool(theirs)]
    others = [
        f" and {difference(other)}{over.removeprefix(BOTH)}"
        for over, other in claim.items()
        if over.startswith(BOTH) and over != BOTH
    ]
    return f"{said}{''.join(others)}. {verdict}."


def why(figures: Figures) -> list[str]:
    """Whose speakers make the interval wide, and what is told in each style."""
    claim = _claim(figures)
    row, styles = claim[BOTH], [claim[style.value] for style in STYLES]
    if not row["half"] > 0:
        return []
    wide, narrow = sorted(styles, key=lambda style: -style["half"])
    share = wide["half"] ** 2 / (wide["half"] ** 2 + narrow["half"] ** 2)
    return [
        f"The interval reaches {percent(row['half'])} points to either side, and "
        f"{share * 100:.0f} % of its variance comes from {wide['speakers']} {wide['over']} "
        f"speakers: with them the gain is {difference(wide)}, with {narrow['speakers']} "
        f"{narrow['over']} ones {difference(narrow)}; in the paper {points(wide['paper'], 2)} and "
        f"{points(narrow['paper'], 2)}."
    ]


def of_what(figures: Figures) -> list[str]:
    """How much of the gain the data make, and how much the style."""
    steps = {
        (row["system"], row["less"]): " and ".join(
            f"{difference(row, f'difference_{style.value}')} in {style} speech" for style in STYLES
        )
        for _, row in figures.steps.iterrows()
        if row["of"] == "UA" and np.isfinite(row["difference"])
    }
    data = steps.get(("combined", "baseline"))
    style = steps.get(("selective MTL", "combined"))
    if data is None or style is None:
        return []
    return [
        f"Of that gain the other style's data make {data} (combined less baseline), the selective "
        f"style task makes {style} (selective MTL less combined)."
    ]


def how_many(figures: Figures) -> list[str]:
    """Speakers that it would take to tell the paper's gain from none."""
    claim = _claim(figures)
    row, styles = claim[BOTH], [claim[style.value] for style in STYLES]
    if not row["half"] > 0:
        return []
    reach = _reach(row)
    if row["half"] <= row["paper"]:
        return [f"There are speakers enough: the interval is within {reach}."]
    wide, narrow = sorted(styles, key=lambda style: -style["half"])
    # The mean of two independent figures: (2 * half) ** 2 is the sum of their halves' squares.
    left = (2 * row["paper"]) ** 2 - narrow["half"] ** 2
    alone = (
        f", or some {_about(wide['speakers'] * wide['half'] ** 2 / left)} {wide['over']} ones "
        f"instead of {wide['speakers']}"
        if left > 0
        else ""
    )
    return [
        "An interval narrows with the square root of the speakers: "
        f"{reach} takes some {_about(row['needed'])} speakers instead of {row['speakers']}, every "
        f"corpus grown alike{alone}.",
        f"Within {reach} a true gain as large is told from none in one study of two; in four of "
        "five with twice as many speakers. That is the least it takes: of few speakers an interval "
        "comes out too narrow, and training anew, which moves the figures too, is not in it.",
    ]


def _reach(row: pd.Series) -> str:
    return f"±{row['paper'] * 100:.2f}"


def _about(count: float) -> str:
    """Two digits of it: more are not known."""
    return f"{int(float(f'{count:.2g}'))}"


def _claim(figures: Figures) -> dict[str, pd.Series]:
    return {row["over"]: row for _, row in figures.claim.iterrows()}
