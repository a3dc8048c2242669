"""Varies training utterances: cuts of them, and masks over bands and moments (SpecAugment)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import FeatureSpec, Frames
from model.input_sizes import InputSpec


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """How much of the normalised frames is set to zero, their mean (Park et al. 2019)."""

    bands: int = 2  # masks over mel bands
    band_width: int = 6  # at most so many bands each
    times: int = 2  # masks over time
    time_share: float = 0.1  # at most this share of the window each


NO_MASKS = MaskSpec(bands=0, times=0)


def cuts(
    frames: int, longest: int, least: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draws spans (1 + count, 2) of an utterance's frames, each first and end (exclusive).

    The first span is the whole utterance, at most its first `longest` frames; the others start
    anywhere and have `least` to `longest` frames.
    """
    whole = min(frames, longest)
    spans = [(0, whole)]
    for _ in range(count):
        length = int(rng.integers(min(least, whole), whole + 1))
        start = int(rng.integers(frames - length + 1))
        spans.append((start, start + length))
    return np.array(spans)


def mask(frames: Frames, spec: InputSpec, masks: MaskSpec, rng: np.random.Generator) -> Frames:
    """Returns a copy of normalised frames (T, n_features) with some bands and moments at zero."""
    frames = frames.copy()
    count = len(frames)
    bands = spec.n_mels if isinstance(spec, FeatureSpec) else frames.shape[1]
    for _ in range(masks.bands):
        width = int(rng.integers(masks.band_width + 1))
        low = int(rng.integers(bands - width + 1))
        frames[:, low : low + width] = 0.0
    for _ in range(masks.times):
        width = int(rng.integers(int(count * masks.time_share) + 1))
        start = int(rng.integers(count - width + 1))
        frames[start : start + width] = 0.0
    return frames
