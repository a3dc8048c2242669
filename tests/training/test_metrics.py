from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, recall_score

from model.labels import EMOTIONS, Emotion, Style
from training.data.manifest import Utterance
from training.metrics import (
    corpus_ua,
    estimate,
    mean_ua,
    p_value,
    reliability,
    row_shares,
    score,
    score_corpora,
    speaker_weights,
    unweighted_accuracy,
    weighted_accuracy,
)

ANGER, HAPPINESS, SADNESS, NEUTRAL = range(4)

# Four angry, two happy, one sad, three neutral utterances.
TRUTH = np.array([ANGER] * 4 + [HAPPINESS] * 2 + [SADNESS] + [NEUTRAL] * 3)
PREDICTED = np.array(
    [ANGER, ANGER, ANGER, NEUTRAL, HAPPINESS, ANGER, SADNESS, NEUTRAL, ANGER, SADNESS]
)
STYLE_RIGHT = np.array([True] * 7 + [False] * 3)
SPEAKERS = ["a", "b"] * 5


def test_a_case_worked_by_hand() -> None:
    found = score(TRUTH, PREDICTED, STYLE_RIGHT, SPEAKERS)
    assert found.utterances == 10
    assert found.ua == pytest.approx((3 / 4 + 1 / 2 + 1 / 1 + 1 / 3) / 4)
    assert found.wa == pytest.approx(6 / 10)
    assert found.anger_ua == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found.style == pytest.approx(7 / 10)
    assert found.confusion == [[3, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]]


def test_an_emotion_that_does_not_occur_counts_for_nothing() -> None:
    truth, predicted = np.array([ANGER, ANGER, NEUTRAL]), np.array([ANGER, SADNESS, NEUTRAL])
    found = score(truth, predicted, truth == predicted, ["a", "b", "c"])
    assert found.ua == pytest.approx((1 / 2 + 1) / 2)
    assert found.confusion[HAPPINESS] == [0, 0, 0, 0]


def test_without_anger_only_its_absence_is_scored() -> None:
    truth, predicted = np.array([NEUTRAL] * 4), np.array([NEUTRAL, NEUTRAL, NEUTRAL, ANGER])
    assert score(truth, predicted, truth == predicted, ["a"] * 4).anger_ua == pytest.approx(3 / 4)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_ua_is_the_macro_recall_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    expected = recall_score(truth, predicted, labels=np.unique(truth), average="macro")
    confusion = confusion_matrix(truth, predicted, labels=range(4))
    assert unweighted_accuracy(confusion) == pytest.approx(expected)


def test_ua_of_many_at_once_is_that_of_each() -> None:
    confusions = np.random.default_rng(0).integers(0, 9, (5, 4, 4))
    np.testing.assert_allclose(
        unweighted_accuracy(confusions), [float(unweighted_accuracy(one)) for one in confusions]
    )


def test_ua_is_the_same_of_counts_halved() -> None:
    confusion = np.random.default_rng(0).integers(0, 3, (4, 4))
    assert unweighted_accuracy(confusion / 2) == pytest.approx(unweighted_accuracy(confusion))


def test_the_interval_is_over_speakers_not_utterances() -> None:
    truth = np.tile([ANGER, NEUTRAL], 100)
    predicted = np.concatenate(
        (truth[:100], 3 - truth[100:])
    )  # one is always predicted correctly, one never
    found = score(truth, predicted, truth == predicted, ["right"] * 100 + ["wrong"] * 100)
    assert (found.ua, found.ua_low, found.ua_high) == (0.5, 0.0, 1.0)
    alone = score(truth, predicted, truth == predicted, ["both"] * 200)
    assert (alone.ua, alone.ua_low, alone.ua_high) == (0.5, 0.5, 0.5)


def test_the_interval_is_the_bootstrap_done_speaker_by_speaker() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.integers(0, 4, 80), rng.integers(0, 4, 80)
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
            np.mean(predicted[rows][truth[rows] == emotion] == emotion)
            for emotion in np.unique(truth[rows])
        ]
        resampled.append(np.mean(recalls))
    low, high = np.quantile(resampled, [0.025, 0.975])
    found = score(truth, predicted, truth == predicted, speakers)
    assert (found.ua_low, found.ua_high) == pytest.approx((low, high))


def test_without_draws_there_is_no_interval() -> None:
    found = score(TRUTH, PREDICTED, STYLE_RIGHT, SPEAKERS, draws=0)
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
    found = score_corpora(utterances, TRUTH, PREDICTED, STYLE_RIGHT)
    assert list(found) == ["stage", "street"]
    for corpus, first in (("stage", 0), ("street", 1)):
        own = slice(first, None, 2)
        speakers = [u.speaker for u in utterances[own]]
        assert found[corpus] == score(TRUTH[own], PREDICTED[own], STYLE_RIGHT[own], speakers)


