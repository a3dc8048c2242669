from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, recall_score

from model.labels import Emotion, Style
from training.manifest import Utterance
from training.metrics import score, score_corpora, unweighted_accuracy

ANGER, HAPPINESS, SADNESS, NEUTRAL = range(4)

# Four angry, two happy, one sad, three neutral utterances.
TRUTH = np.array([ANGER] * 4 + [HAPPINESS] * 2 + [SADNESS] + [NEUTRAL] * 3)
TOLD = np.array([ANGER, ANGER, ANGER, NEUTRAL, HAPPINESS, ANGER, SADNESS, NEUTRAL, ANGER, SADNESS])
STYLE_RIGHT = np.array([True] * 7 + [False] * 3)
SPEAKERS = ["a", "b"] * 5


def test_a_case_worked_by_hand() -> None:
    found = score(TRUTH, TOLD, STYLE_RIGHT, SPEAKERS)
    assert found.utterances == 10
    assert found.ua == pytest.approx((3 / 4 + 1 / 2 + 1 / 1 + 1 / 3) / 4)
    assert found.wa == pytest.approx(6 / 10)
    assert found.anger_ua == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found.style == pytest.approx(7 / 10)
    assert found.confusion == [[3, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]]


def test_an_emotion_that_does_not_occur_counts_for_nothing() -> None:
    truth, told = np.array([ANGER, ANGER, NEUTRAL]), np.array([ANGER, SADNESS, NEUTRAL])
    found = score(truth, told, truth == told, ["a", "b", "c"])
    assert found.ua == pytest.approx((1 / 2 + 1) / 2)
    assert found.confusion[HAPPINESS] == [0, 0, 0, 0]


def test_without_anger_only_its_absence_can_be_told() -> None:
    truth, told = np.array([NEUTRAL] * 4), np.array([NEUTRAL, NEUTRAL, NEUTRAL, ANGER])
    assert score(truth, told, truth == told, ["a"] * 4).anger_ua == pytest.approx(3 / 4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_ua_is_the_macro_recall_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, told = np.array(pairs).T
    expected = recall_score(truth, told, labels=np.unique(truth), average="macro")
    confusion = confusion_matrix(truth, told, labels=range(4))
    assert unweighted_accuracy(confusion) == pytest.approx(expected)


def test_ua_of_many_at_once_is_that_of_each() -> None:
    confusions = np.random.default_rng(0).integers(0, 9, (5, 4, 4))
    np.testing.assert_allclose(
        unweighted_accuracy(confusions), [float(unweighted_accuracy(one)) for one in confusions]
    )


def test_the_interval_is_over_speakers_not_utterances() -> None:
    truth = np.tile([ANGER, NEUTRAL], 100)
    told = np.concatenate((truth[:100], 3 - truth[100:]))  # one is always told rightly, one never
    found = score(truth, told, truth == told, ["right"] * 100 + ["wrong"] * 100)
    assert (found.ua, found.ua_low, found.ua_high) == (0.5, 0.0, 1.0)
    alone = score(truth, told, truth == told, ["both"] * 200)
    assert (alone.ua, alone.ua_low, alone.ua_high) == (0.5, 0.5, 0.5)


def test_the_interval_is_the_bootstrap_done_speaker_by_speaker() -> None:
    rng = np.random.default_rng(1)
    truth, told = rng.integers(0, 4, 80), rng.integers(0, 4, 80)
    speakers = [f"s{number}" for number in rng.integers(0, 6, 80)]
    names = list(dict.fromkeys(speakers))
    drawn, resampled = np.random.default_rng(0), []
    for _ in range(1000):
        rows = np.concatenate(
            [
                np.flatnonzero(np.array(speakers) == names[index])
                for index in drawn.integers(len(names), size=len(names))
            ]
        )
        recalls = [
            np.mean(told[rows][truth[rows] == emotion] == emotion)
            for emotion in np.unique(truth[rows])
        ]
        resampled.append(np.mean(recalls))
    low, high = np.quantile(resampled, [0.025, 0.975])
    found = score(truth, told, truth == told, speakers)
    assert (found.ua_low, found.ua_high) == pytest.approx((low, high))


def test_without_draws_there_is_no_interval() -> None:
    found = score(TRUTH, TOLD, STYLE_RIGHT, SPEAKERS, draws=0)
    assert np.isnan(found.ua_low)
    assert np.isnan(found.ua_high)


def test_corpora_are_scored_apart() -> None:
    emotions = list(Emotion)
    corpora = ["stage", "street"] * 5
    utterances = [
        Utterance(Path(), corpus, Style.ACTED, "xx", speaker, emotions[truth], 1.0)
        for corpus, speaker, truth in zip(
            corpora, ["a", "a", "b", "b", "c"] * 2, TRUTH, strict=True
        )
    ]
    found = score_corpora(utterances, TRUTH, TOLD, STYLE_RIGHT)
    assert list(found) == ["stage", "street"]
    for corpus, first in (("stage", 0), ("street", 1)):
        own = slice(first, None, 2)
        speakers = [u.speaker for u in utterances[own]]
        assert found[corpus] == score(TRUTH[own], TOLD[own], STYLE_RIGHT[own], speakers)
