from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from model.labels import STYLES, Style
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report.results import ReportError, Study, SystemResults
from training.study.predictions import Predictions, Run

COMBINED = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
SYSTEM = SystemResults.of(COMBINED)
CLEAN = "utterance/clean"


def test_a_tally_counts_what_each_speaker_was_told(tmp_path: Path) -> None:
    answers = Recipe().answers(COMBINED)
    study = study_of(tmp_path, answers)
    told = answers.logits[CLEAN].argmax(1)
    tally = study.tally(SYSTEM, CLEAN)
    for (corpus, speaker), found in zip(study.speakers, tally.confusion, strict=True):
        own = (answers.corpus == corpus) & (answers.speaker == speaker)
        expected = confusion_matrix(answers.emotion[own], told[own], labels=range(4))
        np.testing.assert_array_equal(found, expected)
    assert tally.confusion.sum() == len(told)


def test_a_speaker_s_name_in_two_corpora_is_two_speakers(tmp_path: Path) -> None:
    speakers = study_of(tmp_path, Recipe().answers(COMBINED)).speakers
    assert [corpus for corpus, speaker in speakers if speaker == "s0"] == sorted(CORPORA)


def test_seeds_are_averaged_over_those_that_tested_a_speaker(tmp_path: Path) -> None:
    runs = [replace(COMBINED, fold=f, seed=s) for f, s in ((0, 0), (0, 1), (1, 0))]
    study = study_of(tmp_path, *(Recipe().answers(run) for run in runs))
    both = study.tally(SYSTEM, CLEAN)
    first, second = (study.tally(SYSTEM, CLEAN, seed=seed) for seed in (0, 1))
    assert len(first) == len(both) > len(second)
    twice, once = second.tested, first.tested & ~second.tested
    means = (first.confusion + second.confusion) / 2
    np.testing.assert_allclose(both.confusion[twice], means[twice])
    np.testing.assert_allclose(both.confusion[once], first.confusion[once])


def test_an_utterance_without_speaker_stands_for_itself(tmp_path: Path) -> None:
    answers = Recipe().answers(COMBINED)
    unknown = np.where(answers.corpus == "nemo", "", answers.speaker)
    tally = study_of(tmp_path, replace(answers, speaker=unknown)).tally(SYSTEM, CLEAN)
    assert np.sum(tally.corpus == "nemo") == np.sum(answers.corpus == "nemo")
    assert np.sum(tally.corpus == "emodb") == 2


def test_anger_is_told_from_its_calibrated_probability(tmp_path: Path) -> None:
    logits = np.zeros((4, 4), np.float32)
    logits[:, 0] = [4.0, 1.0, 4.0, 1.0]  # exp(4 / 2) / (exp(4 / 2) + 3) is 0.71, exp(1 / 2): 0.35
    answers = Predictions(
        run=COMBINED,
        utterance=np.array(list("abcd")),
        corpus=np.array(["stage"] * 4),
        speaker=np.array(["s"] * 4),
        style=np.zeros(4, np.int64),
        emotion=np.array([0, 0, 3, 3]),
        logits={CLEAN: logits},
        style_logits={},
        temperature={"utterance": 2.0},
        anger_at={"utterance": 0.5},
    )
    tally = study_of(tmp_path, answers).tally(SYSTEM, CLEAN, "anger")
    np.testing.assert_array_equal(tally.confusion, [[[1, 1], [1, 1]]])
    easier = study_of(tmp_path / "easier", replace(answers, anger_at={"utterance": 0.3}))
    confusion = easier.tally(SYSTEM, CLEAN, "anger").confusion
    np.testing.assert_array_equal(confusion, [[[0, 2], [0, 2]]])
    unknown = study_of(tmp_path / "unknown", replace(answers, anger_at={}))
    assert not len(unknown.tally(SYSTEM, CLEAN, "anger"))


def test_what_was_not_tested_has_an_empty_tally(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe(style_head=False).answers(COMBINED))
    assert not len(study.tally(SYSTEM, "caller/clean"))
    assert not len(study.tally(SYSTEM, CLEAN, "style"))
    assert not len(study.tally(replace(SYSTEM, share=0.5), CLEAN))


