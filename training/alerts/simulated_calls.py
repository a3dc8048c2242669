"""Calls made of speakers whom a model never heard: what a service gets, and what was in it.

A caller talks neutrally, with silences, and now and then in episodes of anger, happiness or
sadness. Level and line noise are a telephone's; G.711 is put on by whoever plays the call.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_S, HOP_SAMPLES, GateSpec, speech_spans
from model.labels import Emotion
from training.data.manifest import Utterance
from training.data.recordings import read_recording

HeldOutPart = Literal["valid", "test"]
Span = tuple[float, float]  # least and most

EPISODE_S = 4.0  # speech from which on an episode is one that must be caught
NEUTRAL_LEAST = 3  # utterances of a caller
FADE_SAMPLES = 80  # where a recording begins and ends, so that its noise doesn't click

# The episodes of a caller's first call, second, ...: of which emotion, and whether long.
SCRIPTS: tuple[tuple[tuple[Emotion, bool], ...], ...] = (
    (),
    ((Emotion.ANGER, True), (Emotion.ANGER, False), (Emotion.ANGER, True)),
    ((Emotion.HAPPINESS, True), (Emotion.HAPPINESS, False), (Emotion.HAPPINESS, True)),
    ((Emotion.ANGER, True), (Emotion.HAPPINESS, True), (Emotion.SADNESS, True)),
)


class CallsError(ValueError):
    """No calls can be made as asked; the message says what came and what was expected."""


@dataclass(frozen=True, slots=True)
class CallsConfig:
    """What all calls have in common."""

    minutes: float = 3.0
    calls_per_speaker: int = 4
    pause_s: Span = (0.5, 4.0)  # between a caller's utterances
    breath_s: Span = (0.2, 1.0)  # between those of an episode
    calm_s: Span = (15.0, 35.0)  # at the beginning and between episodes
    long_s: Span = (EPISODE_S, 10.0)  # speech of an episode
    short_s: Span = (1.0, EPISODE_S)  # speech of an episode that need not be caught
    level_db: float = -26.0  # of neutral speech, to full scale: nominal on the network (ITU-T P.56)
    noise_db: float = -65.0  # of the line, to full scale
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.minutes < math.inf:
            raise CallsError(f"got calls of {self.minutes} minutes, expected 0.5 or more")
        if self.calls_per_speaker < 1:
            raise CallsError(f"got {self.calls_per_speaker} calls a speaker, expected 1 or more")


@dataclass(frozen=True, slots=True)
class SimulatedCaller:
    """A held-out speaker, with everything that was recorded of them."""

    corpus: str
    speaker: str
    utterances: tuple[Utterance, ...]

    @property
    def name(self) -> str:
        return f"{self.corpus}/{self.speaker}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A held-out speaker who makes no calls."""

    corpus: str
    speaker: str
    why: str


