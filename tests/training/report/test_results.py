from dataclasses import replace
from pathlib import Path

import pytest

from model.labels import STYLES, Style
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report.results import ReportError, Study
from training.report.systems import SystemKey
from training.study.predictions import Run

COMBINED = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
SYSTEM = SystemKey.of(COMBINED)
CLEAN = "utterance/clean"


def test_a_speaker_s_name_in_two_corpora_is_two_speakers(tmp_path: Path) -> None:
    speakers = study_of(tmp_path, Recipe().predictions(COMBINED)).speakers
    assert [corpus for corpus, speaker in speakers if speaker == "s0"] == sorted(CORPORA)


def test_a_fold_of_the_baseline_has_both_styles(tmp_path: Path) -> None:
    baseline = replace(COMBINED, system="baseline")
    acted = [replace(baseline, trained_on="acted", fold=fold) for fold in (0, 1)]
    other = replace(baseline, trained_on="spontaneous", fold=1, seed=0)
    runs = [*acted, other, COMBINED, replace(COMBINED, seed=4)]
    study = study_of(tmp_path, *(Recipe().predictions(run) for run in runs))
    assert study.folds(SystemKey.of(baseline)) == {0: (1,)}
    assert study.folds(SYSTEM) == {0: (0,), 4: (0,)}


def test_systems_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    runs = [
        replace(COMBINED, share=0.5),
        replace(COMBINED, share=0.25),
        replace(COMBINED, system="mtl", ser_weight=0.8),
        replace(COMBINED, system="mtl", ser_weight=0.8, fold=1),
        replace(COMBINED, system="selective-mtl", ser_weight=0.3),
        replace(COMBINED, system="selective-mtl", ser_weight=0.8, network="paper"),
        replace(COMBINED, system="kanjo", ser_weight=0.8),
        replace(COMBINED, system="egemaps-svm", network="svm"),
    ]
    study = study_of(tmp_path, *(Recipe().predictions(run) for run in runs))
    assert [study.name(system) for system in study.runs] == [
        "combined (half)",
        "combined (25% of the data)",
        "MTL",
        "selective MTL, λ 0.3",
        "selective MTL, paper network",
        "Kanjo",
        "egemaps-svm",
    ]
    assert study.networks == ["compact", "paper"]
    assert [study.name(system) for system in study.main_systems] == ["MTL", "Kanjo", "egemaps-svm"]


def test_corpora_are_in_the_order_of_their_styles(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().predictions(COMBINED))
    assert list(study.styles.items()) == [
        ("emodb", Style.ACTED),
        ("nemo", Style.ACTED),
        ("eyase", Style.SPONTANEOUS),
        ("urdu", Style.SPONTANEOUS),
    ]
    assert (study.confounded, study.excluding) == (["urdu"], " without urdu")
    assert study.unconfounded == ["emodb", "nemo", "eyase"]
    assert [study.corpora(style) for style in STYLES] == [["emodb", "nemo"], ["eyase", "urdu"]]


def test_a_folder_without_finished_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    with pytest.raises(ReportError, match="found no RUN/run.json, expected a finished run"):
        Study.load(tmp_path)


def test_an_utterance_that_a_system_tests_twice_is_refused(tmp_path: Path) -> None:
    predictions = Recipe().predictions(COMBINED)
    again = replace(predictions, run=replace(COMBINED, fold=1))
    with pytest.raises(ReportError, match=r"fold1_seed0 tests emodb/.* again, expected"):
        study_of(tmp_path, predictions, again)


def test_runs_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    predictions = Recipe().predictions(COMBINED)
    emotion = predictions.emotion.copy()
    emotion[0] = 3
    other = replace(predictions, run=replace(COMBINED, system="mtl"), emotion=emotion)
    with pytest.raises(ReportError, match=r"emodb/s0-anger-0.flac, expected all runs to agree"):
        study_of(tmp_path, predictions, other)


def test_a_corpus_of_both_styles_is_refused(tmp_path: Path) -> None:
    predictions = Recipe().predictions(COMBINED)
    style = predictions.style.copy()
    style[0] = 1
    with pytest.raises(ReportError, match="emodb has utterances of both styles, expected one"):
        study_of(tmp_path, replace(predictions, style=style))
