"""Calls assembled from the recordings of held-out speakers, with their emotional episodes known.

A caller speaks neutrally, with silences, and in some calls in episodes of anger, happiness or
sadness. Level and background noise are those of a telephone network; G.711 is applied where the
call is played.
"""

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from model.audio import SAMPLE_RATE, Pcm
from model.gate import GateSpec
from model.labels import Emotion
from training import sounds
from training.alerts.callers import CallsError, SimulatedCaller
from training.alerts.recordings import EPISODE_S, CallerRecordings, Clip, Span

__all__ = ["EPISODE_S", "CallsConfig", "CallsError", "Episode", "SimulatedCall", "make_calls"]

# Of a caller's first, second, ... call: the episodes' emotions, and whether each is a long one.
SCRIPTS: tuple[tuple[tuple[Emotion, bool], ...], ...] = (
    (),
    ((Emotion.ANGER, True), (Emotion.ANGER, False), (Emotion.ANGER, True)),
    ((Emotion.HAPPINESS, True), (Emotion.HAPPINESS, False), (Emotion.HAPPINESS, True)),
    ((Emotion.ANGER, True), (Emotion.HAPPINESS, True), (Emotion.SADNESS, True)),
)
NOISE_BELOW_DB = 15.0
MUSIC_S = 20.0


@dataclass(frozen=True, slots=True)
class CallsConfig:
    """Parameters that all simulated calls have in common.

    Raises:
        CallsError: calls are shorter than half a minute, or there are none.
    """

    minutes: float = 3.0
    calls_per_speaker: int = 4
    pause_s: Span = (0.5, 4.0)  # between a caller's utterances
    breath_s: Span = (0.2, 1.0)  # between the utterances of an episode
    calm_s: Span = (15.0, 35.0)  # at the beginning and between episodes
    long_s: Span = (EPISODE_S, 10.0)  # speech of a long episode
    short_s: Span = (1.0, EPISODE_S)  # speech of a short episode, which need not be caught
    level_db: float = -26.0  # of neutral speech, to full scale: nominal on the network (ITU-T P.56)
    noise_db: float = -65.0  # of the background noise, to full scale
    # Whether each call also has a changing noise, NOISE_BELOW_DB softer than neutral speech, and
    # halfway through, while the caller is silent, MUSIC_S of music as loud as speech
    sounds: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 <= self.minutes < math.inf:
            raise CallsError(f"got calls of {self.minutes} minutes, expected 0.5 or more")
        if self.calls_per_speaker < 1:
            raise CallsError(f"got {self.calls_per_speaker} calls a speaker, expected 1 or more")


@dataclass(frozen=True, slots=True)
class Episode:
    """Consecutive utterances of one emotion."""

    emotion: Emotion
    onset_s: float
    end_s: float
    speech_s: float  # without the pauses


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """The audio of one call, with what it was made of."""

    call_id: str
    corpus: str
    speaker: str
    agent: str | None
    pcm: Pcm = field(repr=False)  # (n, 2) at 8 kHz: the caller, the agent
    episodes: tuple[Episode, ...]
    # The caller's recordings in their order; a recording that was used twice is there twice.
    recordings: Mapping[Emotion, tuple[str, ...]] = field(repr=False)
    missing: frozenset[Emotion]  # too little is recorded for an episode of these

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / SAMPLE_RATE


@dataclass(slots=True)
class _CallerTrack:
    """The caller's half of a call while it is assembled."""

    samples: NDArray[np.float32]  # (n,)
    episodes: list[Episode] = field(default_factory=list)
    recordings: dict[Emotion, list[str]] = field(default_factory=lambda: defaultdict(list))
    missing: set[Emotion] = field(default_factory=set)


def make_calls(
    callers: Sequence[SimulatedCaller], config: CallsConfig, gate: GateSpec
) -> Iterator[SimulatedCall]:
    """Yields every caller's calls, one at a time; the same seed gives the same calls.

    The agent is another of the callers, of the same corpus if there is one, and speaks with any
    emotion.

    Raises:
        RecordingError: the file of an utterance cannot be read.
    """
    for caller in callers:
        others = [c for c in callers if c is not caller]
        agents = [c for c in others if c.corpus == caller.corpus] or others
        recordings = CallerRecordings(caller, config.level_db, gate)
        for number in range(config.calls_per_speaker):
            rng = np.random.default_rng([config.seed, crc32(caller.name.encode()), number])
            agent = agents[rng.integers(len(agents))] if agents else None
            script = SCRIPTS[number % len(SCRIPTS)]
            track = _caller_track(recordings, script, config, rng)
            agent_samples = _background_noise(config, rng)
            if agent:
                _add_agent(agent_samples, CallerRecordings(agent, config.level_db, gate), rng)
            both = np.stack((track.samples, agent_samples), axis=1)
            yield SimulatedCall(
                call_id=f"{caller.name}/{number}",
                corpus=caller.corpus,
                speaker=caller.speaker,
                agent=agent.name if agent else None,
                pcm=both.round().clip(-32768, 32767).astype(np.int16),
                episodes=tuple(track.episodes),
                recordings={e: tuple(names) for e, names in track.recordings.items()},
                missing=frozenset(track.missing),
            )


