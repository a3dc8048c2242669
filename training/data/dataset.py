"""Utterances as batches: an epoch draws them anew with channels, cuts, masks and enrolments."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.features import FeatureSpec, Frames, normalise
from model.functionals import Functionals
from model.input_sizes import input_sizes
from model.labels import EMOTIONS, STYLES, Emotion
from training.data.augmentation import MaskSpec, mask
from training.data.channel import Channel
from training.data.embeddings import EmbeddingCache
from training.data.enrolment import EnrolmentKind, TrainingEnrolments, enrolments
from training.data.features import FeatureCache, Preparation
from training.data.manifest import Utterance, rows_by_voice


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which speech an example is, and what is known of its voice."""

    row: int
    channel: int = 0
    cut: int = 0  # 0: the whole utterance
    enrolment: Sequence[int] = ()  # rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Some utterances, padded with zeros to the longest."""

    frames: Tensor  # (B, T, n_features) normalised
    lengths: Tensor  # (B,) int64
    functionals: Tensor  # (B, F)
    baseline: Tensor  # (B, F) mean functionals of the enrolment; zeros without one
    baseline_utterances: Tensor  # (B,) float, size of the enrolment
    emotion: Tensor  # (B,) int64
    soft: Tensor  # (B, 4) shares of the annotators' votes; all on the label where unknown
    style: Tensor  # (B,) int64
    drawn: Sequence[Drawn]  # (B,) what was drawn of the dataset

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows (B,) of the dataset."""
        return np.array([one.row for one in self.drawn])

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The arguments of the network's forward pass, in its order."""
        return (
            self.frames,
            self.lengths,
            self.functionals,
            self.baseline,
            self.baseline_utterances,
        )


@dataclass(frozen=True, slots=True)
class _Example:
    drawn: Drawn
    frames: Frames  # (T, n_features) normalised
    functionals: Functionals  # (F,)
    baseline: Functionals  # (F,)


