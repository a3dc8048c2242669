"""Utterances as batches of frames: made into features once, kept on disk, cut anew every epoch."""

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.artifact import DEFAULT_SERVING
from model.audio import Pcm, quantised, resample
from model.features import FeatureSpec, Frames, log_mel, normalise
from model.functionals import Functionals, functional_count, functionals
from model.gate import HOP_S, GateSpec, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from training.data.channel import Channel, MaskSpec, cuts, mask
from training.data.enrolment import EnrolmentKind, TrainingEnrolments, enrolments
from training.data.manifest import Utterance

T = TypeVar("T")

# The gate of systems that hear recordings and serve no calls: nobody asks how far a codec moves it.
PLAIN_GATE = GateSpec(grid_s=HOP_S, noise_rms=0.0)


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


def speech_frames(path: Path, line: Channel, spec: FeatureSpec, gate: GateSpec) -> Frames:
    """The frames (T, channels) between the first and the last speech of a recording.

    A recording in which the gate hears no speech is taken whole: somebody labelled it.
    """
    pcm = line.apply(read_recording(path))
    frames = log_mel(pcm, spec)
    if not len(frames):
        raise RecordingError(f"{path}: {len(pcm)} samples, expected {spec.frame_samples} or more")
    spans = speech_spans(pcm, gate)
    return frames[spans[0][0] : spans[-1][1]] if spans else frames


@dataclass(frozen=True, slots=True)
class Preparation:
    """All that decides an utterance's frames but the line."""

    spec: FeatureSpec
    gate: GateSpec
    cuts: int = 0  # stretches of the utterance beside the whole, as the service might cut it
    least_s: float = DEFAULT_SERVING.first_s  # shortest cut of a longer utterance


@dataclass(frozen=True, slots=True)
class _Made:
    """One utterance over one line."""

    frames: Frames  # (T, channels)
    spans: NDArray[np.int64]  # (1 + cuts, 2) first the whole, at most 7.5 s
    functionals: Functionals  # (1 + cuts, F) of each


def _make(path: Path, line: Channel, making: Preparation) -> _Made:
    frames = speech_frames(path, line, making.spec, making.gate)
    # The same cuts over every line, though a gate may hear a frame more over one of them.
    rng = np.random.default_rng(crc32(path.name.encode()))
    least_frames = round(making.least_s / making.spec.hop_s)
    spans = cuts(len(frames), making.spec.window_frames, least_frames, making.cuts, rng)
    return _Made(frames, spans, np.stack([functionals(frames[a:b], making.spec) for a, b in spans]))


def made_of(
    paths: Sequence[Path], one: Callable[[Path], T], name: str, done: int = 0
) -> Iterator[T]:
    """What `one` makes of each recording but the first `done`, in order, on all cores."""
    pool = ProcessPoolExecutor()
    try:
        made = pool.map(one, paths[done:], chunksize=8)
        yield from tqdm(made, name, len(paths), initial=done, unit="utt", mininterval=1)
    finally:
        pool.shutdown(cancel_futures=True)  # else Ctrl-C waits for all that is left


