"""How a voice is used: functionals of a stretch of speech, and the caller's own from before.

A sequence of frames tells a network with little to learn from too much; what phoneticians measure
of an utterance, means, spreads and quantiles of cepstra, level and pitch (Eyben et al. 2016), tells
it the essence. Anger is how far a voice is from its own baseline, and a call gives that baseline:
the mean functionals of what the caller said before. They are computed here, for training and
service alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from model.features import FeatureSpec, Frames, pitch_lags_of

Functionals = NDArray[np.float32]  # (F,)

CEPSTRA = 20
LOW_BANDS, HIGH_BANDS = slice(5, 15), slice(25, 40)  # about 250 to 900 Hz, 1.9 to 4 kHz
LAG_STEP = 3  # every third autocorrelation is enough
QUANTILES = (0.1, 0.5, 0.9)
QUIET_SHARE = 0.3  # of the frames, not counted among the loud ones
LOUD = 3.0  # within so much of the loudest frame's log energy
SHORTEST_FRAMES = 2  # of which there can be functionals
REMEMBERED = 8  # utterances at the beginning of a call, before which few are angry

_OF_SERIES = 6 + len(QUANTILES)  # functionals of each series
_OF_PITCH = 3 + len(QUANTILES)
_OF_RHYTHM = 3


def functional_count(spec: FeatureSpec) -> int:
    """F: 0 where the network is told none."""
    if not spec.functionals:
        return 0
    series = CEPSTRA + 2
    if spec.pitch_lags:
        series += 1 + len(range(0, spec.pitch_lags, LAG_STEP))
    return series * _OF_SERIES + _OF_RHYTHM + (_OF_PITCH if spec.pitch_lags else 0)


def functionals(frames: Frames, spec: FeatureSpec) -> Functionals:
    """(F,) of frames (T, channels), not normalised; fewer than two frames say nothing: zeros."""
    if not spec.functionals or len(frames) < SHORTEST_FRAMES:
        return np.zeros(functional_count(spec), np.float32)
    channels = np.ascontiguousarray(frames.T)  # (channels, T)
    energies, lags = channels[: spec.n_mels], channels[spec.n_mels :]
    level = energies.max(0)  # (T,)
    tilt = energies[HIGH_BANDS].mean(0) - energies[LOW_BANDS].mean(0)
    cepstra = dct(energies, axis=0, norm="ortho")[:CEPSTRA]
    rows = [cepstra, tilt[None], level[None]]
    if spec.pitch_lags:
        rows += [lags.max(0)[None], lags[::LAG_STEP]]
    series = np.concatenate(rows)  # (S, T)
    in_order = np.sort(series)
    moved = np.diff(series)
    levels = np.sort(level)
    loud = series[:, level >= _quantile(levels, QUIET_SHARE)]
    of_series = (
        series.mean(1),
        series.std(1),
        *(_quantile(in_order, share) for share in QUANTILES),
        np.abs(moved).mean(1),
        moved.std(1),
        loud.mean(1),
        loud.std(1),
    )
    above = level > _quantile(levels, 0.5)
    rhythm = (
        np.log(len(frames)),
        np.mean(level > levels[-1] - LOUD),
        100 * np.mean(above[1:] & ~above[:-1]),  # rises a second
    )
    pitch = _pitch(lags, spec) if spec.pitch_lags else ()
    return np.concatenate((*of_series, pitch, rhythm)).astype(np.float32)


def _quantile(in_order: NDArray[Any], share: float) -> Any:
    """(..., T), sorted along the last axis, to (...)."""
    return in_order[..., round(share * (in_order.shape[-1] - 1))]


def _pitch(lags: NDArray[np.float32], spec: FeatureSpec) -> tuple[float, ...]:
    """Six in octaves, of the more voiced half of the frames; lags are (pitch_lags, T)."""
    voicing = lags.max(0)
    voiced = voicing >= _quantile(np.sort(voicing), 0.5)
    octaves = np.log2(spec.sample_rate / pitch_lags_of(spec))[lags.argmax(0)[voiced]]
    in_order = np.sort(octaves)
    return (
        octaves.mean(),
        octaves.std(),
        np.abs(np.diff(octaves)).mean(),
        *(_quantile(in_order, share) for share in QUANTILES),
    )


@dataclass(frozen=True, slots=True)
class Heard:
    """All that the network is given of one window."""

    frames: Frames  # (T, channels), not normalised
    functionals: Functionals  # (F,) of these frames
    before: Functionals  # (F,) mean of those of what the caller said before; zeros if nothing
    utterances: int  # how many that was


class Caller:
    """One caller's own voice: the mean functionals of the first utterances of a call.

    Only the past counts, and no label is needed. The baseline stays when there are enough of them,
    so that anger that lasts doesn't become the measure of itself. Nothing of what was said can be
    had back from it.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._sum = np.zeros(functional_count(spec))
        self._utterances = 0

    def hear(self, frames: Frames) -> Heard:
        """A window (T, channels) against what was said before it."""
        before = (self._sum / max(1, self._utterances)).astype(np.float32)
        return Heard(frames, functionals(frames, self._spec), before, self._utterances)

    def remember(self, frames: Frames) -> None:
        """An utterance (T, channels) is over, and part of the past from now on."""
        if not self._spec.functionals or self._utterances == REMEMBERED:
            return
        if len(frames) >= SHORTEST_FRAMES:
            self._sum += functionals(frames, self._spec)
            self._utterances += 1
