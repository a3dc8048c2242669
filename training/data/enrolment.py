"""What a caller said before an utterance: in corpora, whose utterances belong to no call."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from model.labels import Emotion
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.manifest import Utterance

# How much of a speaker is known when an utterance is heard: nothing (its own mean is all there is),
# what was said before, or everything that was ever said, which no live call can give.
EnrolmentKind = Literal["utterance", "caller", "speaker"]
Enrolments = list[list[int]]  # of each utterance, the rows of what was said before

CALM_UTTERANCES = 4  # about ten seconds
NEUTRAL_SHARE = 0.8  # of what a caller says, in the pasts of training
WHOLE_SHARE = 0.3  # of the pasts of training are all that the speaker says


def enrolments(utterances: Sequence[Utterance], known: EnrolmentKind, seed: int) -> Enrolments:
    """For a test: `caller` knows up to four neutral utterances of the same voice, never this one.

    A call begins neutrally more often than not, and no label is needed to know its beginning.
    """
    voices, neutral = _rows(utterances)
    found: Enrolments = []
    for row, utterance in enumerate(utterances):
        voice = (utterance.corpus, utterance.voice)
        if known == "utterance":
            found.append([])
        elif known == "speaker":
            found.append(voices[voice])
        else:
            rng = np.random.default_rng([seed, row])
            others = [other for other in neutral.get(voice, []) if other != row]
            found.append(rng.permutation(others).astype(int).tolist()[:CALM_UTTERANCES])
    return found


class TrainingEnrolments:
    """Pasts as varied as calls are, drawn anew every epoch."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._voice = [(u.corpus, u.voice) for u in utterances]
        self._of_voice, self._neutral = _rows(utterances)

    def draw(self, row: int, rng: np.random.Generator) -> list[int]:
        """From nothing to all that the speaker says; mostly some neutral utterances."""
        voice = self._voice[row]
        everything, neutral = self._of_voice[voice], self._neutral.get(voice, [])
        if rng.random() < WHOLE_SHARE:
            return everything
        past = []
        for _ in range(rng.integers(BASELINE_UTTERANCES + 1)):
            drawn_from = neutral if neutral and rng.random() < NEUTRAL_SHARE else everything
            past.append(drawn_from[rng.integers(len(drawn_from))])
        return [other for other in past if other != row]


def _rows(
    utterances: Sequence[Utterance],
) -> tuple[dict[tuple[str, str], list[int]], dict[tuple[str, str], list[int]]]:
    """The rows of each voice: all, and the neutral ones."""
    voices: dict[tuple[str, str], list[int]] = {}
    neutral: dict[tuple[str, str], list[int]] = {}
    for row, utterance in enumerate(utterances):
        voice = (utterance.corpus, utterance.voice)
        voices.setdefault(voice, []).append(row)
        if utterance.emotion is Emotion.NEUTRAL:
            neutral.setdefault(voice, []).append(row)
    return voices, neutral