class FeatureCache:
    """What many utterances are over one line: flat arrays in memory-mapped files."""

    ARRAYS = ("frames", "offsets", "spans", "functionals")

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._frames, self._offsets, self.spans, self.functionals = arrays
        # (sum of T, channels), (N + 1,), (N, 1 + cuts, 2), (N, 1 + cuts, F)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def frames(self, row: int, cut: int = 0, later: int = 0, earlier: int = 0) -> Frames:
        """(T, channels) of one cut of one utterance, not normalised, less some of either end."""
        start, end = self._offsets[row] + self.spans[row, cut]
        return np.asarray(self._frames[start + later : end - earlier], np.float32)

    @classmethod
    def build(
        cls, utterances: Sequence[Utterance], line: Channel, making: Preparation, folder: Path
    ) -> "FeatureCache":
        """Read from `folder`, or made there first: files for each list, line and spec.

        Whoever else wants the same waits until they are made.
        """
        key = hashlib.sha256(
            json.dumps([[str(u.path) for u in utterances], asdict(line), asdict(making)]).encode()
        ).hexdigest()[:16]
        paths = [folder / f"{key}.{name}.npy" for name in cls.ARRAYS]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{key}.lock").open("w") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            if not paths[-1].exists():
                cls._write(utterances, line, making, paths)
        return cls([np.load(path, mmap_mode="r") for path in paths])

    @classmethod
    def _write(
        cls,
        utterances: Sequence[Utterance],
        line: Channel,
        making: Preparation,
        paths: Sequence[Path],
    ) -> None:
        one = partial(_make, line=line, making=making)
        parts = list(made_of([u.path for u in utterances], one, f"features, {line}"))
        spec, cut_count = making.spec, 1 + making.cuts
        arrays: Sequence[NDArray[Any]] = (
            np.concatenate([p.frames for p in parts]) if parts else _nothing(0, spec.n_features),
            np.cumsum([0, *(len(p.frames) for p in parts)]),
            np.array([p.spans for p in parts], np.int64).reshape(len(parts), cut_count, 2),
            np.array([p.functionals for p in parts], np.float32).reshape(
                len(parts), cut_count, functional_count(spec)
            ),
        )
        for path, array in zip(paths, arrays, strict=True):
            unfinished = path.with_suffix(".part.npy")
            np.save(unfinished, array)
            os.replace(unfinished, path)


