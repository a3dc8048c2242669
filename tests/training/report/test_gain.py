import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.labels import STYLES
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report import gain
from training.report.means import BOTH
from training.report.statistics import StudyFigures, measure
from training.study.predictions import Predictions, Run

SELECTIVE = Run("selective-mtl", "compact", "both", 1.0, 0.8, fold=0, seed=0)
FIRST = "Selective MTL minus baseline, +2.85 points in the paper,"


def pair(selective: float, baseline: float, folds: int = 5) -> list[Predictions]:
    """Returns both systems on every fold, with these accuracies."""
    style_runs = [
        replace(SELECTIVE, system="baseline", ser_weight=1.0, trained_on=s) for s in STYLES
    ]
    return [
        Recipe(accuracy).predictions(replace(run, fold=fold))
        for run, accuracy in ((SELECTIVE, selective), *((run, baseline) for run in style_runs))
        for fold in range(folds)
    ]


@pytest.fixture(scope="module")
def undecided(tmp_path_factory: pytest.TempPathFactory) -> StudyFigures:
    return measure(study_of(tmp_path_factory.mktemp("study"), *pair(0.51, 0.5)), 200)


def claimed(figures: StudyFigures, **both: float) -> StudyFigures:
    """Returns figures with other numbers for both styles."""
    claim = figures.claim.copy()
    for column, value in both.items():
        claim.loc[claim["over"] == BOTH, column] = value
    return replace(figures, claim=claim)


def over(figures: StudyFigures, name: str) -> pd.Series:
    (row,) = [row for _, row in figures.claim.iterrows() if row["over"] == name]
    return row


def test_the_gain_is_measured_over_styles_and_over_every_corpus(undecided: StudyFigures) -> None:
    assert list(undecided.claim["over"]) == [
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
    assert list(undecided.claim["speakers"]) == [32, 22, 22, 17, 15, 9, 8, 5, 10]
    papers = undecided.claim.set_index("over")["paper"].dropna()
    assert papers.to_dict() == pytest.approx(
        {"both styles": 0.0285, "acted": 0.0382, "spontaneous": -0.0022}
    )
    styles = [over(undecided, style.value)["difference"] for style in STYLES]
    assert over(undecided, BOTH)["difference"] == pytest.approx(np.mean(styles))


def test_speakers_needed_narrow_the_interval_to_the_paper_s_gain(undecided: StudyFigures) -> None:
    row = over(undecided, BOTH)
    assert row["half"] == pytest.approx((row["difference_high"] - row["difference_low"]) / 2)
    narrowed = row["half"] / math.sqrt(row["needed"] / row["speakers"])
    assert narrowed == pytest.approx(0.0285)


def test_needed_speakers_come_true(tmp_path: Path) -> None:
    """Four times the speakers roughly halve the interval and keep the estimate of needed ones."""
    found = []
    for times in (1, 4):
        many = {k: replace(c, speakers=c.speakers * times) for k, c in CORPORA.items()}
        runs = [Recipe(0.5).predictions(predictions.run, many) for predictions in pair(0.5, 0.5)]
        found.append(over(measure(study_of(tmp_path / str(times), *runs), 300), BOTH))
    assert found[1]["half"] == pytest.approx(found[0]["half"] / 2, rel=0.35)
    assert found[1]["needed"] == pytest.approx(found[0]["needed"], rel=0.6)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (
            -0.04,
            0.05,
            "These data cannot decide: the interval includes both zero and the paper's gain",
        ),
        (
            -0.04,
            0.01,
            "The gain is not found here: the interval includes zero and excludes the paper's gain",
        ),
        (
            0.01,
            0.05,
            "The gain is found here: the interval excludes zero and includes the paper's gain",
        ),
        (
            0.04,
            0.05,
            "The gain here differs from the paper's: the interval excludes zero and the paper's",
        ),
    ],
)
def test_the_verdict_is_what_the_interval_says(
    undecided: StudyFigures, low: float, high: float, verdict: str
) -> None:
    figures = claimed(undecided, difference=0.03, difference_low=low, difference_high=high)
    sentences = gain.verdict(figures)
    assert sentences.startswith(f"{FIRST} is +3.0 ({low * 100:+.1f} to".replace("-", "−"))
    assert sentences.endswith(f"without urdu. {verdict}.")


