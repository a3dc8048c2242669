"""Simulated calls played once through a service, with a summary of whose calls they were."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from model.artifact import ArtifactMeta, Thresholds
from model.audio import Pcm
from model.labels import EMOTIONS, Emotion
from training.alerts.callers import HELD_OUT_SETS, ExcludedSpeaker, HeldOutSet, held_out_callers
from training.alerts.simulated_calls import CallsConfig, Episode, make_calls
from training.data.manifest import Utterance
from training.progress import ProgressBar

TimedReadingT = TypeVar("TimedReadingT")


class Simulator(Protocol[TimedReadingT]):
    """The service, as far as evaluation needs it."""

    @property
    def meta(self) -> ArtifactMeta: ...

    def play(self, call_id: str, pcm: Pcm) -> list[TimedReadingT]:
        """Returns the readings of a call, (n, 2) at 8 kHz: the caller, the agent."""

    def fired(
        self,
        readings: list[TimedReadingT],
        thresholds: Mapping[Emotion, Thresholds],
        hold_s: float,
        smooth_s: float,
    ) -> dict[Emotion, list[float]]:
        """Returns when alerts of each emotion fire, in seconds of the call."""


@dataclass(frozen=True, slots=True)
class CallsSummary:
    """Whose calls were played, and of how many recordings they were made."""

    speakers: Mapping[str, int]  # by corpus
    excluded: Sequence[ExcludedSpeaker]
    missing: Mapping[str, Sequence[Emotion]]  # by speaker: too little is recorded for an episode
    calls: int
    hours: float
    utterances: Mapping[Emotion, int]  # counted each time they occur
    distinct: Mapping[Emotion, int]  # counted once


@dataclass(frozen=True, slots=True)
class PlayedCall(Generic[TimedReadingT]):
    """What a simulated call contained, and the readings that the service made of it."""

    corpus: str
    speaker: str  # with its corpus
    hours: float
    episodes: tuple[Episode, ...]
    recordings: Mapping[Emotion, tuple[str, ...]]
    missing: frozenset[Emotion]
    readings: list[TimedReadingT]


def play_calls(
    utterances: Sequence[Utterance], simulator: Simulator[TimedReadingT], config: CallsConfig
) -> tuple[dict[HeldOutSet, list[PlayedCall[TimedReadingT]]], dict[HeldOutSet, CallsSummary]]:
    """Plays the calls of all held-out speakers; returns them and their summary, by set.

    Raises:
        CallsError: the model does not name its held-out speakers, or none of them is a caller.
        RecordingError: the file of an utterance cannot be read.
    """
    trained_on = simulator.meta.training.get("trained_on", {})
    callers_of = {name: held_out_callers(utterances, trained_on, name) for name in HELD_OUT_SETS}
    played: dict[HeldOutSet, list[PlayedCall[TimedReadingT]]] = {name: [] for name in HELD_OUT_SETS}
    count = sum(len(callers) for callers, _ in callers_of.values()) * config.calls_per_speaker
    with ProgressBar("calls", count) as bar:
        for name, (callers, _) in callers_of.items():
            for call in make_calls(callers, config, simulator.meta.gate):
                played[name].append(
                    PlayedCall(
                        corpus=call.corpus,
                        speaker=f"{call.corpus}/{call.speaker}",
                        hours=call.duration_s / 3600,
                        episodes=call.episodes,
                        recordings=call.recordings,
                        missing=call.missing,
                        readings=simulator.play(call.call_id, call.pcm),
                    )
                )
                bar.advance(f"{name} {call.call_id}")
    return played, {
        name: _summary(played[name], excluded) for name, (_, excluded) in callers_of.items()
    }


def _summary(
    played: Sequence[PlayedCall[Any]], excluded: Sequence[ExcludedSpeaker]
) -> CallsSummary:
    corpus_of = {call.speaker: call.corpus for call in played}
    missing: dict[str, set[Emotion]] = defaultdict(set)
    recordings: dict[Emotion, list[tuple[str, str]]] = {emotion: [] for emotion in EMOTIONS}
    for call in played:
        for emotion in call.missing:
            missing[call.speaker].add(emotion)
        for emotion, names in call.recordings.items():
            recordings[emotion] += ((call.speaker, name) for name in names)
    return CallsSummary(
        speakers=dict(Counter(corpus_of.values())),
        excluded=excluded,
        missing={speaker: sorted(emotions) for speaker, emotions in sorted(missing.items())},
        calls=len(played),
        hours=sum(call.hours for call in played),
        utterances={emotion: len(names) for emotion, names in recordings.items()},
        distinct={emotion: len(set(names)) for emotion, names in recordings.items()},
    )
