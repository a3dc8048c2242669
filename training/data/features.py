"""The features of utterances in one channel: extracted once, kept in memory-mapped files."""

import fcntl
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from model.artifact import DEFAULT_SERVING
from model.features import FeatureSpec, Frames
from model.files import atomic_write
from model.functionals import Functionals, functional_count, functionals
from model.gate import GateSpec
from model.input_sizes import InputSpec
from training.data.augmentation import cuts
from training.data.channel import Channel
from training.data.manifest import Utterance
from training.data.recordings import map_recordings, speech_frames


@dataclass(frozen=True, slots=True)
class Preparation:
    """All that decides an utterance's features, except the channel."""

    spec: InputSpec
    gate: GateSpec
    cuts: int = 0  # spans of the utterance beside the whole, as the service might cut windows
    least_s: float = DEFAULT_SERVING.first_s  # shortest cut of a longer utterance


@dataclass(frozen=True, slots=True)
class _Features:
    """One utterance in one channel."""

    frames: Frames  # (T, n_features)
    spans: NDArray[np.int64]  # (1 + cuts, 2) first the whole, at most 7.5 s
    functionals: Functionals  # (1 + cuts, F) of each span


def _extract(path: Path, channel: Channel, preparation: Preparation) -> _Features:
    spec = preparation.spec
    assert isinstance(spec, FeatureSpec)
    frames = speech_frames(path, channel, spec, preparation.gate)
    # Seeded by the name: the cuts are the same in every channel, although the gate may find a
    # frame more in one of them.
    rng = np.random.default_rng(crc32(path.name.encode()))
    least_frames = round(preparation.least_s / spec.hop_s)
    spans = cuts(len(frames), spec.window_frames, least_frames, preparation.cuts, rng)
    return _Features(frames, spans, np.stack([functionals(frames[a:b], spec) for a, b in spans]))


class FeatureCache:
    """The features of many utterances in one channel: flat arrays in memory-mapped files."""

    ARRAYS = ("frames", "offsets", "spans", "functionals")

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._frames, self._offsets, self.spans, self.functionals = arrays
        # (sum of T, n_features), (N + 1,), (N, 1 + cuts, 2), (N, 1 + cuts, F)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def frames(self, row: int, cut: int = 0, trim_start: int = 0, trim_end: int = 0) -> Frames:
        """Returns one span (T, n_features) of one utterance, not normalised, less the trims."""
        start, end = self._offsets[row] + self.spans[row, cut]
        return np.asarray(self._frames[start + trim_start : end - trim_end], np.float32)

    def functionals_of(self, row: int, cut: int = 0) -> Functionals:
        """Returns the functionals (F,) of one span of one utterance."""
        of_span: Functionals = self.functionals[row, cut]
        return of_span

    @property
    def whole(self) -> NDArray[np.float32]:
        """The functionals (N, F) of whole utterances, at most 7.5 s."""
        of_whole: NDArray[np.float32] = self.functionals[:, 0]
        return of_whole

    @classmethod
    def build(
        cls,
        utterances: Sequence[Utterance],
        channel: Channel,
        preparation: Preparation,
        folder: Path,
    ) -> "FeatureCache":
        """Opens the features in `folder`, and extracts them first if they are missing.

        Every list of utterances, channel and preparation has its own files. A second process that
        needs the same ones is blocked until they are complete.

        Raises:
            RecordingError: an utterance can't be read.
        """
        listed = [[str(u.path) for u in utterances], asdict(channel), asdict(preparation)]
        key = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
        paths = [folder / f"{key}.{name}.npy" for name in cls.ARRAYS]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{key}.lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            if not paths[-1].exists():
                cls._write(utterances, channel, preparation, paths)
        return cls([np.load(path, mmap_mode="r") for path in paths])

    @classmethod
    def _write(
        cls,
        utterances: Sequence[Utterance],
        channel: Channel,
        preparation: Preparation,
        paths: Sequence[Path],
    ) -> None:
        extract = partial(_extract, channel=channel, preparation=preparation)
        name = f"features, {channel}"
        each = list(map_recordings([u.path for u in utterances], extract, name))
        spec, count = preparation.spec, 1 + preparation.cuts
        assert isinstance(spec, FeatureSpec)
        arrays: Sequence[NDArray[Any]] = (
            np.concatenate([one.frames for one in each])
            if each
            else np.zeros((0, spec.n_features), np.float32),
            np.cumsum([0, *(len(one.frames) for one in each)]),
            np.array([one.spans for one in each], np.int64).reshape(len(each), count, 2),
            np.array([one.functionals for one in each], np.float32).reshape(
                len(each), count, functional_count(spec)
            ),
        )
        for path, array in zip(paths, arrays, strict=True):
            with atomic_write(path) as unfinished:
                np.save(unfinished, array)
