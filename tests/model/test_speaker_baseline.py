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
from model.speaker_baseline import BASELINE_UTTERANCES, SpeakerBaseline
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
    return log_mel(voice_like(samples, seed=seed), VOICE)


def of_series(heard: Functionals) -> dict[str, Functionals]:
    """Each (series,)."""
    return dict(zip(OF_SERIES, heard[: SERIES * len(OF_SERIES)].reshape(-1, SERIES), strict=True))


def pitch(heard: Functionals) -> dict[str, float]:
    """In octaves."""
    at = SERIES * len(OF_SERIES)
    return dict(zip(PITCH, heard[at : at + len(PITCH)].tolist(), strict=True))


def rhythm(heard: Functionals) -> tuple[float, float, float]:
    """Log of the frames, share of loud ones, rises a second."""
    length, loud, rises = heard[-3:].tolist()
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
def test_there_are_as_many_functionals_as_counted(spec: FeatureSpec, count: int) -> None:
    heard = functionals(log_mel(voice_like(4000), spec), spec)
    assert heard.dtype == np.float32
    assert heard.shape == (functional_count(spec),) == (count,)


def test_functionals_come_in_this_order() -> None:
    """A network is trained on it: each is computed here again, by its name and in its place."""
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
    heard = functionals(speech(), VOICE)
    each = of_series(heard)
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
    assert rhythm(heard) == pytest.approx(
        (np.log(len(frames)), (level > level.max() - 3).mean(), 100 * rises / (len(frames) - 1)),
        rel=1e-4,
    )


@settings(max_examples=60)
@given(pcm=SIGNALS)
def test_functionals_of_whatever_comes_are_finite(pcm: Pcm) -> None:
    for spec in (LEVELS, VOICE):
        heard = functionals(log_mel(pcm, spec), spec)
        assert heard.shape == (functional_count(spec),)
        assert np.isfinite(heard).all()


def test_fewer_than_two_frames_say_nothing() -> None:
    assert not functionals(speech()[:0], VOICE).any()
    assert not functionals(speech()[:1], VOICE).any()
    assert functionals(speech()[:2], VOICE).any()


def test_functionals_are_of_the_frames_wherever_they_lie_in_memory() -> None:
    frames = speech()
    expected = functionals(frames[20:90].copy(), VOICE)
    np.testing.assert_array_equal(functionals(frames[20:90], VOICE), expected)
    np.testing.assert_array_equal(functionals(np.asfortranarray(frames)[20:90], VOICE), expected)


def test_another_level_of_the_line_changes_the_level_and_nothing_else() -> None:
    """In all bands alike: the mean cepstrum, the level's mean and its quantiles."""
    louder = speech()
    louder[:, :40] += 2
    before, after = functionals(speech(), VOICE), functionals(louder, VOICE)
    expected = np.zeros_like(before)
    for name, values in of_series(expected).items():
        if name in ("mean", "10%", "50%", "90%", "loud"):
            values[0] = 2 * np.sqrt(40)  # the first cepstrum is the sum of all bands
            values[LEVEL] = 2
    np.testing.assert_allclose(after - before, expected, rtol=0, atol=2e-3)


def test_a_longer_silence_around_a_voice_leaves_what_is_said_of_its_loud_part() -> None:
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
def test_any_pitch_is_found_as_the_lag_next_to_it(lag: int) -> None:
    found = pitch(functionals(log_mel(harmonics(8000 / (lag + 0.4)), VOICE), VOICE))
    assert lag in pitch_lags_of(VOICE)
    assert found["50%"] == pytest.approx(np.log2(8000 / lag), abs=1e-5)


def test_a_voice_that_goes_up_and_down_has_a_wider_pitch_than_one_that_does_not() -> None:
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


# The caller's own voice.


def test_of_a_caller_who_said_nothing_yet_nothing_is_known() -> None:
    heard = SpeakerBaseline(VOICE).features(speech())
    assert heard.baseline_utterances == 0
    assert not heard.baseline.any()
    assert heard.baseline.shape == heard.functionals.shape == (functional_count(VOICE),)
    np.testing.assert_array_equal(heard.frames, speech())
    np.testing.assert_array_equal(heard.functionals, functionals(speech(), VOICE))


def test_what_is_known_is_the_mean_of_what_was_said() -> None:
    caller = SpeakerBaseline(VOICE)
    said = [speech(seed, samples) for seed, samples in ((1, 9000), (2, 30_000), (3, 12_000))]
    for utterance in said:
        caller.update(utterance)
    heard = caller.features(speech())
    assert heard.baseline_utterances == 3
    mean = np.mean([functionals(utterance, VOICE) for utterance in said], axis=0)
    np.testing.assert_allclose(heard.baseline, mean, rtol=1e-5, atol=1e-5)
    assert heard.baseline.dtype == np.float32


def test_only_the_past_counts() -> None:
    """To hear is not to remember, and what comes later changes nothing of what was heard."""
    caller, other = SpeakerBaseline(VOICE), SpeakerBaseline(VOICE)
    for known in (caller, other):
        known.update(speech(1))
    first = caller.features(speech(2))
    before = first.baseline.copy()
    again = caller.features(speech(2))
    caller.update(speech(3))
    caller.features(speech(4))
    expected = other.features(speech(2))
    for heard in (first, again):
        assert heard.baseline_utterances == expected.baseline_utterances == 1
        np.testing.assert_array_equal(heard.baseline, before)
        np.testing.assert_array_equal(heard.baseline, expected.baseline)
        np.testing.assert_array_equal(heard.functionals, expected.functionals)


def test_less_than_two_frames_are_not_remembered() -> None:
    caller = SpeakerBaseline(VOICE)
    caller.update(speech()[:0])
    caller.update(speech()[:1])
    assert caller.features(speech()).baseline_utterances == 0
    caller.update(speech()[:2])
    assert caller.features(speech()).baseline_utterances == 1


def test_two_callers_know_nothing_of_each_other() -> None:
    one, other = SpeakerBaseline(VOICE), SpeakerBaseline(VOICE)
    one.update(speech(1))
    assert other.features(speech()).baseline_utterances == 0


def test_a_network_that_is_told_nothing_of_a_voice_has_nothing_remembered() -> None:
    caller = SpeakerBaseline(PLAIN)
    caller.update(speech()[:, :40])
    heard = caller.features(speech()[:, :40])
    assert heard.baseline_utterances == 0
    assert heard.functionals.shape == heard.baseline.shape == (0,)


def test_what_comes_after_the_first_utterances_changes_nothing() -> None:
    caller = SpeakerBaseline(VOICE)
    for seed in range(BASELINE_UTTERANCES):
        caller.update(speech(seed))
    known = caller.features(speech(100))
    caller.update(speech(99))
    again = caller.features(speech(100))
    assert again.baseline_utterances == known.baseline_utterances == BASELINE_UTTERANCES
    np.testing.assert_array_equal(again.baseline, known.baseline)
