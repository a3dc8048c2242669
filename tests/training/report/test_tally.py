from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix

from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report.systems import SystemKey
from training.study.predictions import Predictions, Run

COMBINED = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)
SYSTEM = SystemKey.of(COMBINED)
CLEAN = "utterance/clean"


def test_a_tally_counts_recognised_classes_by_speaker(tmp_path: Path) -> None:
    predictions = Recipe().predictions(COMBINED)
    study = study_of(tmp_path, predictions)
    recognised = predictions.logits[CLEAN].argmax(1)
    tally = study.tally(SYSTEM, CLEAN)
    for (corpus, speaker), found in zip(study.speakers, tally.confusion, strict=True):
        own = (predictions.corpus == corpus) & (predictions.speaker == speaker)
        expected = confusion_matrix(predictions.emotion[own], recognised[own], labels=range(4))
        np.testing.assert_array_equal(found, expected)
    assert tally.confusion.sum() == len(recognised)


def test_seeds_are_averaged_over_those_that_tested_a_speaker(tmp_path: Path) -> None:
    runs = [replace(COMBINED, fold=f, seed=s) for f, s in ((0, 0), (0, 1), (1, 0))]
    study = study_of(tmp_path, *(Recipe().predictions(run) for run in runs))
    both = study.tally(SYSTEM, CLEAN)
    first, second = (study.tally(SYSTEM, CLEAN, seed=seed) for seed in (0, 1))
    assert len(first) == len(both) > len(second)
    twice, once = second.tested, first.tested & ~second.tested
    means = (first.confusion + second.confusion) / 2
    np.testing.assert_allclose(both.confusion[twice], means[twice])
    np.testing.assert_allclose(both.confusion[once], first.confusion[once])


def test_an_utterance_without_speaker_stands_for_itself(tmp_path: Path) -> None:
    predictions = Recipe().predictions(COMBINED)
    unknown = np.where(predictions.corpus == "nemo", "", predictions.speaker)
    tally = study_of(tmp_path, replace(predictions, speaker=unknown)).tally(SYSTEM, CLEAN)
    assert np.sum(tally.corpus == "nemo") == np.sum(predictions.corpus == "nemo")
    assert np.sum(tally.corpus == "emodb") == 2


def test_anger_is_recognised_by_its_calibrated_probability(tmp_path: Path) -> None:
    logits = np.zeros((4, 4), np.float32)
    logits[:, 0] = [4.0, 1.0, 4.0, 1.0]  # exp(4 / 2) / (exp(4 / 2) + 3) is 0.71, exp(1 / 2): 0.35
    predictions = Predictions(
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
    tally = study_of(tmp_path, predictions).tally(SYSTEM, CLEAN, "anger")
    np.testing.assert_array_equal(tally.confusion, [[[1, 1], [1, 1]]])
    easier = study_of(tmp_path / "easier", replace(predictions, anger_at={"utterance": 0.3}))
    confusion = easier.tally(SYSTEM, CLEAN, "anger").confusion
    np.testing.assert_array_equal(confusion, [[[0, 2], [0, 2]]])
    unknown = study_of(tmp_path / "unknown", replace(predictions, anger_at={}))
    assert not len(unknown.tally(SYSTEM, CLEAN, "anger"))


def test_what_was_not_tested_has_an_empty_tally(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe(style_head=False).predictions(COMBINED))
    assert not len(study.tally(SYSTEM, "caller/clean"))
    assert not len(study.tally(SYSTEM, CLEAN, "style"))
    assert not len(study.tally(replace(SYSTEM, share=0.5), CLEAN))


def test_the_samples_begin_with_the_counts_themselves(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe().predictions(COMBINED))
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
    study = study_of(tmp_path, *(Recipe().predictions(run) for run in runs))
    one, other = study.tally(SYSTEM, CLEAN), study.tally(SystemKey.of(runs[2]), CLEAN)
    assert len(one) > len(other)
    common = one.restricted_to(other)
    np.testing.assert_array_equal(common.tested, other.restricted_to(one).tested)
    there = study.speakers[common.tested]
    assert {int(speaker[1:]) % 5 for _, speaker in there} == {1}
    np.testing.assert_array_equal(common.confusion[common.tested], one.confusion[other.tested])