@dataclass(frozen=True, slots=True)
class Episode:
    """Utterances of one emotion, one after the other."""

    emotion: Emotion
    onset_s: float
    end_s: float
    speech_s: float  # without pauses


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One call and what is in it."""

    call_id: str
    corpus: str
    speaker: str
    agent: str | None
    pcm: Pcm = field(repr=False)  # (n, 2) at 8 kHz: the caller, the agent
    episodes: tuple[Episode, ...]
    said: Mapping[Emotion, tuple[str, ...]] = field(repr=False)  # recordings, each time they came
    missing: frozenset[Emotion]  # too little is recorded for the episodes of these

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE


def held_out(
    utterances: Sequence[Utterance], trained_on: Mapping[str, Any], part: HeldOutPart
) -> tuple[list[SimulatedCaller], list[Skipped]]:
    """Who of a model's `trained_on` was held out for `part`, and can call; who can't, and why.

    Raises:
        CallsError: the model doesn't say who was held out, or nobody is left.
    """
    by_speaker: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[utterance.corpus, utterance.voice].append(utterance)
    callers: list[SimulatedCaller] = []
    skipped: list[Skipped] = []
    for corpus, facts in trained_on.items():
        if f"{part}_speakers" not in facts:
            raise CallsError(f"{corpus}: found {sorted(facts)}, expected {part}_speakers")
        for speaker in facts[f"{part}_speakers"]:
            own = tuple(by_speaker[corpus, speaker])
            neutral = sum(u.emotion is Emotion.NEUTRAL for u in own)
            if not own:
                skipped.append(Skipped(corpus, speaker, "no recordings"))
            elif neutral < NEUTRAL_LEAST:
                why = f"{neutral} neutral utterances, expected {NEUTRAL_LEAST} or more"
                skipped.append(Skipped(corpus, speaker, why))
            else:
                callers.append(SimulatedCaller(corpus, speaker, own))
    if not callers:
        raise CallsError(
            f"found {len(skipped)} {part} speakers, none with {NEUTRAL_LEAST} neutral utterances, "
            "expected one or more"
        )
    return callers, skipped


def make_calls(
    callers: Sequence[SimulatedCaller], config: CallsConfig, gate: GateSpec
) -> Iterator[SimulatedCall]:
    """Every caller's calls, one at a time, the same ones for the same seed.

    The agent is another of the callers, of the same corpus if there is one, and shows any emotion.

    Raises:
        RecordingError: an utterance can't be read.
    """
    for caller in callers:
        others = [c for c in callers if c is not caller]
        agents = [c for c in others if c.corpus == caller.corpus] or others
        voice = _Voice(caller, config.level_db, gate)
        for number in range(config.calls_per_speaker):
            rng = np.random.default_rng([config.seed, crc32(caller.name.encode()), number])
            agent = agents[rng.integers(len(agents))] if agents else None
            script = SCRIPTS[number % len(SCRIPTS)]
            heard, episodes, said, missing = _talk(voice, script, config, rng)
            answer = _line(config, rng)
            if agent:
                _chatter(answer, _Voice(agent, config.level_db, gate), rng)
            both = np.stack((heard, answer), axis=1)
            yield SimulatedCall(
                call_id=f"{caller.name}/{number}",
                corpus=caller.corpus,
                speaker=caller.speaker,
                agent=agent.name if agent else None,
                pcm=both.round().clip(-32768, 32767).astype(np.int16),
                episodes=tuple(episodes),
                said=said,
                missing=frozenset(missing),
            )


@dataclass(frozen=True, slots=True)
class _Spoken:
    """An utterance from its first speech to its last."""

    name: str
    samples: NDArray[np.float32]  # (n,) at int16 scale, brought to the line's level
    speech_s: float


class _Voice:
    """What a speaker can say; recordings are read when they are needed."""

    def __init__(self, caller: SimulatedCaller, level_db: float, gate: GateSpec) -> None:
        self.caller = caller
        self._level_db = level_db
        self._gate = gate
        self._read: dict[Utterance, tuple[Pcm, float]] = {}

    def of(self, emotion: Emotion) -> list[Utterance]:
        return [u for u in self.caller.utterances if u.emotion is emotion]

    def _trimmed(self, utterance: Utterance) -> tuple[Pcm, float]:
        """Its samples, and the seconds of speech in them.

        A recording in which the gate hears no speech is taken whole.
        """
        if utterance not in self._read:
            pcm = read_recording(utterance.path)
            spans = speech_spans(pcm, self._gate)
            if spans:
                pcm = pcm[spans[0].start * HOP_SAMPLES : spans[-1].end * HOP_SAMPLES]
                speech_s = sum(span.end - span.start for span in spans) * HOP_S
            else:
                speech_s = len(pcm) / SAMPLE_RATE
            self._read[utterance] = pcm, speech_s
        return self._read[utterance]

    @cached_property
    def _gain(self) -> float:
        """One for all emotions: those who shout stay louder than they were."""
        neutral = self.of(Emotion.NEUTRAL)
        levels = [np.sqrt(np.mean(np.square(self._trimmed(u)[0], dtype=float))) for u in neutral]
        return 32768 * 10 ** (self._level_db / 20) / max(float(np.median(levels)), 1.0)

    def say(self, utterance: Utterance) -> _Spoken:
        pcm, speech_s = self._trimmed(utterance)
        samples = pcm.astype(np.float32) * np.float32(self._gain)
        fade = np.linspace(0, 1, min(FADE_SAMPLES, len(samples)), dtype=np.float32)
        samples[: len(fade)] *= fade
        samples[len(samples) - len(fade) :] *= fade[::-1]
        return _Spoken(utterance.path.name, samples, speech_s)

    def on_and_on(
        self, utterances: Sequence[Utterance], rng: np.random.Generator
    ) -> Iterator[_Spoken]:
        """All of them in some order, and then again in another."""
        while True:
            for i in rng.permutation(len(utterances)):
                yield self.say(utterances[i])

    def episode(self, emotion: Emotion, span: Span, rng: np.random.Generator) -> list[_Spoken]:
        """Different utterances with so much speech; none, if there are no such."""
        least_s, most_s = span
        wanted_s = rng.uniform(least_s, most_s)
        utterances = self.of(emotion)
        spoken: list[_Spoken] = []
        for i in rng.permutation(len(utterances)):
            said = self.say(utterances[i])
            speech_s = sum(one.speech_s for one in spoken) + said.speech_s
            if span[0] < EPISODE_S and speech_s >= EPISODE_S:
                continue  # a short one stays short
            spoken.append(said)
            if speech_s >= wanted_s:
                break
        return spoken if sum(one.speech_s for one in spoken) >= least_s else []


def _line(config: CallsConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """A track (n,) on which nobody has spoken yet; a telephone line is never digitally silent."""
    count = round(config.minutes * 60 * SAMPLE_RATE)
    noise = np.float32(32768 * 10 ** (config.noise_db / 20))
    return noise * rng.standard_normal(count, np.float32)


def _put(line: NDArray[np.float32], at_s: float, spoken: _Spoken) -> float:
    """Where it ends; the line is changed."""
    start = round(at_s * SAMPLE_RATE)
    line[start : start + len(spoken.samples)] += spoken.samples[: len(line) - start]
    return (start + len(spoken.samples)) / SAMPLE_RATE


def _talk(
    voice: _Voice,
    script: Sequence[tuple[Emotion, bool]],
    config: CallsConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], list[Episode], dict[Emotion, tuple[str, ...]], set[Emotion]]:
    """A caller's track, until the next thing to say is longer than what is left of the call."""
    line = _line(config, rng)
    said: dict[Emotion, list[str]] = defaultdict(list)
    episodes: list[Episode] = []
    missing: set[Emotion] = set()
    neutral = voice.on_and_on(voice.of(Emotion.NEUTRAL), rng)
    to_come = deque(script[i] for i in rng.permutation(len(script)))
    at_s = rng.uniform(*config.pause_s)
    calm_until_s = at_s + rng.uniform(*config.calm_s)
    while True:
        emotion = Emotion.NEUTRAL
        spoken: list[_Spoken] = []
        while to_come and at_s >= calm_until_s and not spoken:
            emotion, is_long = to_come.popleft()
            spoken = voice.episode(emotion, config.long_s if is_long else config.short_s, rng)
            if not spoken:
                missing.add(emotion)
        if not spoken:
            emotion, spoken = Emotion.NEUTRAL, [next(neutral)]
        breaths_s = [*rng.uniform(*config.breath_s, len(spoken) - 1), 0.0]
        length_s = sum(breaths_s) + sum(len(one.samples) for one in spoken) / SAMPLE_RATE
        if at_s + length_s > len(line) / SAMPLE_RATE:
            break
        onset_s = end_s = at_s
        for one, breath_s in zip(spoken, breaths_s, strict=True):
            end_s = _put(line, at_s, one)
            at_s = end_s + breath_s
            said[emotion].append(one.name)
        if emotion is not Emotion.NEUTRAL:
            speech_s = sum(one.speech_s for one in spoken)
            episodes.append(Episode(emotion, onset_s, end_s, speech_s))
            calm_until_s = end_s + rng.uniform(*config.calm_s)
        at_s = end_s + rng.uniform(*config.pause_s)
    return line, episodes, {e: tuple(names) for e, names in said.items()}, missing


def _chatter(line: NDArray[np.float32], voice: _Voice, rng: np.random.Generator) -> None:
    """An agent talks, whatever the caller does: theirs is a track of its own."""
    at_s = 0.0
    for spoken in voice.on_and_on(voice.caller.utterances, rng):
        at_s += rng.uniform(1.0, 6.0)
        if at_s >= len(line) / SAMPLE_RATE:
            return
        at_s = _put(line, at_s, spoken)
