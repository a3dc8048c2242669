from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from python_speech_features import logfbank

from model.audio import Pcm
from model.features import (
    PITCH_SCALE,
    FeatureSpec,
    Frames,
    LogMelStream,
    log_mel,
    normalise,
    pitch_lags_of,
)
from tests.g711 import alaw, mulaw

SPEC = FeatureSpec()
PITCHED = FeatureSpec(pitch_lags=24)
MASKED = FeatureSpec(pitch_lags=24, log_floor=7.0, masking_db=25.0)
all_specs = pytest.mark.parametrize(
    "spec", [SPEC, PITCHED, MASKED], ids=["energies", "with pitch", "masked"]
)

SIGNALS = st.one_of(
    arrays(np.int16, st.integers(0, 3000)),
    st.builds(
        lambda seed, samples, level: (
            np.random.default_rng(seed).normal(0, level, samples).clip(-32768, 32767)
        ).astype(np.int16),
        st.integers(0, 99),
        st.integers(0, 6000),
        st.sampled_from([0, 1, 30, 1000, 30000]),
    ),
)


def voice_like(samples: int, level: float = 4000, seed: int = 0, breath: float = 0.05) -> Pcm:
    """Returns harmonics of a gliding pitch, up to 3 kHz, with an envelope and a little noise."""
    at_s = np.arange(samples) / SPEC.sample_rate
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * at_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SPEC.sample_rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 20))
    wave *= 0.2 + 0.8 * np.abs(np.sin(2 * np.pi * 2 * at_s))
    noise = np.random.default_rng(seed).normal(0, breath, samples)
    return np.round(level * (wave / 3 + noise)).clip(-32768, 32767).astype(np.int16)


def by_the_library(pcm: Pcm, spec: FeatureSpec) -> Frames:
    """Returns the library's full frames: it also pads the last one, which is left out."""
    energies = logfbank(
        pcm,
        spec.sample_rate,
        winlen=spec.frame_samples / spec.sample_rate,
        winstep=spec.hop_samples / spec.sample_rate,
        nfilt=spec.n_mels,
        nfft=spec.n_fft,
        lowfreq=spec.low_hz,
        highfreq=spec.high_hz,
        preemph=spec.preemphasis,
    )
    return np.maximum(energies[: spec.frames_in(len(pcm))], spec.log_floor)


@all_specs
@given(
    pcm=SIGNALS, cuts=st.lists(st.floats(0, 1), max_size=30), flushes=st.sets(st.integers(0, 30))
)
def test_a_stream_in_any_chunks_equals_the_whole_bit_for_bit(
    spec: FeatureSpec, pcm: Pcm, cuts: list[float], flushes: set[int]
) -> None:
    stream = LogMelStream(spec)
    frames = []
    for number, piece in enumerate(np.split(pcm, sorted(round(cut * len(pcm)) for cut in cuts))):
        frames.append(stream.feed(piece))
        if number in flushes:
            frames.append(stream.flush())
    frames.append(stream.flush())
    whole = log_mel(pcm, spec)
    assert whole.dtype == np.float32
    assert whole.shape == (spec.frames_in(len(pcm)), spec.n_features)
    np.testing.assert_array_equal(np.concatenate(frames), whole)


@all_specs
@pytest.mark.parametrize("chunk", [1, 79, 80, 160, 200, 1000])
def test_a_stream_in_packets_equals_the_recording(spec: FeatureSpec, chunk: int) -> None:
    pcm = voice_like(9000)
    stream = LogMelStream(spec)
    frames = [stream.feed(pcm[at : at + chunk]) for at in range(0, len(pcm), chunk)]
    np.testing.assert_array_equal(np.concatenate((*frames, stream.flush())), log_mel(pcm, spec))


def test_frames_are_returned_by_blocks_and_all_of_them_by_a_flush() -> None:
    stream = LogMelStream(SPEC)
    samples = voice_like(SPEC.frame_samples + 9 * SPEC.hop_samples)  # ten frames
    assert len(stream.feed(samples[:-1])) == 0
    assert len(stream.flush()) == LogMelStream.BLOCK_FRAMES - 1
    assert len(stream.flush()) == 0
    assert len(stream.feed(samples[-1:])) == 0
    assert len(stream.flush()) == 1
    assert len(LogMelStream(SPEC).feed(samples)) == LogMelStream.BLOCK_FRAMES


