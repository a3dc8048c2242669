import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.fft import dct

from model.audio import Pcm
from model.features import FeatureSpec, Frames, log_mel, pitch_lags_of
from model.functionals import (
    CEPSTRA,
    HIGH_BANDS,
    LAG_STEP,
    LOW_BANDS,
    Functionals,
    functional_count,
    functionals,
)
from tests.model.test_features import harmonics, voice_like

PLAIN = FeatureSpec()
LEVELS = FeatureSpec(functionals=True)
VOICE = FeatureSpec(pitch_lags=24, functionals=True)
SERIES = CEPSTRA + 2 + 1 + 8  # cepstra, tilt, level; voicing, every third of 24 lags
LEVEL = CEPSTRA + 1  # its row among the series
OF_SERIES = ("mean", "spread", "10%", "50%", "90%", "change", "unrest", "loud", "loud spread")
PITCH = ("mean", "spread", "jumps", "10%", "50%", "90%")

SIGNALS = st.one_of(
    arrays(np.int16, st.integers(0, 2000)),
    st.builds(np.full, st.integers(0, 2000), st.sampled_from([0, 1, 32767, -32768]), st.just("i2")),
    st.builds(
        lambda seed, samples, level: (
            np.random.default_rng(seed).normal(0, level, samples).clip(-32768, 32767)
        ).astype(np.int16),
        st.integers(0, 99),
        st.sampled_from([200, 280, 360, 5000]),  # 1, 2, 3, 61 frames
        st.sampled_from([0.3, 30, 1000, 1e6]),
    ),
)


def speech(seed: int = 0, samples: int = 20_000) -> Frames:
    """Returns frames (T, n_features) of a voice."""
    return log_mel(voice_like(samples, seed=seed), VOICE)


def of_series(values: Functionals) -> dict[str, Functionals]:
    """Returns the functionals of the series by name, each (series,)."""
    return dict(zip(OF_SERIES, values[: SERIES * len(OF_SERIES)].reshape(-1, SERIES), strict=True))


def pitch(values: Functionals) -> dict[str, float]:
    """Returns the functionals of the pitch by name, in octaves."""
    at = SERIES * len(OF_SERIES)
    return dict(zip(PITCH, values[at : at + len(PITCH)].tolist(), strict=True))


def rhythm(values: Functionals) -> tuple[float, float, float]:
    """Returns the log of the number of frames, the share of loud ones, and rises a second."""
    length, loud, rises = values[-3:].tolist()
    return length, loud, rises


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (PLAIN, 0),
        (FeatureSpec(pitch_lags=24), 0),
        (LEVELS, (CEPSTRA + 2) * 9 + 3),
        (VOICE, SERIES * 9 + 6 + 3),
    ],
)
def test_the_count_is_the_number_of_functionals(spec: FeatureSpec, count: int) -> None:
    found = functionals(log_mel(voice_like(4000), spec), spec)
    assert found.dtype == np.float32
    assert found.shape == (functional_count(spec),) == (count,)


