"""A caller's recordings, trimmed and levelled, as the material of simulated calls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, speech_spans
from model.labels import Emotion
from training.alerts.callers import SimulatedCaller
from training.data.manifest import Utterance
from training.data.recordings import read_recording

Span = tuple[float, float]  # smallest and largest value of a uniform draw

EPISODE_S = 4.0  # speech from which on an episode counts as one that must be caught
FADE_SAMPLES = 80  # fade-in and fade-out of a recording, so that its noise does not click


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance from its first to its last speech."""

    name: str  # of the recording's file
    samples: NDArray[np.float32]  # (n,) at int16 scale, at the call's level
    speech_s: float


class CallerRecordings:
    """The recordings of one caller; a file is read when it is first needed.

    One gain serves all emotions, so that shouting stays louder than neutral speech.
    """

    def __init__(self, caller: SimulatedCaller, level_db: float, gate: GateSpec) -> None:
        self.caller = caller
        self._level_db = level_db
        self._gate = gate
        self._trimmed: dict[Utterance, tuple[Pcm, float]] = {}

    def of(self, emotion: Emotion) -> list[Utterance]:
        return [u for u in self.caller.utterances if u.emotion is emotion]

    def clip(self, utterance: Utterance) -> Clip:
        """Returns the utterance at the call's level, with faded ends.

        Raises:
            RecordingError: the file cannot be read.
        """
        pcm, speech_s = self._trim(utterance)
        samples = pcm.astype(np.float32) * np.float32(self._gain)
        fade = np.linspace(0, 1, min(FADE_SAMPLES, len(samples)), dtype=np.float32)
        samples[: len(fade)] *= fade
        samples[len(samples) - len(fade) :] *= fade[::-1]
        return Clip(utterance.path.name, samples, speech_s)

    def shuffled(self, utterances: Sequence[Utterance], rng: np.random.Generator) -> Iterator[Clip]:
        """Yields all utterances in random order, again and again, without end."""
        while True:
            for i in rng.permutation(len(utterances)):
                yield self.clip(utterances[i])

    def episode(self, emotion: Emotion, speech: Span, rng: np.random.Generator) -> list[Clip]:
        """Returns different utterances of one emotion that together have `speech` seconds.

        The list is empty if too little is recorded.
        """
        least_s, most_s = speech
        wanted_s = rng.uniform(least_s, most_s)
        utterances = self.of(emotion)
        clips: list[Clip] = []
        for i in rng.permutation(len(utterances)):
            clip = self.clip(utterances[i])
            speech_s = sum(one.speech_s for one in clips) + clip.speech_s
            if least_s < EPISODE_S and speech_s >= EPISODE_S:
                continue  # a short episode must stay short
            clips.append(clip)
            if speech_s >= wanted_s:
                break
        return clips if sum(one.speech_s for one in clips) >= least_s else []

    def _trim(self, utterance: Utterance) -> tuple[Pcm, float]:
        """Returns the samples from first to last speech, and the seconds of speech in them.

        A recording without speech by the gate is taken whole.
        """
        if utterance not in self._trimmed:
            pcm = read_recording(utterance.path)
            spans = speech_spans(pcm, self._gate)
            if spans:
                pcm = pcm[spans[0].start * HOP_SAMPLES : spans[-1].end * HOP_SAMPLES]
                speech_s = sum(span.end - span.start for span in spans) * HOP_S
            else:
                speech_s = len(pcm) / SAMPLE_RATE
            self._trimmed[utterance] = pcm, speech_s
        return self._trimmed[utterance]

    @cached_property
    def _gain(self) -> float:
        neutral = self.of(Emotion.NEUTRAL)
        levels = [np.sqrt(np.mean(np.square(self._trim(u)[0], dtype=float))) for u in neutral]
        return 32768 * 10 ** (self._level_db / 20) / max(float(np.median(levels)), 1.0)
