"""A whole recording, heard as a call would be: the same gate, windows and network."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
import soundfile
from pydantic import BaseModel

from model import SHIPPED
from model.artifact import ArtifactMeta
from model.audio import SAMPLE_RATE, Pcm, quantised, resample
from model.labels import EMOTIONS, STYLES, Emotion, Style
from service.calls.windows import Window, WindowCutter
from service.errors import KanjoError
from service.scoring.scorer import Posterior
from service.scoring.torch_scorer import TorchScorer

RATES = (8_000, 48_000)  # Hz
STEP_SAMPLES = SAMPLE_RATE  # of audio fed to the cutter at once

AudioChannel = Literal["0", "1", "mix"]


class BadRecording(KanjoError):
    """A recording can't be used; `got` and `expected` say why."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected

    def __str__(self) -> str:
        return f"got {self.got}, expected {self.expected}"


class EmptyRecording(BadRecording):
    """There is nothing in it."""


class RecordingTooLong(BadRecording):
    """It lasts longer than is taken."""


class WindowAnswer(BaseModel, frozen=True):
    """How one stretch of the recording sounds."""

    start_s: float
    end_s: float
    probabilities: dict[Emotion, float]


class ModelAnswer(BaseModel, frozen=True):
    """Which model says so."""

    name: str
    version: str


class Classification(BaseModel, frozen=True):
    """How the speaker of a recording sounds; `emotion` is null if nobody speaks."""

    emotion: Emotion | None
    probabilities: dict[Emotion, float] | None
    style: dict[Style, float] | None
    duration_s: float
    speech_s: float
    windows: list[WindowAnswer]
    model: ModelAnswer


@dataclass(frozen=True, slots=True)
class CutRecording:
    """A recording's windows, not scored yet."""

    duration_s: float
    speech_s: float
    windows: list[Window]


def decode(file: BinaryIO, channel: AudioChannel, max_s: float) -> Pcm:
    """Anything that libsndfile reads, to int16 (n,) at 8 kHz.

    Raises:
        EmptyRecording: no bytes, or no samples.
        RecordingTooLong: it lasts longer than `max_s`.
        BadRecording: not audio, or not 8 to 48 kHz, or not mono or stereo, or no such channel.
    """
    if not file.read(1):
        raise EmptyRecording("0 bytes", "a recording")
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            if not RATES[0] <= sound.samplerate <= RATES[1]:
                raise BadRecording(f"{sound.samplerate} Hz", f"{RATES[0]} to {RATES[1]} Hz")
            if sound.channels > 2:
                raise BadRecording(f"{sound.channels} channels", "1 or 2")
            if channel != "mix" and int(channel) >= sound.channels:
                raise BadRecording(f"channel {channel} of {sound.channels}", "one that is there")
            # The header may lie about the length, so no more is read than is taken.
            samples = sound.read(int(max_s * sound.samplerate) + 1, dtype="float32", always_2d=True)
            rate = sound.samplerate
    except soundfile.LibsndfileError as error:
        raise BadRecording(
            f"unreadable audio ({error.error_string})", "WAV, FLAC, OGG, MP3 or the like"
        ) from error
    if not len(samples):
        raise EmptyRecording("0 samples", "a recording")
    if len(samples) > max_s * rate:
        raise RecordingTooLong(f"more than {max_s:g} s of audio", f"at most {max_s:g} s")
    mono = samples.mean(axis=1) if channel == "mix" else samples[:, int(channel)]
    return resample(quantised(mono), rate)


def cut(
    pcm: Pcm, meta: ArtifactMeta, first_s: float, hop_s: float, gated: bool = True
) -> CutRecording:
    """The windows of int16 (n,) at 8 kHz; if it isn't `gated`, all of it is taken for speech."""
    cutter = WindowCutter(meta.features, meta.gate if gated else None, first_s, hop_s)
    pieces = (pcm[start : start + STEP_SAMPLES] for start in range(0, len(pcm), STEP_SAMPLES))
    windows = [window for window, _ in cut_pieces(pieces, cutter)]
    return CutRecording(len(pcm) / SAMPLE_RATE, cutter.speech_s, windows)


def cut_pieces(pieces: Iterable[Pcm], cutter: WindowCutter) -> Iterator[tuple[Window, float]]:
    """The windows as they come, each with how much of the audio, in seconds, had come by then."""
    for pcm in pieces:
        for window in cutter.feed(pcm):
            yield window, cutter.position_s
    for window in cutter.end():
        yield window, cutter.position_s


def classification(
    cut: CutRecording, posteriors: Sequence[Posterior], meta: ArtifactMeta
) -> Classification:
    """The whole is the mean of the windows, each weighing as much as the speech it adds."""
    model = ModelAnswer(name=meta.name, version=meta.version)
    if not posteriors:
        return Classification(
            emotion=None,
            probabilities=None,
            style=None,
            duration_s=cut.duration_s,
            speech_s=cut.speech_s,
            windows=[],
            model=model,
        )
    weights = [window.heard_s for window in cut.windows]
    emotions = np.average([[p.emotion[e] for e in EMOTIONS] for p in posteriors], 0, weights)
    styles = np.average([[p.style[s] for s in STYLES] for p in posteriors], 0, weights)
    return Classification(
        emotion=EMOTIONS[int(emotions.argmax())],
        probabilities=dict(zip(EMOTIONS, emotions.tolist(), strict=True)),
        style=dict(zip(STYLES, styles.tolist(), strict=True)),
        duration_s=cut.duration_s,
        speech_s=cut.speech_s,
        windows=[
            WindowAnswer(start_s=w.start_s, end_s=w.end_s, probabilities=p.emotion)
            for w, p in zip(cut.windows, posteriors, strict=True)
        ],
        model=model,
    )


def classify(
    recording: bytes, channel: AudioChannel = "mix", max_s: float = 3600
) -> Classification:
    """With the shipped model, in this process. Raises as `decode`, and ArtifactError."""
    scorer = TorchScorer.load(SHIPPED, "auto", threads=1)
    windows = cut(decode(io.BytesIO(recording), channel, max_s), scorer.meta, 1.5, 1.0)
    posteriors = scorer.score([window.model_input for window in windows.windows])
    return classification(windows, posteriors, scorer.meta)
