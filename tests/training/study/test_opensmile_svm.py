from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.labels import EMOTIONS, STYLES, Emotion
from training.data.channel import CLEAN, CONDITIONS
from training.data.manifest import Utterance
from training.data.splits import Split, held_out_split, speaker_split
from training.metrics import ANGER, corpus_ua, mean_ua
from training.study.normalisation import NORMALISATIONS, OpenSmileError
from training.study.opensmile_svm import OPENSMILE_SYSTEMS, run_opensmile
from training.study.predictions import Predictions, Run

CONDITIONS_TESTED = {name: CONDITIONS[name] for name in ("clean", "mulaw")}


@pytest.fixture(scope="module")
def split(utterances: list[Utterance]) -> Split:
    return speaker_split(utterances, 0, 5, 0)


@pytest.fixture(scope="module")
def usual(split: Split, cache: Path) -> Predictions:
    return run_opensmile(run_of("egemaps"), split, CONDITIONS_TESTED, cache)


def ua(split: Split, logits: NDArray[np.float32]) -> float:
    truth = np.array([EMOTIONS.index(u.emotion) for u in split.test])
    return mean_ua(corpus_ua(split.test, truth, logits.argmax(1)))


def run_of(system: str) -> Run:
    return Run(system, "svm", "both", 1.0, 1.0, 0, 0)


@pytest.mark.parametrize("system", OPENSMILE_SYSTEMS)
def test_a_system_learns_and_is_tested_in_every_setting(
    split: Split, cache: Path, tmp_path: Path, system: str
) -> None:
    predictions = run_opensmile(run_of(system), split, CONDITIONS_TESTED, cache)
    assert predictions.utterance.tolist() == [f"{u.corpus}/{u.path.name}" for u in split.test]
    assert predictions.speaker.tolist() == [u.speaker for u in split.test]
    assert [EMOTIONS[e] for e in predictions.emotion] == [u.emotion for u in split.test]
    assert [STYLES[s] for s in predictions.style] == [u.style for u in split.test]
    assert set(predictions.logits) == {
        f"{how}/{name}" for how in NORMALISATIONS for name in CONDITIONS_TESTED
    }
    for setting, logits in predictions.logits.items():
        assert logits.shape == (len(split.test), 4)
        assert ua(split, logits) >= 0.5, setting  # by chance 0.25
    for how in NORMALISATIONS:
        assert not np.array_equal(
            predictions.logits[f"{how}/clean"], predictions.logits[f"{how}/mulaw"]
        )
        probability = np.exp(predictions.logits[f"{how}/clean"] / predictions.temperature[how])
        probability /= probability.sum(axis=1, keepdims=True)
        angry = probability[:, ANGER] >= predictions.anger_at[how]
        is_angry = predictions.emotion == ANGER
        assert angry[is_angry].mean() - angry[~is_angry].mean() > 0.2, how  # by chance 0
    assert set(predictions.about["chosen"]) == set(NORMALISATIONS)
    predictions.save(tmp_path / "run")
    loaded = Predictions.load(tmp_path / "run")
    assert loaded.about["chosen"] == predictions.about["chosen"]
    for setting, logits in predictions.logits.items():
        np.testing.assert_array_equal(loaded.logits[setting], logits)


def test_a_run_is_reproducible_with_or_without_a_cache(
    split: Split, usual: Predictions, tmp_path: Path
) -> None:
    fresh = run_opensmile(run_of("egemaps"), split, CONDITIONS_TESTED, tmp_path)
    assert (fresh.temperature, fresh.anger_at) == (usual.temperature, usual.anger_at)
    for setting, logits in usual.logits.items():
        np.testing.assert_array_equal(fresh.logits[setting], logits)


def test_the_test_part_does_not_affect_the_training(
    split: Split, usual: Predictions, cache: Path
) -> None:
    """Neither its labels nor its order change the predictions.

    Only a caller's enrolment is chosen by labels: without neutral utterances there is none.
    """
    relabelled = [replace(u, emotion=Emotion.SADNESS) for u in split.test[::-1]]
    other = run_opensmile(
        run_of("egemaps"), replace(split, test=relabelled), {"clean": CLEAN}, cache
    )
    assert (other.temperature, other.anger_at) == (usual.temperature, usual.anger_at)
    for how in ("corpus", "speaker"):
        np.testing.assert_allclose(
            other.logits[f"{how}/clean"], usual.logits[f"{how}/clean"][::-1], atol=1e-5
        )
    assert not np.allclose(other.logits["caller/clean"], usual.logits["caller/clean"][::-1])


def test_what_cannot_be_run_is_refused(split: Split, cache: Path) -> None:
    with pytest.raises(OpenSmileError, match="found system 'wav2vec', expected one of .*'egemaps'"):
        run_opensmile(run_of("wav2vec"), split, CONDITIONS_TESTED, cache)
    calm = replace(split, train=[u for u in split.train if u.emotion is not Emotion.ANGER])
    with pytest.raises(
        OpenSmileError, match=r"found \['happiness', .* to train on, expected \['anger'"
    ):
        run_opensmile(run_of("egemaps"), calm, CONDITIONS_TESTED, cache)


def test_a_corpus_that_is_held_out_is_scaled_as_the_others(
    utterances: list[Utterance], cache: Path
) -> None:
    held_out = held_out_split(utterances, "street", 5, 0)
    found = run_opensmile(run_of("egemaps"), held_out, {"clean": CLEAN}, cache)
    assert set(found.corpus) == {"street"}
    assert ua(held_out, found.logits["corpus/clean"]) >= 0.5  # by chance 0.25
