"""Speakers held out from a model's training who can be the callers of simulated calls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model.labels import Emotion
from training.data.manifest import Utterance

HeldOutSet = Literal["valid", "test"]
HELD_OUT_SETS: tuple[HeldOutSet, ...] = ("valid", "test")
MIN_NEUTRAL = 3  # neutral utterances that a caller must have recorded


class CallsError(ValueError):
    """Calls cannot be simulated as asked; the message states what came and what was expected."""


@dataclass(frozen=True, slots=True)
class SimulatedCaller:
    """A held-out speaker with all recorded utterances."""

    corpus: str
    speaker: str
    utterances: tuple[Utterance, ...]

    @property
    def name(self) -> str:
        return f"{self.corpus}/{self.speaker}"


@dataclass(frozen=True, slots=True)
class ExcludedSpeaker:
    """A held-out speaker of whom no calls are simulated."""

    corpus: str
    speaker: str
    reason: str


def held_out_callers(
    utterances: Sequence[Utterance], trained_on: Mapping[str, Any], held_out: HeldOutSet
) -> tuple[list[SimulatedCaller], list[ExcludedSpeaker]]:
    """Returns the callers of one held-out set, and the speakers of it that are excluded.

    `trained_on` is the artifact's own record: corpus -> facts, with the speakers of each set.

    Raises:
        CallsError: the record does not name the held-out speakers, or none of them is a caller.
    """
    by_speaker: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[utterance.corpus, utterance.voice].append(utterance)
    callers: list[SimulatedCaller] = []
    excluded: list[ExcludedSpeaker] = []
    for corpus, facts in trained_on.items():
        if f"{held_out}_speakers" not in facts:
            raise CallsError(f"{corpus}: found {sorted(facts)}, expected {held_out}_speakers")
        for speaker in facts[f"{held_out}_speakers"]:
            own = tuple(by_speaker[corpus, speaker])
            neutral = sum(u.emotion is Emotion.NEUTRAL for u in own)
            if not own:
                excluded.append(ExcludedSpeaker(corpus, speaker, "no recordings"))
            elif neutral < MIN_NEUTRAL:
                reason = f"{neutral} neutral utterances, expected {MIN_NEUTRAL} or more"
                excluded.append(ExcludedSpeaker(corpus, speaker, reason))
            else:
                callers.append(SimulatedCaller(corpus, speaker, own))
    if not callers:
        raise CallsError(
            f"found {len(excluded)} {held_out} speakers, none with {MIN_NEUTRAL} neutral "
            "utterances, expected one or more"
        )
    return callers, excluded
