"""Functionals: means, spreads and quantiles of a stretch of speech, as phoneticians measure it.

The set follows Eyben et al. 2016 (GeMAPS). Training and service compute them with this code.
"""

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