def _background_noise(config: CallsConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns a track (n,) without speech; a telephone call is never digitally silent."""
    count = round(config.minutes * 60 * SAMPLE_RATE)
    noise = np.float32(32768 * 10 ** (config.noise_db / 20))
    return noise * rng.standard_normal(count, np.float32)


def _sound(
    kind: str, duration_s: float, level_db: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Returns a sound (n,) of this kind, another at every call, at a level to full scale."""
    wave = sounds.make(kind, int(rng.integers(2**31)), duration_s)
    level = 32768 * 10 ** (level_db / 20) / max(float(wave.std()), 1e-9)
    return (level * wave).astype(np.float32)


def _mix_in(samples: NDArray[np.float32], at_s: float, added: NDArray[np.float32]) -> float:
    """Adds to `samples` in place, cut at their end; returns the end of `added` in seconds."""
    start = round(at_s * SAMPLE_RATE)
    samples[start : start + len(added)] += added[: len(samples) - start]
    return (start + len(added)) / SAMPLE_RATE


def _caller_track(
    recordings: CallerRecordings,
    script: Sequence[tuple[Emotion, bool]],
    config: CallsConfig,
    rng: np.random.Generator,
) -> _CallerTrack:
    """Assembles a caller's track, until the next clips are longer than the rest of the call."""
    track = _CallerTrack(_background_noise(config, rng))
    on_hold = config.sounds
    if on_hold:
        track.samples += _sound(
            "rumble", config.minutes * 60, config.level_db - NOISE_BELOW_DB, rng
        )
    neutral = recordings.shuffled(recordings.of(Emotion.NEUTRAL), rng)
    to_come = deque(script[i] for i in rng.permutation(len(script)))
    at_s = rng.uniform(*config.pause_s)
    calm_until_s = at_s + rng.uniform(*config.calm_s)
    while True:
        emotion = Emotion.NEUTRAL
        clips: list[Clip] = []
        while to_come and at_s >= calm_until_s and not clips:
            emotion, is_long = to_come.popleft()
            clips = recordings.episode(emotion, config.long_s if is_long else config.short_s, rng)
            if not clips:
                track.missing.add(emotion)
        if not clips:
            emotion, clips = Emotion.NEUTRAL, [next(neutral)]
        breaths_s = [*rng.uniform(*config.breath_s, len(clips) - 1), 0.0]
        length_s = sum(breaths_s) + sum(len(clip.samples) for clip in clips) / SAMPLE_RATE
        if at_s + length_s > len(track.samples) / SAMPLE_RATE:
            return track
        onset_s = end_s = at_s
        for clip, breath_s in zip(clips, breaths_s, strict=True):
            end_s = _mix_in(track.samples, at_s, clip.samples)
            at_s = end_s + breath_s
            track.recordings[emotion].append(clip.name)
        if emotion is not Emotion.NEUTRAL:
            speech_s = sum(clip.speech_s for clip in clips)
            track.episodes.append(Episode(emotion, onset_s, end_s, speech_s))
            calm_until_s = end_s + rng.uniform(*config.calm_s)
        at_s = end_s + rng.uniform(*config.pause_s)
        if on_hold and at_s >= config.minutes * 30:
            on_hold = False
            music = _sound("music", MUSIC_S, config.level_db, rng)
            at_s = _mix_in(track.samples, at_s, music) + rng.uniform(*config.pause_s)


def _add_agent(
    samples: NDArray[np.float32], recordings: CallerRecordings, rng: np.random.Generator
) -> None:
    """Adds an agent's speech in place, whenever the caller speaks: the tracks are separate."""
    at_s = 0.0
    for clip in recordings.shuffled(recordings.caller.utterances, rng):
        at_s += rng.uniform(1.0, 6.0)
        if at_s >= len(samples) / SAMPLE_RATE:
            return
        at_s = _mix_in(samples, at_s, clip.samples)
