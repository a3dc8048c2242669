from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model.labels import STYLES
from tests.training.report.expected import CLEAN, KANJO, REFERENCE, row
from tests.training.report.synthetic import Recipe, settings, study_of
from training.report.means import BOTH, MEAN
from training.report.statistics import StudyFigures, measure
from training.study.predictions import Predictions, Run


def test_recalls_and_confusions_are_means_over_a_style_s_corpora(figures: StudyFigures) -> None:
    for style in STYLES:
        recognised = row(figures.emotions, style=style.value, name="selective MTL")
        for emotion in ("anger", "happiness", "sadness", "neutral"):
            cell = row(
                figures.confusions,
                given="nothing",
                style=style.value,
                name="selective MTL",
                labelled=emotion,
            )
            assert cell[emotion] == pytest.approx(recognised[emotion])
            rows = ["anger", "happiness", "sadness", "neutral"]
            assert cell[rows].sum() == pytest.approx(1)
        recalls = recognised[["anger", "happiness", "sadness", "neutral"]]
        assert recognised["ua"] == pytest.approx(recalls.mean())


def test_systems_are_compared_by_their_speaker_data(figures: StudyFigures) -> None:
    tested = {
        given: set(own["name"]) for given, own in figures.by_corpus.groupby("given", sort=False)
    }
    assert tested == {
        "nothing": {"baseline", "combined", "MTL", "selective MTL", "Kanjo"}
        | {"egemaps-svm", "compare-svm"},
        "past speech": {"Kanjo", "egemaps-svm"},
        "all speech": {"Kanjo", "egemaps-svm"},
    }
    plain = figures.by_corpus[figures.by_corpus["given"] == "nothing"]
    assert set(plain[plain["name"] == "Kanjo"]["setting"]) == {"utterance/clean"}
    assert set(plain[plain["name"] == "egemaps-svm"]["setting"]) == {"corpus/clean"}


def test_urdu_counts_for_no_mean(tmp_path: Path) -> None:
    predictions = Recipe(0.7, settings("utterance")).predictions(KANJO)
    reference = Recipe(0.6, settings("corpus")).predictions(REFERENCE)
    wrong = np.eye(4, dtype=np.float32)[(predictions.emotion + 1) % 4] * 9
    urdu = (predictions.corpus == "urdu")[:, None]
    spoilt = replace(
        predictions,
        logits={setting: np.where(urdu, wrong, old) for setting, old in predictions.logits.items()},
    )
    before = measure(study_of(tmp_path / "before", predictions, reference), 20)
    after = measure(study_of(tmp_path / "after", spoilt, reference), 20)
    pd.testing.assert_frame_equal(before.channels, after.channels)
    pd.testing.assert_frame_equal(before.anger, after.anger)
    pd.testing.assert_frame_equal(before.calibration, after.calibration)
    for name, worse in (("by_corpus", "ua"), ("advantage", "difference")):
        tables = [getattr(found, name) for found in (before, after)]
        mean, of_urdu = (
            [
                row(table, corpus=corpus, **({"name": "Kanjo"} if worse == "ua" else {}))[worse]
                for table in tables
            ]
            for corpus in (MEAN, "urdu")
        )
        assert mean[0] == mean[1]
        assert of_urdu[0] > of_urdu[1]


def test_kanjo_is_compared_with_the_best_reference_system_of_each_corpus(tmp_path: Path) -> None:
    def right_in(run: Run, setting: str, *corpora: str) -> Predictions:
        predictions = Recipe(0.6, (setting,)).predictions(run)
        recognised = np.where(
            np.isin(predictions.corpus, corpora), predictions.emotion, (predictions.emotion + 1) % 4
        )
        return replace(predictions, logits={setting: np.eye(4, dtype=np.float32)[recognised]})

    study = study_of(
        tmp_path,
        right_in(KANJO, CLEAN, "emodb", "nemo"),
        right_in(REFERENCE, "corpus/clean", "emodb"),
        right_in(replace(REFERENCE, system="compare-svm"), "corpus/clean", "nemo", "eyase"),
    )
    found = measure(study, 20).advantage
    assert set(found["given"]) == {"nothing"}
    assert dict(zip(found["corpus"], found["reference"], strict=True)) | {"urdu": "-"} == {
        BOTH: "compare-svm",
        MEAN: "compare-svm",
        "emodb": "egemaps-svm",
        "nemo": "compare-svm",
        "eyase": "compare-svm",
        "urdu": "-",
    }
    by_corpus = dict(zip(found["corpus"], found["difference"], strict=True))
    assert by_corpus == pytest.approx(
        {BOTH: 0, MEAN: 0, "emodb": 0, "nemo": 0, "eyase": -1, "urdu": 0}
    )


def test_anger_is_recognised_against_the_rest(tmp_path: Path) -> None:
    runs = [Recipe(0.7).predictions(replace(KANJO, fold=fold)) for fold in range(5)]
    found = measure(study_of(tmp_path, *runs), 50).anger
    assert list(found["condition"]) == ["clean", "mulaw"]
    recognised = np.concatenate([a.logits["utterance/mulaw"][a.corpus != "urdu"] for a in runs])
    truth = np.concatenate([a.emotion[a.corpus != "urdu"] for a in runs])
    probability = np.exp(recognised / 3.0) / np.exp(recognised / 3.0).sum(1, keepdims=True)
    alarm = probability[:, 0] >= 0.4
    over_mulaw = row(found, condition="mulaw")
    assert over_mulaw["recall"] == pytest.approx(alarm[truth == 0].mean())
    assert over_mulaw["false"] == pytest.approx(alarm[truth != 0].mean())
    assert over_mulaw["ua"] == pytest.approx((over_mulaw["recall"] + 1 - over_mulaw["false"]) / 2)


def test_a_style_head_that_was_not_trained_is_left_out(figures: StudyFigures) -> None:
    assert set(figures.style["name"]) == {"MTL", "selective MTL", "Kanjo"}
    assert figures.style["accuracy"].between(0.9, 1).all()
    assert figures.style[["acted", "spontaneous"]].stack().between(0.85, 1).all()


def test_degraded_channels_are_measured_where_they_were_tested(figures: StudyFigures) -> None:
    tested = figures.channels.groupby("name")["condition"].agg(set)
    assert tested["compare-svm"] == {"clean", "mulaw"}
    assert tested["Kanjo"] == {"clean", "mulaw", "alaw", "loss5", "loss10", "noise10"}
    clean = figures.channels[figures.channels["condition"] == "clean"].set_index(["given", "name"])[
        "ua"
    ]
    means = figures.by_corpus[figures.by_corpus["corpus"] == MEAN].set_index(["given", "name"])[
        "ua"
    ]
    pd.testing.assert_series_equal(clean, means)
