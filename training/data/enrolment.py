"""Chooses enrolments: the utterances of a voice from which its speaker baseline is made.

Corpora do not say which utterances belong to one call, so what a caller said earlier in the call
is drawn from the other utterances of the same voice.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from model.labels import Emotion
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.manifest import Utterance, rows_by_voice

# `utterance`: none, only the utterance itself is given; `caller`: some earlier utterances, as in a
# call; `speaker`: all utterances of the speaker, which no live call can give.
EnrolmentKind = Literal["utterance", "caller", "speaker"]
Enrolments = list[list[int]]  # of each utterance, the rows of its enrolment

CALM_UTTERANCES = 4  # about ten seconds
NEUTRAL_SHARE = 0.8  # of the utterances of a training enrolment
WHOLE_SHARE = 0.3  # of the training enrolments are all utterances of the voice


def enrolments(utterances: Sequence[Utterance], kind: EnrolmentKind, seed: int) -> Enrolments:
    """Returns an enrolment for each utterance of a validation or test part.

    Kind `caller` takes up to four neutral utterances of the same voice, never the utterance itself:
    most calls begin neutrally, and a service needs no label to know how a call began.
    """
    voices, neutral = _voices_and_neutral(utterances)
    chosen: Enrolments = []
    for row, utterance in enumerate(utterances):
        voice = (utterance.corpus, utterance.voice)
        if kind == "utterance":
            chosen.append([])
        elif kind == "speaker":
            chosen.append(voices[voice])
        else:
            rng = np.random.default_rng([seed, row])
            others = [other for other in neutral.get(voice, []) if other != row]
            chosen.append(rng.permutation(others).astype(int).tolist()[:CALM_UTTERANCES])
    return chosen


class TrainingEnrolments:
    """Enrolments as varied as calls are, drawn anew in every epoch."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self._voice = [(u.corpus, u.voice) for u in utterances]
        self._all, self._neutral = _voices_and_neutral(utterances)

    def draw(self, row: int, rng: np.random.Generator) -> list[int]:
        """Returns the rows of one utterance's enrolment.

        With probability WHOLE_SHARE these are all rows of the voice, else up to
        BASELINE_UTTERANCES, mostly neutral ones, without the utterance itself.
        """
        voice = self._voice[row]
        everything, neutral = self._all[voice], self._neutral.get(voice, [])
        if rng.random() < WHOLE_SHARE:
            return everything
        drawn = []
        for _ in range(rng.integers(BASELINE_UTTERANCES + 1)):
            drawn_from = neutral if neutral and rng.random() < NEUTRAL_SHARE else everything
            drawn.append(drawn_from[rng.integers(len(drawn_from))])
        return [other for other in drawn if other != row]


def _voices_and_neutral(
    utterances: Sequence[Utterance],
) -> tuple[dict[tuple[str, str], list[int]], dict[tuple[str, str], list[int]]]:
    """Returns the rows of each voice: all of them, and the neutral ones."""
    voices = rows_by_voice(utterances)
    neutral = {
        voice: [row for row in rows if utterances[row].emotion is Emotion.NEUTRAL]
        for voice, rows in voices.items()
    }
    return voices, neutral
