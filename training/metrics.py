"""How well emotions are told: unweighted and weighted accuracy (UA, WA), corpora apart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from model.labels import EMOTIONS, Emotion
from training.manifest import Utterance

ANGER = EMOTIONS.index(Emotion.ANGER)


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


def unweighted_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall over the classes that occur: (..., C, C), rows what it was, to (...,)."""
    occurred = confusion.sum(-1)  # (..., C)
    recall = confusion.diagonal(axis1=-2, axis2=-1) / np.maximum(occurred, 1)  # (..., C)
    mean: NDArray[np.float64] = recall.sum(-1) / (occurred > 0).sum(-1)
    return mean


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
    drawn = np.random.default_rng(0).integers(count, size=(draws, count))
    resampled = unweighted_accuracy(of_speaker[drawn].sum(1))  # (draws,)
    low, high = np.quantile(resampled, [0.025, 0.975]) if draws else (np.nan, np.nan)
    confusion = of_speaker.sum(0)
    anger = confusion_matrix(truth == ANGER, told == ANGER, labels=[False, True])
    return Score(
        utterances=len(truth),
        ua=float(unweighted_accuracy(confusion)),
        ua_low=float(low),
        ua_high=float(high),
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
    speakers = np.array([u.speaker for u in utterances])
    return {
        str(name): score(truth[own], told[own], style_right[own], speakers[own].tolist(), draws)
        for name in np.unique(corpora)
        for own in [np.flatnonzero(corpora == name)]
    }