def test_every_corpus_counts_the_same() -> None:
    utterances = [
        Utterance(Path(), corpus, Style.ACTED, "xx", "s", emotion, 1.0)
        for corpus, takes in (("small", 1), ("large", 3))
        for emotion in EMOTIONS
        for _ in range(takes)
    ]
    truth = np.array([EMOTIONS.index(u.emotion) for u in utterances])
    predicted = truth.copy()
    assert corpus_ua(utterances, truth, predicted) == {"large": 1.0, "small": 1.0}
    predicted[0] = (predicted[0] + 1) % 4
    by_corpus = corpus_ua(utterances, truth, predicted)
    assert by_corpus == {"large": 1.0, "small": 3 / 4}
    assert mean_ua(by_corpus) == pytest.approx((3 / 4 + 1) / 2)


def test_wa_is_the_share_of_correct_predictions() -> None:
    confusion = confusion_matrix(TRUTH, PREDICTED, labels=range(4))
    assert weighted_accuracy(confusion) == pytest.approx(np.mean(TRUTH == PREDICTED))
    both = np.stack([confusion, np.eye(4) * 3])
    np.testing.assert_allclose(weighted_accuracy(both), [6 / 10, 1.0])


def test_row_shares_have_recalls_on_the_diagonal() -> None:
    shares = row_shares(np.array([[3.0, 1, 0], [0, 0, 0], [2, 0, 6]]))
    np.testing.assert_allclose(shares[[0, 2]], [[0.75, 0.25, 0], [0.25, 0, 0.75]])
    assert np.isnan(shares[1]).all()


def test_the_first_weights_are_the_sample_and_all_draws_are_as_large() -> None:
    weights = speaker_weights(7, 50, 3)
    assert weights.shape == (51, 7)
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_array_equal(weights.sum(1), 7)
    assert (weights[1:] != 1).any(1).all()
    np.testing.assert_array_equal(weights, speaker_weights.__wrapped__(7, 50, 3))
    assert (weights != speaker_weights(7, 50, 4)).any()


def test_weights_that_are_shared_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        speaker_weights(7, 50, 3)[0] = 2


def test_an_estimate_is_the_first_with_the_quantiles_of_the_others() -> None:
    found = estimate(np.array([0.5, *np.linspace(0, 1, 41)]))
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))


def test_draws_that_have_no_such_figure_do_not_count() -> None:
    found = estimate(np.array([0.5, np.nan, 0.4, 0.6, np.nan]))
    assert (found.low, found.high) == pytest.approx((0.405, 0.595))


@pytest.mark.parametrize("series", [[0.5], [0.5, np.nan], [np.nan], [np.nan, 0.5]])
def test_where_nothing_is_drawn_there_is_neither_interval_nor_p(series: list[float]) -> None:
    found = estimate(np.array(series))
    np.testing.assert_equal(found.value, series[0])
    assert np.isnan([found.low, found.high, p_value(np.array(series))]).all()


def test_p_counts_the_draws_on_the_other_side() -> None:
    assert p_value(np.array([0.1, *[0.1] * 97, *[-0.1] * 2])) == pytest.approx(2 * 3 / 100)
    assert p_value(np.array([-0.1, *[0.1] * 2, *[-0.1] * 97])) == pytest.approx(2 * 3 / 100)
    assert p_value(np.array([0.1, *[0.1] * 999])) == pytest.approx(2 / 1000)


def test_p_of_no_difference_is_one() -> None:
    assert p_value(np.zeros(100)) == 1


def test_p_is_rarely_small_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    small = 0
    for trial in range(200):
        differences = rng.normal(0, 1, 40)  # of 40 speakers
        small += p_value(speaker_weights(40, 200, trial) @ differences / 40) < 0.05
    assert 2 <= small <= 25


def test_reliability_of_a_case_worked_by_hand() -> None:
    probability = np.array([[0.6, 0.4], [0.45, 0.55], [0.9, 0.1], [0.05, 0.95], [0.0, 1.0]])
    truth = np.array([0, 0, 0, 1, 0])
    found = reliability(probability, truth, bins=2)
    np.testing.assert_array_equal(found.share, [0, 1])
    assert (found.confidence[1], found.accuracy[1]) == pytest.approx((0.8, 0.6))
    assert found.error == pytest.approx(0.2)
    fine = reliability(probability, truth, bins=10)
    np.testing.assert_allclose(fine.share, [0, 0, 0, 0, 0, 0.2, 0.2, 0, 0, 0.6])
    np.testing.assert_allclose(fine.accuracy[[5, 6, 9]], [0, 1, 2 / 3])
    assert fine.error == pytest.approx(0.2 * 0.55 + 0.2 * 0.4 + 0.6 * (0.95 - 2 / 3))


def test_probabilities_that_come_true_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 40_000)
    truth = (rng.random(40_000) > sure).astype(np.int64)
    assert reliability(np.stack([sure, 1 - sure], axis=1), truth).error < 0.01
