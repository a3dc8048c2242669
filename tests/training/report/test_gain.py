import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.labels import STYLES
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report import gain
from training.report.statistics import BOTH, Figures, measure
from training.study.predictions import Predictions, Run

SELECTIVE = Run("selective-mtl", "compact", "both", 1.0, 0.8, fold=0, seed=0)
FIRST = "Selective MTL less baseline, +2.85 points in the paper,"


def pair(selective: float, baseline: float, folds: int = 5) -> list[Predictions]:
    """Both systems on every fold, right so often."""
    parts = [replace(SELECTIVE, system="baseline", ser_weight=1.0, trained_on=s) for s in STYLES]
    return [
        Recipe(accuracy).answers(replace(run, fold=fold))
        for run, accuracy in ((SELECTIVE, selective), *((part, baseline) for part in parts))
        for fold in range(folds)
    ]


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    return measure(study_of(tmp_path_factory.mktemp("study"), *pair(0.51, 0.5)), 200)


def claimed(figures: Figures, **both: float) -> Figures:
    """With other numbers for both styles."""
    claim = figures.claim.copy()
    for column, value in both.items():
        claim.loc[claim["over"] == BOTH, column] = value
    return replace(figures, claim=claim)


def over(figures: Figures, name: str) -> pd.Series:
    (row,) = [row for _, row in figures.claim.iterrows() if row["over"] == name]
    return row


def test_the_gain_is_measured_over_styles_and_over_every_corpus(untold: Figures) -> None:
    assert list(untold.claim["over"]) == [
        "both styles",
        "both styles without urdu",
        "mean of all corpora without urdu",
        "acted",
        "spontaneous",
        "emodb",
        "nemo",
        "eyase",
        "urdu",
    ]
    assert list(untold.claim["speakers"]) == [32, 22, 22, 17, 15, 9, 8, 5, 10]
    papers = untold.claim.set_index("over")["paper"].dropna()
    assert papers.to_dict() == pytest.approx(
        {"both styles": 0.0285, "acted": 0.0382, "spontaneous": -0.0022}
    )
    styles = [over(untold, style.value)["difference"] for style in STYLES]
    assert over(untold, BOTH)["difference"] == pytest.approx(np.mean(styles))


def test_speakers_needed_narrow_the_interval_to_the_paper_s_gain(untold: Figures) -> None:
    row = over(untold, BOTH)
    assert row["half"] == pytest.approx((row["difference_high"] - row["difference_low"]) / 2)
    narrowed = row["half"] / math.sqrt(row["needed"] / row["speakers"])
    assert narrowed == pytest.approx(0.0285)


def test_needed_speakers_come_true(tmp_path: Path) -> None:
    """Four times the speakers halve the interval, roughly: the estimate of how many stays."""
    found = []
    for times in (1, 4):
        many = {k: replace(c, speakers=c.speakers * times) for k, c in CORPORA.items()}
        runs = [Recipe(0.5).answers(answers.run, many) for answers in pair(0.5, 0.5)]
        found.append(over(measure(study_of(tmp_path / str(times), *runs), 300), BOTH))
    assert found[1]["half"] == pytest.approx(found[0]["half"] / 2, rel=0.35)
    assert found[1]["needed"] == pytest.approx(found[0]["needed"], rel=0.6)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.04, 0.05, "It cannot be told here: neither no gain at all nor the paper's is excluded"),
        (-0.04, 0.01, "It is not found here: the paper's is excluded, no gain at all is not"),
        (0.01, 0.05, "It is found here: no gain at all is excluded, the paper's is not"),
        (0.04, 0.05, "It is another here: no gain at all and the paper's are both excluded"),
    ],
)
def test_the_verdict_is_what_the_interval_says(
    untold: Figures, low: float, high: float, verdict: str
) -> None:
    figures = claimed(untold, difference=0.03, difference_low=low, difference_high=high)
    said = gain.verdict(figures)
    assert said.startswith(f"{FIRST} is +3.0 ({low * 100:+.1f} to".replace("-", "−"))
    assert said.endswith(f"without urdu. {verdict}.")


def test_why_names_the_style_whose_speakers_make_the_interval_wide(untold: Figures) -> None:
    acted, spontaneous = (over(untold, style.value) for style in STYLES)
    assert spontaneous["half"] > acted["half"]
    share = spontaneous["half"] ** 2 / (spontaneous["half"] ** 2 + acted["half"] ** 2)
    (said,) = gain.why(untold)
    assert f"{share * 100:.0f} % of its variance comes from 15 spontaneous speakers" in said
    assert said.endswith("in the paper −0.22 and +3.82.")


def test_how_many_are_needed_is_said_of_all_and_of_the_style_that_lacks(untold: Figures) -> None:
    few = claimed(untold, half=0.057, needed=128.4)
    assert "±2.85 takes some 130 speakers instead of 32," in gain.how_many(few)[0]
    acted = untold.claim["over"] == "acted"
    spontaneous = untold.claim["over"] == "spontaneous"
    few.claim.loc[acted, "half"] = 0.03
    few.claim.loc[spontaneous, "half"] = 0.11
    # (2 * 2.85) ** 2 - 3 ** 2 is 23.49, and 15 * 11 ** 2 / 23.49 is 77.3
    assert gain.how_many(few)[0].endswith("or some 77 spontaneous ones instead of 15.")
    few.claim.loc[acted, "half"] = 0.06  # no number of spontaneous speakers is enough
    assert gain.how_many(few)[0].endswith("every corpus grown alike.")


def test_enough_speakers_are_said_to_be(untold: Figures) -> None:
    enough = claimed(untold, half=0.02)
    assert gain.how_many(enough) == ["There are speakers enough: the interval is within ±2.85."]


def test_what_the_data_make_is_told_from_what_the_style_task_makes(figures: Figures) -> None:
    (said,) = gain.of_what(figures)
    steps = figures.steps[figures.steps["of"] == "UA"].set_index(["system", "less"])
    for names in (("combined", "baseline"), ("selective MTL", "combined")):
        assert f"{steps.loc[names, 'difference_acted'] * 100:+.1f}".replace("-", "−") in said


def test_without_intervals_only_the_gain_is_said(tmp_path: Path) -> None:
    bare = measure(study_of(tmp_path, *pair(0.6, 0.5, folds=1)), 0)
    assert gain.verdict(bare).endswith("here, without an interval.")
    assert gain.why(bare) == gain.how_many(bare) == []
    assert {row[-1] for row in gain.table(bare, 0).rows} == {"–"}


def test_what_has_not_been_tested_is_said(tmp_path: Path) -> None:
    alone = measure(study_of(tmp_path, Recipe().answers(SELECTIVE)), 10)
    assert gain.verdict(alone) == f"{FIRST} has not been tested here in both styles."
    assert gain.why(alone) == gain.how_many(alone) == gain.of_what(alone) == []
    assert not gain.table(alone, 10).rows
