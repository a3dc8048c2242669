from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.labels import EMOTIONS, Emotion, Style
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.enrolment import enrolments
from training.data.manifest import Utterance, rows_by_voice
from training.study.normalisation import (
    FURTHEST,
    OpenSmileError,
    by_caller,
    by_corpus,
    by_speaker,
    corpus_scalers,
    training_enrolments,
)
from training.study.opensmile_features import FunctionalsTable


def labelled(voices: int, of_emotion: int = 4, corpora: int = 2) -> list[Utterance]:
    """Returns labels without recordings; the voices of all corpora have the same names."""
    return [
        Utterance(Path(f"{c}{v}{e}{take}"), f"c{c}", Style.ACTED, "xx", f"s{v}", e, 1.0)
        for c in range(corpora)
        for v in range(voices)
        for e in EMOTIONS
        for take in range(of_emotion)
    ]


def random_functionals(count: int, seed: int = 0) -> FunctionalsTable:
    return np.random.default_rng(seed).normal(3, 5, (count, 6))


def test_a_corpus_is_scaled_by_its_training_part() -> None:
    utterances = labelled(3)
    train = random_functionals(len(utterances))
    scalers = corpus_scalers(train, utterances)
    scaled = by_corpus(train, utterances, scalers)
    for corpus in ("c0", "c1"):
        own = [u.corpus == corpus for u in utterances]
        np.testing.assert_allclose(scaled[own].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled[own].std(axis=0), 1)
        one = np.flatnonzero(own)[:1]
        alone = by_corpus(train[one], [utterances[one[0]]], scalers)
        np.testing.assert_array_equal(alone, scaled[one])


def test_a_functional_without_bound_is_clipped_and_one_that_never_changes_is_nothing() -> None:
    utterances = labelled(2)
    functionals = random_functionals(len(utterances))
    functionals[:, 0] = 0.1
    scalers = corpus_scalers(functionals, utterances)
    functionals[3, 1] = 1e30
    scaled = by_corpus(functionals, utterances, scalers)
    assert scaled[3, 1] == FURTHEST
    np.testing.assert_allclose(scaled[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(by_speaker(functionals, utterances)[:, 0], 0, atol=1e-12)


def test_a_corpus_that_was_not_trained_on_is_refused() -> None:
    utterances = labelled(2, corpora=1)
    scalers = corpus_scalers(random_functionals(len(utterances)), utterances)
    strange = [replace(utterances[0], corpus="street")]
    with pytest.raises(
        OpenSmileError, match=r"found corpora \['street'\], expected some of \['c0'\]"
    ):
        by_corpus(random_functionals(1), strange, scalers)


def test_a_speaker_is_scaled_by_all_utterances_of_the_speaker() -> None:
    """Speakers of the same name in two corpora are two speakers."""
    utterances = labelled(3)
    scaled = by_speaker(random_functionals(len(utterances)), utterances)
    voices = rows_by_voice(utterances)
    assert len(voices) == 6
    for own in voices.values():
        np.testing.assert_allclose(scaled[own].mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(scaled[own].std(axis=0), 1)


def test_the_only_utterance_of_a_speaker_is_normal() -> None:
    alone = by_speaker(random_functionals(1), labelled(1)[:1])
    np.testing.assert_array_equal(alone, np.zeros((1, 6)))


@pytest.mark.parametrize(("seed", "row"), [(0, 0), (1, 15), (2, 20), (3, 31)])
def test_a_caller_is_centred_by_the_enrolment_alone(seed: int, row: int) -> None:
    utterances = labelled(2, corpora=1)
    enrolled = enrolments(utterances, "caller", seed)
    scaled = random_functionals(len(utterances), seed)
    centred = by_caller(scaled, enrolled, 3.0)
    used = {row, *enrolled[row]}
    others = scaled.copy()
    others[[r for r in range(len(scaled)) if r not in used]] = 99.0
    np.testing.assert_array_equal(by_caller(others, enrolled, 3.0)[row], centred[row])
    other_enrolment = scaled.copy()
    other_enrolment[enrolled[row][0]] += 1.0
    assert (by_caller(other_enrolment, enrolled, 3.0)[row] < centred[row]).all()


def test_a_short_enrolment_is_shrunk_more() -> None:
    scaled = random_functionals(5)
    enrolled = [[], [0], [0, 1], [0, 1, 2], [0]]
    centred = by_caller(scaled, enrolled, 2.0)
    np.testing.assert_array_equal(centred[0], scaled[0])
    np.testing.assert_allclose(centred[1], scaled[1] - scaled[0] / 3)
    np.testing.assert_allclose(centred[3], scaled[3] - scaled[:3].mean(axis=0) * 3 / 5)
    np.testing.assert_allclose(by_caller(scaled, enrolled, 1e9), scaled, atol=1e-6)
    np.testing.assert_allclose(
        by_caller(scaled, enrolled, 1e-9)[3], scaled[3] - scaled[:3].mean(axis=0), atol=1e-6
    )


def test_training_enrolments_are_of_any_length_and_mostly_neutral() -> None:
    utterances = labelled(5, 8)
    drawn = training_enrolments(utterances, np.random.default_rng(0))
    lengths = Counter(map(len, drawn))
    assert set(lengths) == set(range(BASELINE_UTTERANCES + 1))
    assert min(lengths.values()) > len(utterances) / (BASELINE_UTTERANCES + 1) / 2
    emotions = Counter(utterances[row].emotion for enrolment in drawn for row in enrolment)
    assert emotions[Emotion.NEUTRAL] > emotions.total() / 2
    assert len(emotions) == len(EMOTIONS)
    for row, enrolment in enumerate(drawn):
        assert row not in enrolment
        assert len(set(enrolment)) == len(enrolment)
        assert {(utterances[r].corpus, utterances[r].speaker) for r in enrolment} <= {
            (utterances[row].corpus, utterances[row].speaker)
        }
    alone = labelled(1, 1, 1)[:1]
    assert training_enrolments(alone, np.random.default_rng(0)) == [[]]
