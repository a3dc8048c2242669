"""Classifies a whole recording with the speech gate, windows and network of a live call."""

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
# The service's defaults, in seconds of speech: before a stretch's first window, between two.
FIRST_S = 1.5
HOP_S = 1.0
MAX_S = 3600.0  # longest recording that is classified in this process

AudioChannel = Literal["0", "1", "mix"]


class BadRecording(KanjoError):
    """A recording can't be classified; `got` is what came, `expected` what can be."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected

    def __str__(self) -> str:
        return f"got {self.got}, expected {self.expected}"


class EmptyRecording(BadRecording):
    """A recording holds no bytes or no samples."""


class RecordingTooLong(BadRecording):
    """A recording lasts longer than the limit."""


class WindowAnswer(BaseModel, frozen=True):
    """How one stretch of the recording sounds, as a probability of each emotion."""

    start_s: float
    end_s: float
    probabilities: dict[Emotion, float]


class ModelAnswer(BaseModel, frozen=True):
    """The model that scored the recording."""

    name: str
    version: str


class Classification(BaseModel, frozen=True):
    """How the speaker of a recording sounds: the answer of /classify.

    `emotion`, `probabilities` and `style` are null if the recording holds no speech.
    """

    emotion: Emotion | None
    probabilities: dict[Emotion, float] | None
    style: dict[Style, float] | None
    duration_s: float
    speech_s: float
    windows: list[WindowAnswer]
    model: ModelAnswer


@dataclass(frozen=True, slots=True)
class CutRecording:
    """A recording cut into windows that are not scored yet."""

    duration_s: float
    speech_s: float
    windows: list[Window]


def decode(file: BinaryIO, channel: AudioChannel, max_s: float) -> Pcm:
    """Decodes a file of any format that libsndfile reads to int16 (n,) at 8 kHz.

    Args:
        channel: which channel of a stereo recording, or the mean of all.
        max_s: longest recording that is accepted, in seconds.

    Raises:
        EmptyRecording: it holds no bytes, or no samples.
        RecordingTooLong: it lasts longer than `max_s`.
        BadRecording: it is not audio, not 8 to 48 kHz, not mono or stereo, or has no such channel.
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
            # The length in the header may be wrong, so one sample over the limit is read at most.
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
    """Cuts int16 (n,) at 8 kHz into windows; without the gate (`gated`), all of it is speech.

    Args:
        first_s: seconds of speech before the first window of a stretch.
        hop_s: seconds of speech from one window to the next.
    """
    cutter = WindowCutter(meta.features, meta.gate if gated else None, first_s, hop_s)
    pieces = (pcm[start : start + STEP_SAMPLES] for start in range(0, len(pcm), STEP_SAMPLES))
    windows = [window for window, _ in timed_windows(pieces, cutter)]
    return CutRecording(len(pcm) / SAMPLE_RATE, cutter.speech_s, windows)


def timed_windows(pieces: Iterable[Pcm], cutter: WindowCutter) -> Iterator[tuple[Window, float]]:
    """Yields each window of a track, (n,) int16 pieces, with the seconds of audio fed by then."""
    for pcm in pieces:
        for window in cutter.feed(pcm):
            yield window, cutter.position_s
    for window in cutter.end():
        yield window, cutter.position_s


def classification(
    recording: CutRecording, posteriors: Sequence[Posterior], meta: ArtifactMeta
) -> Classification:
    """Sums the posteriors of a recording's windows up.

    The whole is the mean over the windows, each weighted by the seconds of speech that it adds.
    """
    model = ModelAnswer(name=meta.name, version=meta.version)
    if not posteriors:
        return Classification(
            emotion=None,
            probabilities=None,
            style=None,
            duration_s=recording.duration_s,
            speech_s=recording.speech_s,
            windows=[],
            model=model,
        )
    weights = [window.heard_s for window in recording.windows]
    emotions = np.average([[p.emotion[e] for e in EMOTIONS] for p in posteriors], 0, weights)
    styles = np.average([[p.style[s] for s in STYLES] for p in posteriors], 0, weights)
    return Classification(
        emotion=EMOTIONS[int(emotions.argmax())],
        probabilities=dict(zip(EMOTIONS, emotions.tolist(), strict=True)),
        style=dict(zip(STYLES, styles.tolist(), strict=True)),
        duration_s=recording.duration_s,
        speech_s=recording.speech_s,
        windows=[
            WindowAnswer(start_s=w.start_s, end_s=w.end_s, probabilities=p.emotion)
            for w, p in zip(recording.windows, posteriors, strict=True)
        ],
        model=model,
    )


def classify(
    recording: bytes, channel: AudioChannel = "mix", max_s: float = MAX_S
) -> Classification:
    """Classifies a recording with the shipped model, in this process.

    Raises:
        BadRecording: as `decode` does.
        ArtifactError: the shipped model is not usable.
    """
    scorer = TorchScorer.load(SHIPPED, "auto", threads=1)
    windows = cut(decode(io.BytesIO(recording), channel, max_s), scorer.meta, FIRST_S, HOP_S)
    posteriors = scorer.score([window.model_input for window in windows.windows])
    return classification(windows, posteriors, scorer.meta)