def test_the_style_whose_speakers_make_the_interval_wide_is_named(undecided: StudyFigures) -> None:
    acted, spontaneous = (over(undecided, style.value) for style in STYLES)
    assert spontaneous["half"] > acted["half"]
    share = spontaneous["half"] ** 2 / (spontaneous["half"] ** 2 + acted["half"] ** 2)
    (paragraph,) = gain.width(undecided)
    assert f"{share * 100:.0f} % of its variance comes from the 15 spontaneous" in paragraph
    assert paragraph.endswith("in the paper −0.22 and +3.82.")


def test_needed_speakers_are_given_in_all_and_of_the_style_that_lacks_them(
    undecided: StudyFigures,
) -> None:
    few = claimed(undecided, half=0.057, needed=128.4)
    assert "±2.85 would take about 130 speakers instead of 32," in gain.speakers_needed(few)[0]
    acted = undecided.claim["over"] == "acted"
    spontaneous = undecided.claim["over"] == "spontaneous"
    few.claim.loc[acted, "half"] = 0.03
    few.claim.loc[spontaneous, "half"] = 0.11
    # (2 * 2.85) ** 2 - 3 ** 2 is 23.49, and 15 * 11 ** 2 / 23.49 is 77.3
    assert gain.speakers_needed(few)[0].endswith("or about 77 spontaneous ones instead of 15.")
    few.claim.loc[acted, "half"] = 0.06  # no number of spontaneous speakers is enough
    assert gain.speakers_needed(few)[0].endswith("with every corpus grown in proportion.")


def test_enough_speakers_are_stated_to_be_enough(undecided: StudyFigures) -> None:
    enough = claimed(undecided, half=0.02)
    assert gain.speakers_needed(enough) == [
        "There are enough speakers: the interval is within ±2.85."
    ]


def test_the_gain_from_data_is_separated_from_that_of_the_style_task(figures: StudyFigures) -> None:
    (paragraph,) = gain.sources(figures)
    steps = figures.steps[figures.steps["of"] == "UA"].set_index(["system", "minus"])
    for names in (("combined", "baseline"), ("selective MTL", "combined")):
        assert f"{steps.loc[names, 'difference_acted'] * 100:+.1f}".replace("-", "−") in paragraph


def test_without_intervals_only_the_gain_is_given(tmp_path: Path) -> None:
    bare = measure(study_of(tmp_path, *pair(0.6, 0.5, folds=1)), 0)
    assert gain.verdict(bare).endswith("here, without an interval.")
    assert gain.width(bare) == gain.speakers_needed(bare) == []
    assert {row[-1] for row in gain.table(bare, 0).rows} == {"–"}


def test_no_conclusion_is_drawn_from_a_system_that_recognises_one_emotion_alone(
    tmp_path: Path,
) -> None:
    one_of_folds = [
        replace(
            predictions,
            logits={
                name: np.eye(4, dtype=np.float32)[np.ones(len(logits), int)]
                for name, logits in predictions.logits.items()
            },
        )
        if predictions.run.system == "baseline" and predictions.run.fold < 2
        else predictions
        for predictions in pair(0.7, 0.5)
    ]
    study = study_of(tmp_path, *one_of_folds)
    figures = measure(study, 100)
    verdict = gain.verdict(figures)
    assert verdict.startswith(f"{FIRST} is +")
    assert verdict.endswith(
        "here. No conclusion follows: 4 of 10 runs of baseline recognised one emotion alone."
    )
    assert gain.width(figures) == gain.speakers_needed(figures) == gain.sources(figures) == []
    assert gain.table(figures, 100).rows  # the figures themselves are shown


def test_untested_systems_are_reported_as_untested(tmp_path: Path) -> None:
    alone = measure(study_of(tmp_path, Recipe().predictions(SELECTIVE)), 10)
    assert gain.verdict(alone) == f"{FIRST} has not been tested here in both styles."
    assert gain.width(alone) == gain.speakers_needed(alone) == gain.sources(alone) == []
    assert not gain.table(alone, 10).rows
