"""Windows to posteriors: the only place of the service that knows torch."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from model.artifact import Artifact, ArtifactMeta, load
from model.features import normalise
from model.labels import EMOTIONS, STYLES
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.errors import KanjoError
from service.scoring.scorer import NotANumber, Posterior

# TorchScript is slow when it meets a shape, so there are few, all met before the first call.
LENGTHS = (200, 400, 748)  # frames
BATCHES = (1, 2, 4, 8, 16, 32, 64)
WARM_UPS = 3  # the profiling executor settles at the third run of a shape


class NoSuchDevice(KanjoError):
    """The network can't run where it was told to."""

    def __init__(self, device: str, there: Sequence[str]) -> None:
        super().__init__(device, there)
        self.device = device
        self.there = there

    def __str__(self) -> str:
        return (
            f"got device {self.device}, expected one that is there: auto, {', '.join(self.there)}"
        )


class TorchScorer:
    """The artifact in this process."""

    def __init__(self, artifact: Artifact, batch_max: int = BATCHES[-1]) -> None:
        self._artifact = artifact
        self._batches = (*(size for size in BATCHES if size < batch_max), batch_max)
        longest = artifact.meta.features.window_frames
        self._lengths = (*(length for length in LENGTHS if length < longest), longest)

    @classmethod
    def load(
        cls, path: Path, device: str, threads: int, batch_max: int = BATCHES[-1]
    ) -> "TorchScorer":
        """`device` auto is CUDA if there, else the CPU.

        Raises:
            ArtifactError: the file is no usable model.
            NoSuchDevice: this machine has none of this name.
        """
        torch.set_num_threads(threads)
        gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        there = (*(["cuda"] if gpus else []), *gpus, "cpu")
        if device == "auto":
            device = there[0]
        if device not in there:
            raise NoSuchDevice(device, there)
        return cls(load(path, device), batch_max)

    @property
    def meta(self) -> ArtifactMeta:
        return self._artifact.meta

    @property
    def device(self) -> str:
        return str(self._artifact.device)

    def warm_up(self) -> None:
        """Meets every shape there is; until then the first calls would wait seconds."""
        spec = self.meta.features
        for length in self._lengths:
            frames = np.zeros((length, spec.n_features), np.float32)
            nothing = SpeakerBaseline(spec).features(frames)
            for size in self._batches:
                for _ in range(WARM_UPS):
                    self._answer([nothing] * size, length)

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        """Frames (T, channels) each, not normalised, 1 <= T <= the longest.

        Raises:
            NotANumber: for one of them the network has no answer.
        """
        frames = [len(window.frames) for window in windows]
        for count in frames:
            assert 1 <= count <= self._lengths[-1], count
        answers: dict[int, Posterior] = {}
        order = sorted(range(len(windows)), key=lambda i: frames[i])
        for length, same in groupby(order, key=lambda i: self._length(frames[i])):
            rows = list(same)
            for start in range(0, len(rows), self._batches[-1]):
                batch = rows[start : start + self._batches[-1]]
                answered = self._answer([windows[i] for i in batch], length)
                answers.update(zip(batch, answered, strict=True))
        return [answers[i] for i in range(len(windows))]

    def _length(self, frames: int) -> int:
        return next(length for length in self._lengths if frames <= length)

    def _answer(self, windows: Sequence[ModelInput], length: int) -> list[Posterior]:
        spec = self.meta.features
        size = next(size for size in self._batches if len(windows) <= size)
        frames = np.zeros((size, length, spec.n_features), np.float32)
        lengths = np.ones(size, np.int64)  # empty rows hear one frame of nothing
        functionals = np.zeros((size, *windows[0].functionals.shape), np.float32)
        before = np.zeros_like(functionals)
        utterances = np.zeros(size, np.float32)
        for row, window in enumerate(windows):
            frames[row, : len(window.frames)] = normalise(window.frames, spec)
            lengths[row] = len(window.frames)
            functionals[row] = window.functionals
            before[row] = window.baseline
            utterances[row] = window.baseline_utterances
        heard = (frames, lengths, functionals, before, utterances)
        with torch.inference_mode():
            emotion, style = self._artifact(
                *(torch.from_numpy(array).to(self._artifact.device) for array in heard)
            )
        answered = zip(emotion.tolist(), style.tolist(), strict=True)
        posteriors = []
        for _, (emotions, styles) in zip(windows, answered, strict=False):
            if not np.isfinite([*emotions, *styles]).all():
                raise NotANumber(
                    f"got posteriors {emotions} and {styles}, expected numbers from 0 to 1"
                )
            posteriors.append(
                Posterior(
                    dict(zip(EMOTIONS, emotions, strict=True)),
                    dict(zip(STYLES, styles, strict=True)),
                )
            )
        return posteriors