def test_the_samples_begin_with_the_counts_themselves(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().answers(COMBINED))
    tally = study.tally(SYSTEM, CLEAN)
    drawn = tally.samples(20)
    assert set(drawn) == set(CORPORA)
    for corpus, confusions in drawn.items():
        assert confusions.shape == (21, 4, 4)
        own = tally.confusion[tally.corpus == corpus]
        np.testing.assert_array_equal(confusions[0], own.sum(0))
        pairs = product(own, repeat=len(own))  # of the speakers as many are drawn as there are
        possible = {tuple(np.sum(chosen, axis=0).ravel()) for chosen in pairs}
        assert {tuple(confusion.ravel()) for confusion in confusions[1:]} <= possible


def test_only_speakers_that_both_have_are_shared(tmp_path: Path) -> None:
    runs = [COMBINED, replace(COMBINED, fold=1), replace(COMBINED, system="mtl", fold=1)]
    study = study_of(tmp_path, *(Recipe().answers(run) for run in runs))
    one, other = study.tally(SYSTEM, CLEAN), study.tally(SystemResults.of(runs[2]), CLEAN)
    assert len(one) > len(other)
    common = one.among(other)
    np.testing.assert_array_equal(common.tested, other.among(one).tested)
    there = study.speakers[common.tested]
    assert {int(speaker[1:]) % 5 for _, speaker in there} == {1}
    np.testing.assert_array_equal(common.confusion[common.tested], one.confusion[other.tested])


def test_a_fold_of_the_baseline_has_both_styles(tmp_path: Path) -> None:
    baseline = replace(COMBINED, system="baseline")
    acted = [replace(baseline, trained_on="acted", fold=fold) for fold in (0, 1)]
    other = replace(baseline, trained_on="spontaneous", fold=1, seed=0)
    runs = [*acted, other, COMBINED, replace(COMBINED, seed=4)]
    study = study_of(tmp_path, *(Recipe().answers(run) for run in runs))
    assert study.folds(SystemResults.of(baseline)) == {0: (1,)}
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
    study = study_of(tmp_path, *(Recipe().answers(run) for run in runs))
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
    assert [study.name(system) for system in study.main] == ["MTL", "Kanjo", "egemaps-svm"]


def test_corpora_are_in_the_order_of_their_styles(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().answers(COMBINED))
    assert list(study.styles.items()) == [
        ("emodb", Style.ACTED),
        ("nemo", Style.ACTED),
        ("eyase", Style.SPONTANEOUS),
        ("urdu", Style.SPONTANEOUS),
    ]
    assert (study.left_out, study.without) == (["urdu"], " without urdu")
    assert study.trusted == ["emodb", "nemo", "eyase"]
    assert [study.corpora(style) for style in STYLES] == [["emodb", "nemo"], ["eyase", "urdu"]]


def test_a_folder_without_finished_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    with pytest.raises(ReportError, match="found no RUN/run.json, expected a finished run"):
        Study.load(tmp_path)


def test_an_utterance_that_a_system_answers_twice_is_refused(tmp_path: Path) -> None:
    answers = Recipe().answers(COMBINED)
    again = replace(answers, run=replace(COMBINED, fold=1))
    with pytest.raises(ReportError, match=r"fold1_seed0 answers emodb/.* again, expected"):
        study_of(tmp_path, answers, again)


def test_runs_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    answers = Recipe().answers(COMBINED)
    emotion = answers.emotion.copy()
    emotion[0] = 3
    other = replace(answers, run=replace(COMBINED, system="mtl"), emotion=emotion)
    with pytest.raises(ReportError, match=r"emodb/s0-anger-0.flac, expected all runs to agree"):
        study_of(tmp_path, answers, other)


def test_a_corpus_of_both_styles_is_refused(tmp_path: Path) -> None:
    answers = Recipe().answers(COMBINED)
    style = answers.style.copy()
    style[0] = 1
    with pytest.raises(ReportError, match="emodb has utterances of both styles, expected one"):
        study_of(tmp_path, replace(answers, style=style))
