"""Small datasets for tests: their settings, and what their epochs were drawn from."""

from collections.abc import Sequence
from functools import cache as cached
from pathlib import Path

import numpy as np

from model.audio import Pcm
from model.features import FeatureSpec, Frames, normalise
from model.functionals import Functionals, functionals
from model.gate import GateSpec
from training.data.augmentation import NO_MASKS, MaskSpec
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.dataset import Batch, Dataset
from training.data.features import FeatureCache, Preparation
from training.data.manifest import Utterance
from training.data.recordings import speech_frames

SPEC = FeatureSpec()
GATE = GateSpec()
PLAIN = Preparation(SPEC, GATE)
CUT = Preparation(FeatureSpec(pitch_lags=6, functionals=True), GATE, cuts=3, least_s=0.2)
PREPARATIONS = {"plain": PLAIN, "cut": CUT}
CHANNELS = (CLEAN, TELEPHONE)


def build(
    utterances: Sequence[Utterance],
    folder: Path,
    channel: Channel = CLEAN,
    preparation: Preparation = CUT,
) -> FeatureCache:
    return FeatureCache.build(utterances, channel, preparation, folder)


def voice(duration_s: float) -> Pcm:
    """Returns harmonics whose pitch, level and formant vary as in speech."""
    at_s = np.arange(round(8000 * duration_s)) / 8000
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * at_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 8000
    formant_hz = 600 + 300 * np.sin(2 * np.pi * 1.3 * at_s)
    wave = sum(
        (0.1 + np.exp(-(((k * pitch_hz - formant_hz) / 250) ** 2))) * np.sin(k * phase)
        for k in range(1, 20)
    )
    return np.round(3000 * wave * (0.1 + np.abs(np.sin(2 * np.pi * 2 * at_s)))).astype(np.int16)


def epoch(
    data: Dataset,
    seed: int,
    cap: int = 1000,
    masks: MaskSpec = NO_MASKS,
    jitter: int = 0,
    views: int = 1,
) -> list[Batch]:
    return list(data.epoch(8, cap, masks, np.random.default_rng(seed), jitter, views))


def rows_of(batches: list[Batch]) -> list[int]:
    return [int(row) for batch in batches for row in batch.rows]


@cached
def fresh(path: Path, channel: Channel, spec: FeatureSpec) -> Frames:
    return speech_frames(path, channel, spec, GATE)


def whole_functionals(utterance: Utterance, channel: Channel, spec: FeatureSpec) -> Functionals:
    return functionals(fresh(utterance.path, channel, spec)[: spec.window_frames], spec)


DrawnExample = tuple[Channel, int]  # the channel and the cut that were drawn


def drawn_examples(
    batches: list[Batch], data: Dataset, cache: Path, preparation: Preparation
) -> list[list[DrawnExample]]:
    """Finds the channel and the cut of each utterance of each batch, by its frames."""
    spans = {
        channel: build(data.utterances, cache, channel, preparation).spans for channel in CHANNELS
    }

    def find(row: int, frames: Frames) -> DrawnExample:
        (found,) = {
            channel: cut
            for channel in CHANNELS
            for cut, (start, end) in reversed(list(enumerate(spans[channel][row])))
            if end - start == len(frames)
            for part in [fresh(data.utterances[row].path, channel, preparation.spec)[start:end]]
            if np.array_equal(frames, normalise(part, preparation.spec))
        }.items()
        return found

    return [
        [
            find(row, frames[:length])
            for row, frames, length in zip(b.rows, b.frames.numpy(), b.lengths, strict=True)
        ]
        for b in batches
    ]
