"""Functionals: means, spreads and quantiles of a stretch of speech, as phoneticians measure it.

The set follows Eyben et al. 2016 (GeMAPS). Training and the service compute them with this code.
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
LOUD = 3.0  # largest distance of a loud frame's log energy from the loudest frame's
SHORTEST_FRAMES = 2  # fewer have no functionals

_OF_SERIES = 6 + len(QUANTILES)  # functionals of each series
_OF_PITCH = 3 + len(QUANTILES)
_OF_RHYTHM = 3


def functional_count(spec: FeatureSpec) -> int:
    """Returns F, the number of functionals of a window; 0 if the network is given none."""
    if not spec.functionals:
        return 0
    series = CEPSTRA + 2
    if spec.pitch_lags:
        series += 1 + len(range(0, spec.pitch_lags, LAG_STEP))
    return series * _OF_SERIES + _OF_RHYTHM + (_OF_PITCH if spec.pitch_lags else 0)


def functionals(frames: Frames, spec: FeatureSpec) -> Functionals:
    """Returns the functionals (F,) of frames (T, n_features) that are not normalised.

    They are zeros where there are fewer than SHORTEST_FRAMES frames.
    """
    if not spec.functionals or len(frames) < SHORTEST_FRAMES:
        return np.zeros(functional_count(spec), np.float32)
    features = np.ascontiguousarray(frames.T)  # (n_features, T)
    energies, lags = features[: spec.n_mels], features[spec.n_mels :]
    level = energies.max(0)  # (T,)
    tilt = energies[HIGH_BANDS].mean(0) - energies[LOW_BANDS].mean(0)
    cepstra = dct(energies, axis=0, norm="ortho")[:CEPSTRA]
    rows = [cepstra, tilt[None], level[None]]
    if spec.pitch_lags:
        rows += [lags.max(0)[None], lags[::LAG_STEP]]
    series = np.concatenate(rows)  # (S, T)
    in_order = np.sort(series)
    changes = np.diff(series)
    levels = np.sort(level)
    loud = series[:, level >= _quantile(levels, QUIET_SHARE)]
    of_series = (
        series.mean(1),
        series.std(1),
        *(_quantile(in_order, share) for share in QUANTILES),
        np.abs(changes).mean(1),
        changes.std(1),
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
    """Returns a quantile (...) of values (..., T) that are sorted along the last axis."""
    return in_order[..., round(share * (in_order.shape[-1] - 1))]


def _pitch(lags: NDArray[np.float32], spec: FeatureSpec) -> tuple[float, ...]:
    """Returns six functionals of the pitch, in octaves; `lags` are (pitch_lags, T).

    Only the more voiced half of the frames counts.
    """
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
