"""What training varies: how a recording comes over the line, and which part of it is heard."""

from dataclasses import dataclass

import numpy as np
import soxr

from model.audio import SAMPLE_RATE, Pcm, mulaw_decode, mulaw_encode
from model.features import FeatureSpec, Frames, normalise


@dataclass(frozen=True, slots=True)
class Line:
    """One way a recording reaches the service."""

    speed: float = 1.0
    mulaw: bool = False

    def apply(self, pcm: Pcm) -> Pcm:
        """int16 (n,) at 8 kHz to int16 (n / speed,)."""
        if self.speed != 1.0:
            pcm = soxr.resample(pcm, SAMPLE_RATE * self.speed, SAMPLE_RATE)
        return mulaw_decode(mulaw_encode(pcm)) if self.mulaw else pcm


CLEAN = Line()
TELEPHONE = Line(mulaw=True)
TRAINING_LINES = (CLEAN, TELEPHONE, Line(0.9, mulaw=True), Line(1.1, mulaw=True))


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """SpecAugment (Park et al. 2019) on normalised frames: how much is put to zero, the mean."""

    bands: int = 2  # masks over mel bands
    band_width: int = 6  # at most so many bands each
    times: int = 2  # masks over time
    time_share: float = 0.1  # at most this share of the window each


def crop(frames: Frames, spec: FeatureSpec, least_frames: int, rng: np.random.Generator) -> Frames:
    """A stretch of the utterance as the service might cut it: half the time whole, else a part."""
    longest = min(len(frames), spec.window_frames)
    if len(frames) <= least_frames or (len(frames) == longest and rng.random() < 0.5):
        return frames[:longest]
    length = int(rng.integers(min(least_frames, longest), longest + 1))
    start = int(rng.integers(len(frames) - length + 1))
    return frames[start : start + length]


def mask(frames: Frames, masks: MaskSpec, rng: np.random.Generator) -> Frames:
    """Normalised frames (T, n_mels) with some bands and some moments put to their mean."""
    frames = frames.copy()
    count, bands = frames.shape
    for _ in range(masks.bands):
        width = int(rng.integers(masks.band_width + 1))
        low = int(rng.integers(bands - width + 1))
        frames[:, low : low + width] = 0.0
    for _ in range(masks.times):
        width = int(rng.integers(int(count * masks.time_share) + 1))
        start = int(rng.integers(count - width + 1))
        frames[start : start + width] = 0.0
    return frames


def heard(
    frames: Frames,
    spec: FeatureSpec,
    masks: MaskSpec,
    least_frames: int,
    rng: np.random.Generator,
) -> Frames:
    """One training example of an utterance's frames: cropped, normalised, masked."""
    return mask(normalise(crop(frames, spec, least_frames, rng), spec), masks, rng)
