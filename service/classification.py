"""Classifies a whole recording with the speech gate, windows and network of a live call."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel

from model import SHIPPED
from model.artifact import ArtifactMeta
from model.audio import SAMPLE_RATE, Pcm
from model.labels import EMOTIONS, STYLES, Emotion, Style
from model.recording import AudioChannel, decode
from model.speech_check_file import shipped_check
from service.calls.windows import Window, WindowCutter
from service.scoring.scorer import Posterior
from service.scoring.torch_scorer import TorchScorer

STEP_SAMPLES = SAMPLE_RATE  # of audio fed to the cutter at once
MAX_S = 3600.0  # longest recording that is classified in this process


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


def cut(
    pcm: Pcm, meta: ArtifactMeta, first_s: float, hop_s: float, gated: bool = True
) -> CutRecording:
    """Cuts int16 (n,) at 8 kHz into windows; without the gate (`gated`), all of it is speech.

    Args:
        first_s: seconds of speech before the first window of a stretch.
        hop_s: seconds of speech from one window to the next.
    """
    cutter = WindowCutter(
        meta.features,
        meta.gate if gated else None,
        first_s,
        hop_s,
        check=shipped_check(meta.features) if gated else None,
        embedding=meta.embedding,
    )
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


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies recordings in this process.

    Args:
        first_s, hop_s, gated: as `cut` takes them.
        caller: the channel of a stereo recording that holds the caller.
        max_s: longest recording, in seconds.
    """

    scorer: TorchScorer
    first_s: float
    hop_s: float
    gated: bool = True
    caller: int = 0
    max_s: float = MAX_S

    @classmethod
    def load(
        cls,
        path: Path = SHIPPED,
        *,
        device: str = "auto",
        threads: int = 1,
        first_s: float | None = None,
        hop_s: float | None = None,
        gated: bool = True,
        caller: int = 0,
    ) -> "Classifier":
        """Loads an artifact; without `first_s` and `hop_s` its own values hold.

        Raises:
            ArtifactError: the file is not a usable model.
            NoSuchDevice: this machine has no device of this name.
        """
        scorer = TorchScorer.load(path, device, threads)
        serving = scorer.meta.serving.override(first_s, hop_s)
        return cls(scorer, serving.first_s, serving.hop_s, gated, caller)

    def classify(self, file: BinaryIO, channel: AudioChannel | None = None) -> Classification:
        """Returns how the speaker of a recording sounds.

        Raises:
            BadRecording: as `decode` does.
            NotANumber: the network returned something other than probabilities.
        """
        meta = self.scorer.meta
        pcm = decode(file, channel, self.max_s, self.caller)
        recording = cut(pcm, meta, self.first_s, self.hop_s, self.gated)
        posteriors = self.scorer.score([window.model_input for window in recording.windows])
        return classification(recording, posteriors, meta)
