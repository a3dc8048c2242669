from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from model.labels import STYLES
from tests.training.report.expected import CLEAN, MTL, RUN, mean_of_styles, row
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.metrics import unweighted_accuracy
from training.report.statistics import StudyFigures, measure
from training.study.predictions import Predictions


def test_the_baseline_is_joined_from_two_runs_a_fold(tmp_path: Path) -> None:
    style_runs = [
        Recipe(0.6).predictions(replace(RUN, system="baseline", trained_on=style.value, fold=fold))
        for style in STYLES
        for fold in (0, 1)
    ]
    found = row(measure(study_of(tmp_path, *style_runs), 20).overall, system="baseline")
    assert found["ua"] == pytest.approx(mean_of_styles(style_runs))
    assert np.isnan(found["p"])


def test_equal_predictions_differ_by_zero(tmp_path: Path) -> None:
    style_runs = [
        Recipe().predictions(replace(RUN, system="baseline", trained_on=style.value))
        for style in STYLES
    ]
    logits = np.concatenate([run.logits[CLEAN] for run in style_runs])
    names = np.concatenate([run.utterance for run in style_runs])
    same = Recipe().predictions(RUN)
    where = {name: i for i, name in enumerate(names)}
    same = replace(same, logits={CLEAN: logits[[where[name] for name in same.utterance]]})
    found = row(
        measure(study_of(tmp_path, *style_runs, same), 50).overall, system="combined", share=1.0
    )
    assert (found["difference"], found["difference_low"], found["difference_high"]) == (0, 0, 0)
    assert found["p"] == 1


def samples_by_speaker(predictions: Predictions) -> dict[str, np.ndarray]:
    """corpus -> (S, 4, 4)"""
    recognised = predictions.logits[CLEAN].argmax(1)
    return {
        str(corpus): np.stack(
            [
                confusion_matrix(predictions.emotion[own], recognised[own], labels=range(4))
                for speaker in np.unique(predictions.speaker[predictions.corpus == corpus])
                for own in [(predictions.corpus == corpus) & (predictions.speaker == speaker)]
            ]
        )
        for corpus in np.unique(predictions.corpus)
    }


def test_a_difference_is_the_paired_bootstrap_done_speaker_by_speaker(tmp_path: Path) -> None:
    pair = [Recipe(0.5).predictions(RUN, CORPORA), Recipe(0.7).predictions(MTL, CORPORA)]
    found = row(measure(study_of(tmp_path, *pair), 300).steps, system="MTL", of="UA")
    combined, mtl = (samples_by_speaker(predictions) for predictions in pair)
    drawn = {
        corpus: np.random.default_rng(list(corpus.encode())).integers(
            len(combined[corpus]), size=(300, len(combined[corpus]))
        )
        for corpus in CORPORA
    }

    def figure(of: dict[str, np.ndarray], picked: Callable[[str], np.ndarray]) -> float:
        ua = {c: float(unweighted_accuracy(of[c][picked(c)].sum(0))) for c in CORPORA}
        return float(
            np.mean([np.mean([ua[c] for c in CORPORA if CORPORA[c].style is s]) for s in STYLES])
        )

    differences = [
        figure(mtl, lambda c: drawn[c][i]) - figure(combined, lambda c: drawn[c][i])  # noqa: B023
        for i in range(300)
    ]
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((low, high))
    assert found["difference"] == pytest.approx(mean_of_styles(pair[1:]) - mean_of_styles(pair[:1]))


def test_systems_are_compared_over_the_folds_that_both_have(tmp_path: Path) -> None:
    first, second, mtl = (
        Recipe(a).predictions(run)
        for a, run in ((0.5, RUN), (0.9, replace(RUN, fold=1)), (0.6, MTL))
    )
    found = measure(study_of(tmp_path, first, second, mtl), 20)
    step = row(found.steps, system="MTL", of="UA")
    assert step["difference"] == pytest.approx(mean_of_styles([mtl]) - mean_of_styles([first]))
    assert step["speakers"] == 2 + 2 + 2 + 1
    assert row(found.overall, system="combined", share=1.0)["folds"] == [0, 1]