@pytest.mark.parametrize(
    "pcm",
    [
        voice_like(20_000),
        voice_like(20_000, level=100),
        mulaw(voice_like(20_000)),
        np.random.default_rng(0).normal(0, 3000, 8_000).astype(np.int16),
        np.random.default_rng(1).integers(-32768, 32768, 8_000).astype(np.int16),
        np.concatenate((np.zeros(900, np.int16), voice_like(1_500), np.zeros(900, np.int16))),
    ],
    ids=["voice", "quiet voice", "voice over mu-law", "noise", "full-scale noise", "in silence"],
)
def test_frames_equal_those_of_python_speech_features(pcm: Pcm) -> None:
    np.testing.assert_allclose(log_mel(pcm, SPEC), by_the_library(pcm, SPEC), rtol=0, atol=1e-4)


@given(st.integers(0, 100_000))
def test_only_full_frames_count(samples: int) -> None:
    expected = len(range(0, samples - SPEC.frame_samples + 1, SPEC.hop_samples))
    assert SPEC.frames_in(samples) == expected


def test_seven_and_a_half_seconds_are_748_frames() -> None:
    assert SPEC.frames_in(60_000) == SPEC.window_frames == 748
    assert log_mel(voice_like(60_000), SPEC).shape == (748, 40)


@all_specs
@pytest.mark.parametrize("samples", [0, 1, 199])
def test_samples_shorter_than_a_frame_give_none(spec: FeatureSpec, samples: int) -> None:
    assert log_mel(voice_like(samples), spec).shape == (0, spec.n_features)


def test_digital_silence_gives_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(8000, np.int16), SPEC), SPEC.log_floor, rtol=1e-6)


def test_nothing_is_below_the_floor() -> None:
    quiet = np.random.default_rng(0).integers(-1, 2, 8000).astype(np.int16)
    floor = np.float32(SPEC.log_floor)
    assert log_mel(quiet, SPEC).min() >= np.nextafter(floor, np.float32(0))


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0])
def test_normalised_frames_do_not_depend_on_the_level(gain: float) -> None:
    pcm = np.random.default_rng(0).normal(0, 4000, 16_000)
    loud, soft = (log_mel(np.round(pcm * g).astype(np.int16), SPEC) for g in (1.0, gain))
    assert min(loud.min(), soft.min()) > SPEC.log_floor  # nothing is cut off
    assert np.abs(loud - soft).max() > 1
    np.testing.assert_allclose(normalise(soft, SPEC), normalise(loud, SPEC), atol=0.05)


@all_specs
def test_normalised_features_have_a_mean_of_zero(spec: FeatureSpec) -> None:
    normalised = normalise(log_mel(voice_like(20_000), spec), spec)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize(
    ("samples", "found"),
    [(np.zeros(400, np.float32), "float32"), (np.zeros((400, 1), np.int16), r"\(400, 1\)")],
)
def test_anything_but_int16_samples_of_one_speaker_is_refused(samples: Pcm, found: str) -> None:
    with pytest.raises(TypeError, match=rf"{found}.*expected int16 \(n,\)"):
        LogMelStream(SPEC).feed(samples)


def test_another_spec_gives_other_frames() -> None:
    pcm = voice_like(4000)
    wide = FeatureSpec(n_mels=20, hop_samples=160, low_hz=100.0, high_hz=3800.0)
    assert log_mel(pcm, wide).shape == (wide.frames_in(4000), 20)
    np.testing.assert_allclose(log_mel(pcm, wide), by_the_library(pcm, wide), rtol=0, atol=1e-4)


# Masking.


def test_the_mask_of_a_tone_is_white_noise_relative_to_its_power() -> None:
    tone = np.rint(8000 * np.sin(2 * np.pi * 1000 / 8000 * np.arange(40_000))).astype(np.int16)
    noise = np.random.default_rng(0).normal(
        0, 8000 / np.sqrt(2) / 10, 40_000
    )  # 20 dB below the tone
    of_noise = np.log(np.exp(log_mel(np.rint(noise).astype(np.int16), SPEC)).mean(0))  # (40,)
    masked = log_mel(tone, replace(SPEC, masking_db=20.0))
    loudest = masked.mean(0).argmax()
    above = slice(loudest + 12, None)  # where the tone itself leaks little
    assert np.abs(masked[:, above] - of_noise[above]).max() < 0.2
    bare = log_mel(tone, SPEC)
    np.testing.assert_allclose(masked[:, loudest], bare[:, loudest], atol=1e-6)


def test_masking_only_adds_energy_and_less_at_a_lower_level() -> None:
    pcm = voice_like(20_000, breath=0.001)
    bare, low, high = (
        log_mel(pcm, replace(SPEC, masking_db=db)) for db in (None, 60.0, MASKED.masking_db)
    )
    assert (bare <= low + 1e-6).all()
    assert (low <= high + 1e-6).all()
    assert (bare < high).mean() > 0.1
    assert (bare < low).mean() < 0.01