def test_functionals_are_in_this_order() -> None:
    """Networks are trained on this order: each is computed here again by its name and place."""
    frames = speech().astype(float)
    energies, lags = frames[:, :40], frames[:, 40:]
    level = energies.max(axis=1)
    series = np.column_stack(
        (
            dct(energies, axis=1, norm="ortho")[:, :CEPSTRA],
            energies[:, HIGH_BANDS].mean(axis=1) - energies[:, LOW_BANDS].mean(axis=1),
            level,
            lags.max(axis=1),
            lags[:, ::LAG_STEP],
        )
    )
    found = functionals(speech(), VOICE)
    each = of_series(found)
    loud = series[level >= np.quantile(level, 0.3, method="nearest")]
    expected = {
        "mean": series.mean(axis=0),
        "spread": series.std(axis=0),
        "10%": np.quantile(series, 0.1, axis=0, method="nearest"),
        "50%": np.quantile(series, 0.5, axis=0, method="nearest"),
        "90%": np.quantile(series, 0.9, axis=0, method="nearest"),
        "change": np.abs(np.diff(series, axis=0)).mean(axis=0),
        "unrest": np.diff(series, axis=0).std(axis=0),
        "loud": loud.mean(axis=0),
        "loud spread": loud.std(axis=0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(each[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
    above = level > np.quantile(level, 0.5, method="nearest")
    rises = sum(not before and after for before, after in zip(above, above[1:], strict=False))
    assert rhythm(found) == pytest.approx(
        (np.log(len(frames)), (level > level.max() - 3).mean(), 100 * rises / (len(frames) - 1)),
        rel=1e-4,
    )


@settings(max_examples=60)
@given(pcm=SIGNALS)
def test_functionals_of_any_samples_are_finite(pcm: Pcm) -> None:
    for spec in (LEVELS, VOICE):
        found = functionals(log_mel(pcm, spec), spec)
        assert found.shape == (functional_count(spec),)
        assert np.isfinite(found).all()


def test_fewer_than_two_frames_give_zeros() -> None:
    assert not functionals(speech()[:0], VOICE).any()
    assert not functionals(speech()[:1], VOICE).any()
    assert functionals(speech()[:2], VOICE).any()


def test_functionals_do_not_depend_on_the_memory_layout_of_the_frames() -> None:
    frames = speech()
    expected = functionals(frames[20:90].copy(), VOICE)
    np.testing.assert_array_equal(functionals(frames[20:90], VOICE), expected)
    np.testing.assert_array_equal(functionals(np.asfortranarray(frames)[20:90], VOICE), expected)


def test_a_gain_changes_the_level_and_nothing_else() -> None:
    """It adds the same to all bands: to the first cepstrum and to the level."""
    louder = speech()
    louder[:, :40] += 2
    before, after = functionals(speech(), VOICE), functionals(louder, VOICE)
    expected = np.zeros_like(before)
    for name, values in of_series(expected).items():
        if name in ("mean", "10%", "50%", "90%", "loud"):
            values[0] = 2 * np.sqrt(40)  # the first cepstrum is the sum of all bands
            values[LEVEL] = 2
    np.testing.assert_allclose(after - before, expected, rtol=0, atol=2e-3)


def test_a_longer_silence_around_a_voice_hardly_changes_functionals_of_its_loud_frames() -> None:
    pcm = voice_like(8000)
    alone, padded = (
        of_series(functionals(log_mel(np.pad(pcm, (0, silent)), VOICE), VOICE))
        for silent in (0, 1200)
    )
    moved = abs(alone["mean"] - padded["mean"])[LEVEL]
    assert abs(alone["loud"] - padded["loud"])[LEVEL] < moved / 2


@pytest.mark.parametrize("pitch_hz", [120.0, 220.0])
def test_the_pitch_of_a_voice_is_found_within_a_quarter_tone(pitch_hz: float) -> None:
    found = pitch(functionals(log_mel(harmonics(pitch_hz), VOICE), VOICE))
    for name in ("mean", "10%", "50%", "90%"):
        assert found[name] == pytest.approx(np.log2(pitch_hz), abs=1 / 24), name
    assert found["spread"] == pytest.approx(0, abs=1e-6)
    assert found["jumps"] == 0


@pytest.mark.parametrize("lag", [21, 37, 60, 97])
def test_any_pitch_is_found_as_the_nearest_lag(lag: int) -> None:
    found = pitch(functionals(log_mel(harmonics(8000 / (lag + 0.4)), VOICE), VOICE))
    assert lag in pitch_lags_of(VOICE)
    assert found["50%"] == pytest.approx(np.log2(8000 / lag), abs=1e-5)


def test_a_moving_pitch_is_wider_than_a_steady_one() -> None:
    steady = pitch(functionals(log_mel(harmonics(160), VOICE), VOICE))
    lively = np.concatenate([harmonics(hz, 2000) for hz in (130, 200, 140, 220, 150)])
    wide = pitch(functionals(log_mel(lively, VOICE), VOICE))
    assert wide["spread"] > steady["spread"] + 0.1
    assert wide["jumps"] > steady["jumps"]
    assert wide["90%"] - wide["10%"] > 0.3


def test_rises_are_counted_a_second() -> None:
    at_s = np.arange(24_000) / 8000  # 3 s, five bursts in each
    bursts = np.random.default_rng(0).normal(0, 3000, 24_000) * (at_s * 5 % 1 < 0.5)
    _, loud, rises = rhythm(functionals(log_mel(bursts.astype(np.int16), VOICE), VOICE))
    assert rises == pytest.approx(5, abs=0.5)
    assert loud == pytest.approx(0.5, abs=0.1)
