"""Counts of recognised against labelled classes, by speaker, and their bootstrap samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from model.labels import EMOTIONS, STYLES
from training.metrics import ANGER, speaker_weights
from training.report.systems import normalisation
from training.study.predictions import Predictions

Task = Literal["emotion", "anger", "style"]
CLASSES: dict[Task, int] = {"emotion": len(EMOTIONS), "anger": 2, "style": len(STYLES)}

# corpus -> (1 + draws, C, C): confusions of the sample itself and of every bootstrap draw
Samples = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each speaker's utterances were recognised as each class."""

    corpus: NDArray[np.str_]  # (S,) of all speakers of the study
    confusion: NDArray[np.float64]  # (S, C, C) rows: labelled; zero for a speaker not tested

    @property
    def tested(self) -> NDArray[np.bool_]:  # (S,)
        return np.asarray(self.confusion.sum((1, 2)) > 0)

    def __len__(self) -> int:
        """Returns the number of tested speakers."""
        return int(self.tested.sum())

    def restricted_to(self, other: "Tally") -> "Tally":
        """Returns the counts of the speakers whom the other system was tested on too."""
        return Tally(self.corpus, self.confusion * other.tested[:, None, None])

    def samples(self, draws: int) -> Samples:
        """Draws speakers within each corpus; equal sets of speakers get equal draws."""
        drawn = {}
        for corpus in np.unique(self.corpus[self.tested]).tolist():
            own = self.confusion[(self.corpus == corpus) & self.tested]
            weights = speaker_weights(len(own), draws, *corpus.encode())
            drawn[corpus] = np.tensordot(weights, own, 1)
        return drawn


def labelled_and_recognised(
    predictions: Predictions, setting: str, task: Task
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Returns the classes of one run's utterances, (N,) each; None if it has no such test."""
    logits = predictions.style_logits if task == "style" else predictions.logits
    if setting not in logits:
        return None
    if task == "style":
        return predictions.style, logits[setting].argmax(1)
    if task == "emotion":
        return predictions.emotion, logits[setting].argmax(1)
    name = normalisation(setting)
    if name not in predictions.temperature or name not in predictions.anger_at:
        return None
    anger = softmax(logits[setting] / predictions.temperature[name], axis=1)[:, ANGER]
    return (predictions.emotion == ANGER) * 1, (anger >= predictions.anger_at[name]) * 1