def test_a_system_of_several_seeds_is_their_mean(tmp_path: Path) -> None:
    runs = [Recipe(0.6).predictions(replace(RUN, seed=seed)) for seed in (0, 1, 5)]
    found = row(measure(study_of(tmp_path, *runs), 20).overall, system="combined", share=1.0)
    each = [mean_of_styles([predictions]) for predictions in runs]
    assert found["ua_by_seed"] == pytest.approx(dict(zip(["0", "1", "5"], each, strict=True)))
    assert found["ua"] == pytest.approx(np.mean(each))
    assert found["seeds"] == [0, 1, 5]


def test_rows_of_the_paper_that_have_not_finished_are_there_without_figures(tmp_path: Path) -> None:
    overall = measure(study_of(tmp_path, Recipe().predictions(RUN)), 20).overall
    assert len(overall) == 7
    assert overall["ua"].notna().sum() == 1


def test_a_system_s_figure_is_the_mean_of_its_styles(figures: StudyFigures) -> None:
    tested = figures.overall[figures.overall["ua"].notna()]
    for figure in ("ua", "difference"):
        styles = tested[[f"{figure}_{style.value}" for style in STYLES]].mean(axis=1)
        pd.testing.assert_series_equal(tested[figure], styles, check_names=False)
    assert list(tested[tested["main"]]["label"]) == [
        "baseline",
        "combined",
        "MTL",
        "selective MTL",
        "Kanjo",
        "compare-svm",
        "egemaps-svm",
        "Kanjo + past speech",
        "egemaps-svm + past speech",
        "Kanjo + all speech",
        "egemaps-svm + all speech",
    ]
    pd.testing.assert_series_equal(
        tested.set_index("label")["difference_acted"]["selective MTL":"selective MTL"],
        figures.claim.set_index("over")["difference"]["acted":"acted"],
        check_names=False,
        check_index=False,
    )


def test_a_step_is_the_mean_of_its_styles(figures: StudyFigures) -> None:
    styles = figures.steps[[f"difference_{style.value}" for style in STYLES]].mean(axis=1)
    pd.testing.assert_series_equal(figures.steps["difference"], styles, check_names=False)
    assert (figures.steps["minus"] == "combined").sum() == 4  # MTL and selective MTL, UA and WA


def test_the_lambda_curve_is_over_the_speakers_of_all_its_points(tmp_path: Path) -> None:
    selective = replace(RUN, system="selective-mtl")
    study = study_of(
        tmp_path,
        *(Recipe().predictions(replace(selective, ser_weight=0.8, fold=fold)) for fold in (0, 1)),
        Recipe(0.4).predictions(replace(selective, ser_weight=0.2, fold=1)),
        *(Recipe().predictions(replace(RUN, fold=fold)) for fold in (0, 1)),
    )
    found = measure(study, 20).weights
    assert list(found["ser_weight"]) == [1.0, 0.2, 0.8]
    assert set(found["speakers"]) == {7}
    predictions = Recipe().predictions(replace(selective, ser_weight=0.8, fold=1))
    assert row(found, ser_weight=0.8)["ua"] == pytest.approx(mean_of_styles([predictions]))


def test_one_lambda_makes_no_curve(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().predictions(RUN), Recipe().predictions(MTL))
    assert measure(study, 0).weights.empty


def test_another_network_has_its_own_rows_and_is_compared_with_the_main_one(
    tmp_path: Path,
) -> None:
    paper = replace(RUN, network="paper")
    runs = [Recipe().predictions(replace(RUN, fold=fold)) for fold in (0, 1)]
    big = Recipe(0.8).predictions(paper)
    found = measure(study_of(tmp_path, *runs, big), 20)
    assert row(found.overall, network="paper")["ua"] == pytest.approx(mean_of_styles([big]))
    step = row(found.steps, system="combined, paper network", of="UA")
    assert step["minus"] == "combined"
    assert step["difference"] == pytest.approx(mean_of_styles([big]) - mean_of_styles(runs[:1]))
