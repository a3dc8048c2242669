"""The engine that runs the artifact in this process; no other module of the service uses torch."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from model.artifact import Artifact, ArtifactMeta, load
from model.chunk_encoder import BATCH_CHUNKS, encode, encode_waiting, padded_frames
from model.chunked_input import ChunkedInput, WindowInput
from model.features import Frames, normalise
from model.input_sizes import input_sizes
from model.labels import EMOTIONS, STYLES
from model.speaker_baseline import ModelInput
from service.errors import KanjoError
from service.scoring.scorer import NotANumber, Posterior

# TorchScript compiles for every new input shape, which takes seconds. So there are few shapes, and
# `warm_up` runs each of them before the first call.
LENGTHS = (200, 400, 748)  # frames
ROW_LENGTHS = (10, 20)  # the same of a model with an encoder, beside its longest window
BATCHES = (1, 2, 4, 8, 16, 32, 64)  # windows
WARM_UPS = 3  # the profiling executor has optimised a shape after its third run


class NoSuchDevice(KanjoError):
    """The device that the settings name is not available."""

    def __init__(self, device: str, available: Sequence[str]) -> None:
        super().__init__(device, available)
        self.device = device
        self.available = available

    def __str__(self) -> str:
        return (
            f"got device {self.device}, expected one that is available: "
            f"auto, {', '.join(self.available)}"
        )


class TorchScorer:
    """Scores windows with an artifact, padded to a few lengths and batch sizes.

    If the artifact has an encoder, a chunk is encoded with the first batch that has a window of it.

    Args:
        batch_max: windows scored at once at most.
        lengths: to which windows are padded, in frames or rows, ascending; longer windows are
            padded to the artifact's longest window.
    """

    def __init__(
        self,
        artifact: Artifact,
        batch_max: int = BATCHES[-1],
        lengths: Sequence[int] | None = None,
    ) -> None:
        self._artifact = artifact
        self._embedding = artifact.meta.embedding
        self._batches = (*(size for size in BATCHES if size < batch_max), batch_max)
        if lengths is None:
            lengths = ROW_LENGTHS if self._embedding else LENGTHS
        self._sizes = input_sizes(artifact.meta.inputs)
        longest = self._sizes.longest
        self._lengths = (*(length for length in lengths if length < longest), longest)

    @classmethod
    def load(
        cls,
        path: Path,
        device: str,
        threads: int,
        batch_max: int = BATCHES[-1],
        lengths: Sequence[int] | None = None,
    ) -> "TorchScorer":
        """Loads an artifact; device `auto` is CUDA if available, else the CPU.

        Raises:
            ArtifactError: the file is not a usable model.
            NoSuchDevice: this machine has no device of this name.
        """
        torch.set_num_threads(threads)
        gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        available = (*(["cuda"] if gpus else []), *gpus, "cpu")
        if device == "auto":
            device = available[0]
        if device not in available:
            raise NoSuchDevice(device, available)
        return cls(load(path, device), batch_max, lengths)

    @property
    def meta(self) -> ArtifactMeta:
        return self._artifact.meta

    @property
    def device(self) -> str:
        return str(self._artifact.device)

    def warm_up(self) -> None:
        """Runs every (batch, length) shape, so that no call is delayed by compilation."""
        sizes = self._sizes
        voice = np.zeros(sizes.functionals, np.float32)
        for length in self._lengths:
            frames = np.zeros((length, sizes.n_features), np.float32)
            empty = ModelInput(frames, voice, voice, 0)
            for size in self._batches:
                for _ in range(WARM_UPS):
                    self._score_batch([empty] * size, length)
        self._warm_up_encoder()

    def _warm_up_encoder(self) -> None:
        """Encodes chunks of every length, alone and in a full batch: nothing else is compiled."""
        spec = self._embedding
        if spec is None:
            return
        for length in padded_frames(spec):
            frames = np.zeros((length, spec.frames.n_mels), np.float32)
            for size in (1, BATCH_CHUNKS):
                encode(self._artifact.embed, [frames] * size, spec, self._artifact.device)

    def score(self, windows: Sequence[WindowInput]) -> list[Posterior]:
        """Returns one posterior per window, in the order of the windows.

        Frames are (T, n_features), not normalised, 1 <= T <= the longest window.

        Raises:
            NotANumber: the network returned NaN or infinity for one of them.
        """
        frames = [self._length(window) for window in windows]
        for count in frames:
            assert 1 <= count <= self._lengths[-1], count
        self._encode(windows)
        posteriors: dict[int, Posterior] = {}
        order = sorted(range(len(windows)), key=lambda i: frames[i])
        for length, same in groupby(order, key=lambda i: self._padded_length(frames[i])):
            rows = list(same)
            for start in range(0, len(rows), self._batches[-1]):
                batch = rows[start : start + self._batches[-1]]
                scored = self._score_batch([self._input(windows[i]) for i in batch], length)
                posteriors.update(zip(batch, scored, strict=True))
        return [posteriors[i] for i in range(len(windows))]

    def _length(self, window: WindowInput) -> int:
        """Returns a window's frames, or its rows."""
        if isinstance(window, ChunkedInput):
            assert self._embedding is not None
            return window.rows(self._embedding)
        return len(window.frames)

    def _padded_length(self, frames: int) -> int:
        return next(length for length in self._lengths if frames <= length)

    def _encode(self, windows: Sequence[WindowInput]) -> None:
        """Encodes the chunks of the windows that are not encoded yet, all lengths together."""
        if self._embedding is not None:
            chunked = [window for window in windows if isinstance(window, ChunkedInput)]
            encode_waiting(self._artifact.embed, chunked, self._embedding, self._artifact.device)

    def _input(self, window: WindowInput) -> ModelInput:
        """Returns what the network is given of a window, whose chunks are encoded."""
        if isinstance(window, ChunkedInput):
            assert self._embedding is not None
            return window.model_input(self._embedding)
        return window

    def _normalised(self, window: ModelInput) -> Frames:
        """Returns a window's frames less their mean; rows stay as they are."""
        return window.frames if self._embedding else normalise(window.frames, self.meta.features)

    def _score_batch(self, windows: Sequence[ModelInput], length: int) -> list[Posterior]:
        sizes = self._sizes
        size = next(size for size in self._batches if len(windows) <= size)
        frames = np.zeros((size, length, sizes.n_features), np.float32)
        lengths = np.ones(size, np.int64)  # unused rows are one frame of zeros
        functionals = np.zeros((size, sizes.functionals), np.float32)
        baselines = np.zeros_like(functionals)
        utterances = np.zeros(size, np.float32)
        for row, window in enumerate(windows):
            frames[row, : len(window.frames)] = self._normalised(window)
            lengths[row] = len(window.frames)
            functionals[row] = window.functionals
            baselines[row] = window.baseline
            utterances[row] = window.baseline_utterances
        inputs = (frames, lengths, functionals, baselines, utterances)
        with torch.inference_mode():
            emotion, style = self._artifact(
                *(torch.from_numpy(array).to(self._artifact.device) for array in inputs)
            )
        rows = zip(emotion.tolist(), style.tolist(), strict=True)
        posteriors = []
        for _, (emotions, styles) in zip(windows, rows, strict=False):
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