@pytest.mark.parametrize("codec", [mulaw, alaw])
@pytest.mark.parametrize("level", [1000, 4000, 16_000])
def test_masking_hides_most_of_the_noise_of_a_codec(
    level: float, codec: Callable[[Pcm], Pcm]
) -> None:
    pcm = voice_like(40_000, level, breath=0.001)
    moved, masked = (
        np.sqrt(np.mean((log_mel(codec(pcm), spec) - log_mel(pcm, spec)) ** 2))
        for spec in (SPEC, replace(SPEC, masking_db=MASKED.masking_db))
    )
    assert masked < 0.6 * moved, (masked, moved)


# Pitch.


def harmonics(pitch_hz: float, samples: int = 8000) -> Pcm:
    """Returns a steady voice: harmonics up to 4 kHz of random phase, the higher the softer."""
    at_s = np.arange(samples) / SPEC.sample_rate
    count = int(3900 / pitch_hz)
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, count)
    wave = sum(
        np.cos(2 * np.pi * k * pitch_hz * at_s + phase) / k for k, phase in enumerate(phases, 1)
    )
    return np.round(4000 * wave / 3).clip(-32768, 32767).astype(np.int16)


@settings(max_examples=30)
@given(pcm=SIGNALS)
def test_the_energies_beside_autocorrelations_are_the_plain_ones_bit_for_bit(pcm: Pcm) -> None:
    np.testing.assert_array_equal(log_mel(pcm, PITCHED)[:, : SPEC.n_mels], log_mel(pcm, SPEC))


def test_lags_go_from_450_to_70_hz_evenly_in_octaves() -> None:
    lags = pitch_lags_of(PITCHED)
    assert lags.shape == (24,)
    assert (lags[0], lags[-1]) == (18, 114)
    assert (np.diff(lags) > 0).all()
    np.testing.assert_allclose(np.diff(np.log2(lags)), np.log2(450 / 70) / 23, atol=0.04)


@pytest.mark.parametrize("lag", pitch_lags_of(PITCHED).tolist())
def test_autocorrelation_is_highest_at_the_lag_of_the_pitch(lag: int) -> None:
    lags = log_mel(harmonics(SPEC.sample_rate / lag), PITCHED)[:, SPEC.n_mels :]
    assert set(pitch_lags_of(PITCHED)[lags.argmax(axis=1)]) == {lag}


def test_autocorrelations_are_those_of_the_magnitude_spectrum_without_hum() -> None:
    pcm = voice_like(2000)
    expected = []
    for frame in np.lib.stride_tricks.sliding_window_view(pcm.astype(float), 200)[::80]:
        magnitude = np.abs(np.fft.rfft(frame * np.hanning(200), 512))
        magnitude[:3] = 0
        correlation = np.fft.irfft(magnitude) * 512
        expected.append(
            PITCH_SCALE
            * correlation[pitch_lags_of(PITCHED)]
            / (correlation[0] + PITCHED.pitch_floor)
        )
    found = log_mel(pcm, PITCHED)[:, SPEC.n_mels :]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@settings(max_examples=30)
@given(pcm=SIGNALS)
def test_autocorrelations_of_any_samples_are_within_their_scale(pcm: Pcm) -> None:
    lags = log_mel(pcm, PITCHED)[:, SPEC.n_mels :]
    assert (np.abs(lags) <= PITCH_SCALE * 1.001).all()


def test_silence_has_no_pitch() -> None:
    assert (log_mel(np.zeros(2000, np.int16), PITCHED)[:, SPEC.n_mels :] == 0).all()


@pytest.mark.parametrize("codec", [mulaw, alaw])
@pytest.mark.parametrize("level", [2.0, 4.0])  # RMS, about that of the codecs' own noise
def test_the_noise_of_a_codec_in_silence_has_hardly_any_pitch(
    level: float, codec: Callable[[Pcm], Pcm]
) -> None:
    noise = np.random.default_rng(0).normal(scale=level, size=8000)
    pcm = codec(np.rint(noise).astype(np.int16))
    floored, bare = (
        np.abs(log_mel(pcm, replace(PITCHED, pitch_floor=floor))[:, SPEC.n_mels :]).max()
        for floor in (PITCHED.pitch_floor, 1.0)
    )
    assert floored < 0.1 * PITCH_SCALE < bare


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_level_of_a_voice_hardly_changes_its_autocorrelation(gain: float) -> None:
    pcm = voice_like(8000)
    loud, soft = (
        log_mel(np.round(pcm * g).astype(np.int16), PITCHED)[:, SPEC.n_mels :] for g in (1.0, gain)
    )
    assert np.abs(soft - loud).max() < 0.1 * PITCH_SCALE
    assert (soft.argmax(axis=1) == loud.argmax(axis=1)).mean() > 0.95
