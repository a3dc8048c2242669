"""How well emotions are told: unweighted and weighted accuracy (UA, WA), corpora apart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_curve

from model.labels import EMOTIONS, Emotion
from training.data.manifest import Utterance

ANGER = EMOTIONS.index(Emotion.ANGER)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; NaN where there is nothing to take it from."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often answers of like confidence are right."""

    confidence: NDArray[np.float64]  # (bins,) mean; NaN in a bin without answers
    accuracy: NDArray[np.float64]  # (bins,)
    share: NDArray[np.float64]  # (bins,) of all answers

    @property
    def error(self) -> float:
        """Expected calibration error: how far accuracy is from confidence, answer by answer."""
        return float(np.nansum(self.share * np.abs(self.accuracy - self.confidence)))


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracies of one set of utterances, between 0 and 1."""

    utterances: int
    ua: float  # mean recall of the emotions that occur
    ua_low: float  # 95 % interval of `ua`, by bootstrap over speakers
    ua_high: float
    wa: float  # share of utterances told rightly
    anger_ua: float  # UA of anger against the rest
    style: float  # accuracy of the style task
    confusion: list[list[int]]  # rows: what it was, columns: what was told; as in EMOTIONS

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def unweighted_accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean recall over the classes that occur: (..., C, C), rows what it was, to (...,)."""
    occurred = confusion.sum(-1)  # (..., C)
    right = confusion.diagonal(axis1=-2, axis2=-1)  # (..., C)
    recall = right / np.where(occurred > 0, occurred, 1)
    mean: NDArray[np.float64] = recall.sum(-1) / (occurred > 0).sum(-1)
    return mean


def weighted_accuracy(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share told rightly: (..., C, C) to (...,)."""
    told: NDArray[np.float64] = confusion.trace(axis1=-2, axis2=-1) / confusion.sum((-2, -1))
    return told


def row_shares(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row by its sum, recalls on the diagonal: (..., C, C); NaN where a class is absent."""
    occurred = confusion.sum(-1, keepdims=True)  # (..., C, 1)
    shares: NDArray[np.float64] = confusion / np.where(occurred > 0, occurred, np.nan)
    return shares


@lru_cache(maxsize=256)
def speaker_weights(count: int, draws: int, *seed: int) -> NDArray[np.float64]:
    """How often each speaker is in the sample, once, and in each bootstrap draw of as many.

    Of shape (1 + draws, count). Weights times whatever is counted by speaker are the counts of
    the sample and of every draw. The same arguments give the same draws: that is what pairs them.
    """
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    weights = np.zeros((1 + draws, count))
    weights[0] = 1
    np.add.at(weights, (np.arange(1, 1 + draws)[:, None], drawn), 1)
    weights.setflags(write=False)
    return weights


def estimate(series: NDArray[np.float64]) -> Estimate:
    """Of a figure as it is in the sample, first, and in every bootstrap draw: (1 + draws,)."""
    drawn = series[1:][np.isfinite(series[1:])]
    if not len(drawn) or not np.isfinite(series[0]):
        return Estimate(float(series[0]), np.nan, np.nan)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(series[0]), float(low), float(high))


def p_value(differences: NDArray[np.float64]) -> float:
    """Two-sided, of a paired bootstrap: (1 + draws,), the sample's own difference first."""
    drawn = differences[1:][np.isfinite(differences[1:])]
    if not len(drawn) or not np.isfinite(differences[0]):
        return np.nan
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + tail) / (1 + len(drawn))))


def reliability(
    probability: NDArray[np.float64],  # (N, C)
    truth: NDArray[np.int64],  # (N,)
    bins: int = 15,
) -> Reliability:
    """Answers by the probability of what was told, in bins of one width (Guo et al. 2017)."""
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
    told: NDArray[np.int64],  # (N,)
    style_right: NDArray[np.bool_],  # (N,)
    speakers: Sequence[str],  # (N,)
    draws: int = 1000,
) -> Score:
    """Accuracies of utterances whose emotions are known."""
    number = {speaker: i for i, speaker in enumerate(dict.fromkeys(speakers))}
    count = len(number)
    of_speaker = np.zeros((count, len(EMOTIONS), len(EMOTIONS)), np.int64)
    for speaker, was, said in zip(speakers, truth, told, strict=True):
        of_speaker[number[speaker], was, said] += 1
    drawn = np.tensordot(speaker_weights(count, draws, 0), of_speaker, 1)  # (1 + draws, C, C)
    ua = estimate(unweighted_accuracy(drawn))
    confusion = of_speaker.sum(0)
    anger = confusion_matrix(truth == ANGER, told == ANGER, labels=[False, True])
    return Score(
        utterances=len(truth),
        ua=ua.value,
        ua_low=ua.low,
        ua_high=ua.high,
        wa=float(np.mean(truth == told)),
        anger_ua=float(unweighted_accuracy(anger)),
        style=float(style_right.mean()),
        confusion=confusion.tolist(),
    )


def score_corpora(
    utterances: Sequence[Utterance],
    truth: NDArray[np.int64],
    told: NDArray[np.int64],
    style_right: NDArray[np.bool_],
    draws: int = 1000,
) -> dict[str, Score]:
    """Every corpus apart, by name."""
    corpora = np.array([u.corpus for u in utterances])
    speakers = np.array([u.voice for u in utterances])
    return {
        str(name): score(truth[own], told[own], style_right[own], speakers[own].tolist(), draws)
        for name in np.unique(corpora)
        for own in [np.flatnonzero(corpora == name)]
    }


def anger_threshold(
    probability: NDArray[np.float64],  # (N,) of anger
    is_anger: NDArray[np.bool_],  # (N,)
) -> float:
    """From which probability of anger on anger and the rest are told apart with the highest UA.

    Half-way between the two probabilities that it parts.

    Raises:
        ValueError: there is only anger, or none.
    """
    if is_anger.all() or not is_anger.any():
        raise ValueError(f"found anger in {is_anger.sum()} of {len(is_anger)}, expected some")
    false_alarms, found, at = roc_curve(is_anger, probability, drop_intermediate=False)
    # The first, where nothing is anger, is no better than the last, where everything is.
    best = int(np.argmax((found - false_alarms)[1:]))
    borders = np.array([*at[1:], 0.0])
    return float(borders[best : best + 2].mean())