def _nothing(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some utterances, padded with zeros to the longest."""

    frames: Tensor  # (B, T, channels) normalised
    lengths: Tensor  # (B,) int64
    functionals: Tensor  # (B, F)
    before: Tensor  # (B, F) mean of what the caller said before
    utterances: Tensor  # (B,) float, how many utterances that was
    emotion: Tensor  # (B,) int64
    soft: Tensor  # (B, 4) shares of the annotators' votes; all on the label where unknown
    style: Tensor  # (B,) int64
    rows: NDArray[np.int64]  # (B,) which utterances

    @property
    def heard(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What the network is given, in its order."""
        return self.frames, self.lengths, self.functionals, self.before, self.utterances


@dataclass(frozen=True, slots=True)
class _Example:
    row: int
    frames: Frames  # (T, channels) normalised
    functionals: Functionals  # (F,)
    before: Functionals  # (F,)
    utterances: int


class Dataset:
    """Utterances with their frames over several lines."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        lines: Sequence[Channel],
        making: Preparation,
        cache_folder: Path,
    ) -> None:
        self.utterances = utterances
        self.spec = making.spec
        self.cuts = 1 + making.cuts
        self._caches = [
            FeatureCache.build(utterances, line, making, cache_folder) for line in lines
        ]
        self._pasts = TrainingEnrolments(utterances)
        self.emotion = np.array([EMOTIONS.index(u.emotion) for u in utterances], np.int64)  # (N,)
        self.style = np.array([STYLES.index(u.style) for u in utterances], np.int64)  # (N,)
        hard = np.eye(len(EMOTIONS), dtype=np.float32)[self.emotion]
        self.soft = np.array(
            [h if u.soft is None else u.soft for u, h in zip(utterances, hard, strict=True)],
            np.float32,
        ).reshape(len(utterances), len(EMOTIONS))  # (N, 4)

    def __len__(self) -> int:
        return len(self.utterances)

    def voices(self) -> tuple[Functionals, Functionals]:
        """Over whole utterances: the mean of the functionals (F,), and their spread in a voice."""
        own: dict[tuple[str, str], list[int]] = {}
        for row, utterance in enumerate(self.utterances):
            own.setdefault((utterance.corpus, utterance.voice), []).append(row)
        whole = np.stack([cache.functionals[:, 0] for cache in self._caches])  # (lines, N, F)
        within = np.mean([whole[:, rows].var((0, 1)) for rows in own.values()], axis=0)
        return whole.mean((0, 1)), np.sqrt(within) + np.float32(1e-3)

    def _example(
        self, row: int, line: int, cut: int, past: Sequence[int], later: int = 0, earlier: int = 0
    ) -> _Example:
        cache = self._caches[line]
        before = cache.functionals[list(past), 0]
        return _Example(
            row,
            normalise(cache.frames(row, cut, later, earlier), self.spec),
            cache.functionals[row, cut],
            before.mean(0) if len(past) else np.zeros_like(cache.functionals[row, cut]),
            len(past),
        )

    def _batch(self, examples: Sequence[_Example]) -> Batch:
        rows = np.array([example.row for example in examples])
        lengths = [len(example.frames) for example in examples]
        frames = _nothing(len(rows), max(lengths), self.spec.n_features)
        for padded, example in zip(frames, examples, strict=True):
            padded[: len(example.frames)] = example.frames
        return Batch(
            frames=torch.from_numpy(frames),
            lengths=torch.tensor(lengths),
            functionals=torch.from_numpy(np.stack([e.functionals for e in examples])),
            before=torch.from_numpy(np.stack([e.before for e in examples])),
            utterances=torch.tensor([float(e.utterances) for e in examples]),
            emotion=torch.from_numpy(self.emotion[rows]),
            soft=torch.from_numpy(self.soft[rows]),
            style=torch.from_numpy(self.style[rows]),
            rows=rows,
        )

    def drawn(self, cap_per_speaker_emotion: int) -> int:
        """How many utterances there are in an epoch."""
        groups = Counter((u.corpus, u.voice, u.emotion) for u in self.utterances)
        return sum(min(count, cap_per_speaker_emotion) for count in groups.values())

    def epoch(
        self,
        batch_size: int,
        cap_per_speaker_emotion: int,
        masks: MaskSpec,
        rng: np.random.Generator,
        jitter: int = 0,
        hearings: int = 1,
    ) -> Iterator[Batch]:
        """One epoch's batches, drawn anew: each utterance over a line drawn at random.

        Half of them whole, the others cut, where there are cuts; what the caller said before is
        drawn too. Like lengths come together. Of each voice's utterances of one emotion at most so
        many are drawn, so that no corpus drowns the others. A batch of one is left out: there is
        no batch normalisation of it.

        With more than one hearing every batch has its utterances as often, each time over a line
        drawn anew and masked anew: all of them first, then all of them again. With `jitter` either
        end loses up to so many frames, as a gate may hear speech sooner or later; functionals
        hardly change by that, and stay.
        """
        taken: dict[tuple[str, str, Emotion], int] = {}
        rows = []
        for row in rng.permutation(len(self)).tolist():
            utterance = self.utterances[row]
            group = (utterance.corpus, utterance.voice, utterance.emotion)
            taken[group] = taken.get(group, 0) + 1
            if taken[group] <= cap_per_speaker_emotion:
                rows.append(row)
        drawn = [
            (
                row,
                rng.integers(len(self._caches), size=hearings).tolist(),
                int(rng.integers(1, self.cuts)) if self.cuts > 1 and rng.random() < 0.5 else 0,
                self._pasts.draw(row, rng) if self.spec.functionals else [],
            )
            for row in rows
        ]
        lengths = [np.ptp(self._caches[lines[0]].spans[row, cut]) for row, lines, cut, _ in drawn]
        by_length = np.argsort(lengths, kind="stable")
        batches = [by_length[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        for number in rng.permutation(len(batches)):
            if len(batches[number]) == 1 and len(batches) > 1:
                continue
            examples = []
            for hearing in range(hearings):
                for i in batches[number].tolist():
                    row, lines, cut, past = drawn[i]
                    most = min(jitter, int(lengths[i]) // 10)
                    trims = rng.integers(most + 1, size=2).tolist()
                    examples.append(self._example(row, lines[hearing], cut, past, *trims))
            yield self._batch(
                [replace(e, frames=mask(e.frames, self.spec, masks, rng)) for e in examples]
            )

    def in_order(
        self, batch_size: int, line: int = 0, known: EnrolmentKind = "utterance", seed: int = 0
    ) -> Iterator[Batch]:
        """Every utterance once, its first 7.5 s, over one line; like lengths together."""
        before = enrolments(self.utterances, known if self.spec.functionals else "utterance", seed)
        by_length = np.argsort(np.ptp(self._caches[line].spans[:, 0], axis=1), kind="stable")
        for start in range(0, len(self), batch_size):
            rows = by_length[start : start + batch_size].tolist()
            yield self._batch([self._example(row, line, 0, before[row]) for row in rows])