class Dataset:
    """Utterances with their features in several channels."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        channels: Sequence[Channel],
        preparation: Preparation,
        cache_folder: Path,
        encoder: Path | None = None,
    ) -> None:
        """Extracts the features first, unless they are in the cache.

        Args:
            encoder: file of the encoder, of an `EmbeddingSpec`.

        Raises:
            EncoderFileError: utterances must be encoded, and no encoder is given, or another one.
            RecordingError: an utterance can't be read.
        """
        self.utterances = utterances
        self.spec = preparation.spec
        self.cuts = 1 + preparation.cuts
        self.sizes = input_sizes(preparation.spec)
        self._caches: list[FeatureCache | EmbeddingCache] = [
            FeatureCache.build(utterances, channel, preparation, cache_folder)
            if isinstance(preparation.spec, FeatureSpec)
            else EmbeddingCache.build(utterances, channel, preparation, cache_folder, encoder)
            for channel in channels
        ]
        self._enrolments = TrainingEnrolments(utterances)
        self.emotion = np.array([EMOTIONS.index(u.emotion) for u in utterances], np.int64)  # (N,)
        self.style = np.array([STYLES.index(u.style) for u in utterances], np.int64)  # (N,)
        hard = np.eye(len(EMOTIONS), dtype=np.float32)[self.emotion]
        self.soft = np.array(
            [h if u.soft is None else u.soft for u, h in zip(utterances, hard, strict=True)],
            np.float32,
        ).reshape(len(utterances), len(EMOTIONS))  # (N, 4)

    def __len__(self) -> int:
        return len(self.utterances)

    def voice_statistics(self) -> tuple[Functionals, Functionals]:
        """Returns the mean (F,) of the functionals and their spread (F,) within a voice.

        Both are taken over whole utterances in all channels.
        """
        own = rows_by_voice(self.utterances).values()
        whole = self.functionals()
        within = np.mean([whole[:, rows].var((0, 1)) for rows in own], axis=0)
        return whole.mean((0, 1)), np.sqrt(within) + np.float32(1e-3)

    def functionals(self) -> NDArray[np.float32]:
        """Returns the functionals (channels, N, F) of whole utterances."""
        return np.stack([cache.whole for cache in self._caches])

    def some_frames(self, count: int, rng: np.random.Generator) -> Frames:
        """Returns about `count` frames (n, n_features) of utterances and channels drawn at random.

        At least one utterance's frames are returned, and those of no utterance twice.
        """
        drawn: list[Frames] = []
        for row in rng.permutation(len(self)).tolist():
            cache = self._caches[rng.integers(len(self._caches))]
            drawn.append(self._normalised(cache.frames(row)))
            if sum(map(len, drawn)) >= count:
                break
        return np.concatenate(drawn)

    def epoch_size(self, cap_per_speaker_emotion: int) -> int:
        """Returns how many utterances an epoch has."""
        groups = Counter((u.corpus, u.voice, u.emotion) for u in self.utterances)
        return sum(min(count, cap_per_speaker_emotion) for count in groups.values())

    def epoch(
        self,
        batch_size: int,
        cap_per_speaker_emotion: int,
        masks: MaskSpec,
        rng: np.random.Generator,
        jitter: int = 0,
        views: int = 1,
    ) -> Iterator[Batch]:
        """Yields one epoch's batches, each utterance in a channel drawn at random.

        If there are cuts, half of the utterances are cut. Enrolments are drawn too. A batch holds
        utterances of similar length; batches come in random order, and a batch of one utterance is
        left out unless it is the only one, because batch normalisation needs two.

        Args:
            cap_per_speaker_emotion: at most so many utterances of each voice and emotion are drawn,
                so that no corpus dominates.
            jitter: either end of an utterance loses up to so many frames, because a gate may find
                speech earlier or later. Functionals hardly change by that and are kept.
            views: so many times every batch has its utterances, first all of them once, then all
                of them again, each time in a channel and with masks drawn anew.
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
                rng.integers(len(self._caches), size=views).tolist(),
                int(rng.integers(1, self.cuts)) if self.cuts > 1 and rng.random() < 0.5 else 0,
                self._enrolments.draw(row, rng) if self.sizes.functionals else [],
            )
            for row in rows
        ]
        lengths = [
            np.ptp(self._caches[channels[0]].spans[row, cut]) for row, channels, cut, _ in drawn
        ]
        by_length = np.argsort(lengths, kind="stable")
        batches = [by_length[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        for number in rng.permutation(len(batches)):
            if len(batches[number]) == 1 and len(batches) > 1:
                continue
            examples = []
            for view in range(views):
                for i in batches[number].tolist():
                    row, channels, cut, enrolment = drawn[i]
                    most = min(jitter, int(lengths[i]) // 10)
                    trims = rng.integers(most + 1, size=2).tolist()
                    one = Drawn(row, channels[view], cut, enrolment)
                    examples.append(self._example(one, *trims))
            yield self._batch(
                [replace(e, frames=mask(e.frames, self.spec, masks, rng)) for e in examples]
            )

    def in_order(
        self,
        batch_size: int,
        channel: int = 0,
        enrolment: EnrolmentKind = "utterance",
        seed: int = 0,
    ) -> Iterator[Batch]:
        """Yields every utterance once, its first 7.5 s in one channel, shortest first."""
        kind = enrolment if self.sizes.functionals else "utterance"
        enrolled = enrolments(self.utterances, kind, seed)
        by_length = np.argsort(np.ptp(self._caches[channel].spans[:, 0], axis=1), kind="stable")
        for start in range(0, len(self), batch_size):
            rows = by_length[start : start + batch_size].tolist()
            yield self.batch_of([Drawn(row, channel, 0, enrolled[row]) for row in rows])

    def batch_of(self, drawn: Sequence[Drawn]) -> Batch:
        """Returns these examples as one batch, with nothing masked or trimmed."""
        return self._batch([self._example(one) for one in drawn])

    def _example(self, drawn: Drawn, trim_start: int = 0, trim_end: int = 0) -> _Example:
        cache = self._caches[drawn.channel]
        own = cache.functionals_of(drawn.row, drawn.cut)
        enrolment = list(drawn.enrolment)
        return _Example(
            drawn,
            self._normalised(cache.frames(drawn.row, drawn.cut, trim_start, trim_end)),
            own,
            cache.whole[enrolment].mean(0) if enrolment else np.zeros_like(own),
        )

    def _normalised(self, frames: Frames) -> Frames:
        """Returns frames as the network is given them; it has its own measure of embeddings."""
        return normalise(frames, self.spec) if isinstance(self.spec, FeatureSpec) else frames

    def _batch(self, examples: Sequence[_Example]) -> Batch:
        drawn = [example.drawn for example in examples]
        rows = np.array([one.row for one in drawn])
        lengths = [len(example.frames) for example in examples]
        frames = np.zeros((len(rows), max(lengths), self.sizes.n_features), np.float32)
        for padded, example in zip(frames, examples, strict=True):
            padded[: len(example.frames)] = example.frames
        return Batch(
            frames=torch.from_numpy(frames),
            lengths=torch.tensor(lengths),
            functionals=torch.from_numpy(np.stack([e.functionals for e in examples])),
            baseline=torch.from_numpy(np.stack([e.baseline for e in examples])),
            baseline_utterances=torch.tensor([float(len(one.enrolment)) for one in drawn]),
            emotion=torch.from_numpy(self.emotion[rows]),
            soft=torch.from_numpy(self.soft[rows]),
            style=torch.from_numpy(self.style[rows]),
            drawn=drawn,
        )
