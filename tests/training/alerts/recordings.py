"""Recordings of voices made of harmonics."""

from pathlib import Path

import numpy as np
import soundfile

from model.audio import SAMPLE_RATE, Pcm
from model.labels import EMOTIONS, Emotion, Style
from training.data.manifest import Utterance


def voice(s: float, pitch_hz: float, level: float = 3000.0) -> Pcm:
    """Returns harmonics whose pitch and level move as a voice's do, but without pauses."""
    at_s = np.arange(round(SAMPLE_RATE * s)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * at_s)))
    wave = sum(np.sin(k * phase / SAMPLE_RATE) / k for k in range(1, 15))
    envelope = 0.25 + np.abs(np.sin(2 * np.pi * 2 * at_s + 0.5))
    return np.round(level * wave * envelope).clip(-32768, 32767).astype(np.int16)


def recorded(folder: Path, speaker: str, emotion: Emotion, take: int, s: float) -> Utterance:
    """Writes an utterance with half a second of room noise at both ends."""
    path = folder / f"{speaker}-{emotion}-{take}.flac"
    pitch_hz = 90 + 7 * take + 30 * EMOTIONS.index(emotion) + len(speaker) + ord(speaker[0]) % 7
    level = 9000.0 if emotion is Emotion.ANGER else 3000.0
    room = np.random.default_rng(take).integers(5, 9, SAMPLE_RATE // 2).astype(np.int16)
    soundfile.write(path, np.concatenate((room, voice(s, pitch_hz, level), room)), SAMPLE_RATE)
    return Utterance(path, "stage", Style.ACTED, "xx", speaker, emotion, s + 1)
