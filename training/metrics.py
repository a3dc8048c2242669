"""Scores predicted emotions: unweighted and weighted accuracy (UA, WA), each corpus apart."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from model.labels import EMOTIONS, Emotion
from training.data.manifest import Utterance

ANGER = EMOTIONS.index(Emotion.ANGER)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; NaN where nothing was measured."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The share of correct predictions among those of similar confidence, bin by bin."""

    confidence: NDArray[np.float64]  # (bins,) mean; NaN in a bin without predictions
    accuracy: NDArray[np.float64]  # (bins,)
    share: NDArray[np.float64]  # (bins,) of all predictions

    @property
    def error(self) -> float:
        """The expected calibration error: mean distance of accuracy from confidence."""
        return float(np.nansum(self.share * np.abs(self.accuracy - self.confidence)))


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracies of one set of utterances, between 0 and 1."""

    utterances: int
    ua: float  # mean recall of the emotions that occur
    ua_low: float  # 95 % interval of `ua`, by bootstrap over speakers
    ua_high: float
    wa: float  # share of utterances predicted correctly
    anger_ua: float  # UA of anger against the rest
    style: float  # accuracy of the style task
    confusion: list[list[int]]  # rows: true emotion, columns: predicted; as in EMOTIONS

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


# ---- accuracies --------------------------------------------------------------------------------


def unweighted_accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the mean recall of the classes that occur.

    Confusions (..., C, C), rows the true class, give accuracies (...,).
    """
    occurred = confusion.sum(-1)  # (..., C)
    right = confusion.diagonal(axis1=-2, axis2=-1)  # (..., C)
    recall = right / np.where(occurred > 0, occurred, 1)
    mean: NDArray[np.float64] = recall.sum(-1) / (occurred > 0).sum(-1)
    return mean


def weighted_accuracy(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the share of correct predictions: (..., C, C) to (...,)."""
    right: NDArray[np.float64] = confusion.trace(axis1=-2, axis2=-1) / confusion.sum((-2, -1))
    return right


def row_shares(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divides each row by its sum, which puts recalls on the diagonal; NaN if a class is absent.

    The shape is (..., C, C).
    """
    occurred = confusion.sum(-1, keepdims=True)  # (..., C, 1)
    shares: NDArray[np.float64] = confusion / np.where(occurred > 0, occurred, np.nan)
    return shares


def corpus_ua(
    utterances: Sequence[Utterance],
    truth: NDArray[np.int64],  # (N,) emotions
    predicted: NDArray[np.int64],  # (N,)
) -> dict[str, float]:
    """Returns the UA of every corpus, by name."""
    labels = range(len(EMOTIONS))
    return {
        name: float(
            unweighted_accuracy(confusion_matrix(truth[own], predicted[own], labels=labels))
        )
        for name, own in _rows_by_corpus(utterances).items()
    }


def mean_ua(by_corpus: Mapping[str, float]) -> float:
    """Returns the mean over corpora, by which the best checkpoint or machine is chosen."""
    return float(np.mean(list(by_corpus.values())))


# ---- bootstrap over speakers -------------------------------------------------------------------


@lru_cache(maxsize=256)
def speaker_weights(count: int, draws: int, *seed: int) -> NDArray[np.float64]:
    """Returns how often each of `count` speakers occurs in every bootstrap draw (1 + draws, count).

    The first row is the sample itself: each speaker once. Weights times anything that is counted
    by speaker give the counts of the sample and of every draw. The same arguments give the same
    draws, so that differences between two systems are paired.
    """
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    weights = np.zeros((1 + draws, count))
    weights[0] = 1
    np.add.at(weights, (np.arange(1, 1 + draws)[:, None], drawn), 1)
    weights.setflags(write=False)
    return weights


def estimate(series: NDArray[np.float64]) -> Estimate:
    """Returns the first value of (1 + draws,) with the 95 % interval of the others.

    The first is the figure of the sample, the others those of the bootstrap draws.
    """
    drawn = series[1:][np.isfinite(series[1:])]
    if not len(drawn) or not np.isfinite(series[0]):
        return Estimate(float(series[0]), np.nan, np.nan)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(series[0]), float(low), float(high))


def p_value(differences: NDArray[np.float64]) -> float:
    """Returns the two-sided p of a paired bootstrap.

    The first of the differences (1 + draws,) is the sample's own.
    """
    drawn = differences[1:][np.isfinite(differences[1:])]
    if not len(drawn) or not np.isfinite(differences[0]):
        return np.nan
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + tail) / (1 + len(drawn))))


# ---- scores ------------------------------------------------------------------------------------


def reliability(
    probability: NDArray[np.float64],  # (N, C)
    truth: NDArray[np.int64],  # (N,)
    bins: int = 15,
) -> Reliability:
    """Groups predictions by their probability into bins of equal width (Guo et al. 2017)."""
    confidence = probability.max(1)
    own = np.minimum((confidence * bins).astype(np.int64), bins - 1)  # (N,)
    count = np.bincount(own, minlength=bins)
    filled = np.where(count > 0, count, np.nan)
    right = probability.argmax(1) == truth
    return Reliability(
        confidence=np.bincount(own, confidence, bins) / filled,
        accuracy=np.bincount(own, right, bins) / filled,
        share=count / len(truth),
    )


def score(
    truth: NDArray[np.int64],  # (N,) emotions
    predicted: NDArray[np.int64],  # (N,)
    style_right: NDArray[np.bool_],  # (N,)
    speakers: Sequence[str],  # (N,)
    draws: int = 1000,
) -> Score:
    """Returns the accuracies of predicted emotions, with the interval of their UA."""
    number = {speaker: i for i, speaker in enumerate(dict.fromkeys(speakers))}
    count = len(number)
    by_speaker = np.zeros((count, len(EMOTIONS), len(EMOTIONS)), np.int64)
    for speaker, true, guess in zip(speakers, truth, predicted, strict=True):
        by_speaker[number[speaker], true, guess] += 1
    drawn = np.tensordot(speaker_weights(count, draws, 0), by_speaker, 1)  # (1 + draws, C, C)
    ua = estimate(unweighted_accuracy(drawn))
    confusion = by_speaker.sum(0)
    anger = confusion_matrix(truth == ANGER, predicted == ANGER, labels=[False, True])
    return Score(
        utterances=len(truth),
        ua=ua.value,
        ua_low=ua.low,
        ua_high=ua.high,
        wa=float(np.mean(truth == predicted)),
        anger_ua=float(unweighted_accuracy(anger)),
        style=float(style_right.mean()),
        confusion=confusion.tolist(),
    )


def score_corpora(
    utterances: Sequence[Utterance],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    style_right: NDArray[np.bool_],
    draws: int = 1000,
) -> dict[str, Score]:
    """Returns the score of every corpus, by name."""
    speakers = np.array([u.voice for u in utterances])
    return {
        name: score(truth[own], predicted[own], style_right[own], speakers[own].tolist(), draws)
        for name, own in _rows_by_corpus(utterances).items()
    }


def _rows_by_corpus(utterances: Sequence[Utterance]) -> dict[str, NDArray[np.int64]]:
    corpora = np.array([u.corpus for u in utterances])
    return {str(name): np.flatnonzero(corpora == name) for name in np.unique(corpora)}
