"""Utterances as batches of frames: made into features once, kept on disk, cut anew every epoch."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.audio import Pcm, quantised, resample
from model.features import FeatureSpec, Frames, log_mel, normalise
from model.gate import GateSpec, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from training.augment import Line, MaskSpec, heard
from training.manifest import Utterance


class RecordingError(ValueError):
    """A recording can't be read or holds nothing; the message says which and why."""


def read_recording(path: Path) -> Pcm:
    """A mono recording as int16 (n,) at 8 kHz.

    Raises:
        RecordingError: unreadable, empty or not mono.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RecordingError(f"{path}: {error}") from error
    if samples.shape[1] != 1 or not len(samples):
        got = f"shape {samples.shape}"
        raise RecordingError(f"{path}: {got}, expected one channel and some samples")
    return resample(quantised(samples[:, 0]), rate)


def speech_frames(path: Path, line: Line, spec: FeatureSpec, gate: GateSpec) -> Frames:
    """The frames (T, n_mels) between the first and the last speech of a recording.

    A recording in which the gate hears no speech is taken whole: somebody labelled it.
    """
    pcm = line.apply(read_recording(path))
    frames = log_mel(pcm, spec)
    if not len(frames):
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {spec.frame_samples} or more")
    spans = speech_spans(pcm, gate)
    return frames[spans[0][0] : spans[-1][1]] if spans else frames


class FeatureCache:
    """The frames of many utterances over one line: one flat array in a memory-mapped file."""

    def __init__(self, frames: NDArray[np.float32], offsets: NDArray[np.int64]) -> None:
        self._frames = frames  # (sum of T, n_mels)
        self._offsets = offsets  # (N + 1,)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> Frames:
        return np.asarray(self._frames[self._offsets[index] : self._offsets[index + 1]])

    @classmethod
    def build(
        cls,
        utterances: Sequence[Utterance],
        line: Line,
        spec: FeatureSpec,
        gate: GateSpec,
        folder: Path,
    ) -> "FeatureCache":
        """Read from `folder`, or made there first: one file for each list, line and spec."""
        key = hashlib.sha256(
            json.dumps(
                [[str(u.path) for u in utterances], asdict(line), asdict(spec), asdict(gate)]
            ).encode()
        ).hexdigest()[:16]
        path = folder / f"{key}.npy"
        offsets_path = folder / f"{key}.offsets.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            one = partial(speech_frames, line=line, spec=spec, gate=gate)
            name = f"features, speed {line.speed}, {'mu-law' if line.mulaw else 'linear'}"
            with ProcessPoolExecutor() as pool:
                made = pool.map(one, [u.path for u in utterances], chunksize=32)
                parts = list(tqdm(made, name, len(utterances), unit="utt", mininterval=1))
            offsets = np.cumsum([0, *map(len, parts)])
            for target, array in ((offsets_path, offsets), (path, np.concatenate(parts))):
                unfinished = target.with_suffix(".part.npy")
                np.save(unfinished, array)
                os.replace(unfinished, target)
        return cls(np.load(path, mmap_mode="r"), np.load(offsets_path))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some utterances, padded with zeros to the longest."""

    frames: Tensor  # (B, T, n_mels) normalised
    lengths: Tensor  # (B,) int64
    emotion: Tensor  # (B,) int64
    style: Tensor  # (B,) int64
    rows: NDArray[np.int64]  # (B,) which utterances


class Dataset:
    """Utterances with their frames over several lines."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        lines: Sequence[Line],
        spec: FeatureSpec,
        gate: GateSpec,
        cache_folder: Path,
    ) -> None:
        self.utterances = utterances
        self.spec = spec
        self._caches = [
            FeatureCache.build(utterances, line, spec, gate, cache_folder) for line in lines
        ]
        self.emotion = np.array([EMOTIONS.index(u.emotion) for u in utterances])  # (N,)
        self.style = np.array([STYLES.index(u.style) for u in utterances])  # (N,)

    def __len__(self) -> int:
        return len(self.utterances)

    def _batch(self, rows: Sequence[int], windows: Sequence[Frames]) -> Batch:
        lengths = [len(window) for window in windows]
        frames = np.zeros((len(rows), max(lengths), self.spec.n_mels), np.float32)
        for row, window in zip(frames, windows, strict=True):
            row[: len(window)] = window
        return Batch(
            frames=torch.from_numpy(frames),
            lengths=torch.tensor(lengths),
            emotion=torch.from_numpy(self.emotion[list(rows)]),
            style=torch.from_numpy(self.style[list(rows)]),
            rows=np.array(rows),
        )

    def epoch(
        self,
        batch_size: int,
        least_frames: int,
        cap_per_speaker_emotion: int,
        masks: MaskSpec,
        rng: np.random.Generator,
    ) -> list[Batch]:
        """One epoch's batches, cut anew: each over a line drawn at random, like lengths together.

        Of each speaker's utterances of one emotion at most so many are drawn, so that no corpus
        drowns the others.
        """
        order = rng.permutation(len(self))
        taken: dict[tuple[str, str, Emotion], int] = {}
        rows = []
        for row in order.tolist():
            utterance = self.utterances[row]
            group = (utterance.corpus, utterance.speaker, utterance.emotion)
            taken[group] = taken.get(group, 0) + 1
            if taken[group] <= cap_per_speaker_emotion:
                rows.append(row)
        windows = [
            heard(
                self._caches[int(rng.integers(len(self._caches)))][row],
                self.spec,
                masks,
                least_frames,
                rng,
            )
            for row in rows
        ]
        by_length = sorted(range(len(rows)), key=lambda i: len(windows[i]))
        batches = [by_length[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        return [
            self._batch([rows[i] for i in batches[b]], [windows[i] for i in batches[b]])
            for b in rng.permutation(len(batches))
        ]

    def in_order(self, batch_size: int, line: int = 0) -> Iterator[Batch]:
        """Every utterance once, its first 7.5 s, over one line; like lengths together."""
        windows = [
            normalise(self._caches[line][row][: self.spec.window_frames], self.spec)
            for row in range(len(self))
        ]
        by_length = sorted(range(len(self)), key=lambda row: len(windows[row]))
        for start in range(0, len(self), batch_size):
            rows = by_length[start : start + batch_size]
            yield self._batch(rows, [windows[row] for row in rows])
