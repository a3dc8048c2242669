"""The encoder's frames at 8 kHz are Whisper's at 16 kHz."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly

from model.audio import Pcm
from model.encoder_frames import EncoderFrameSpec, encoder_frames, mel_filters

SPEC = EncoderFrameSpec()
SPEC_16K = EncoderFrameSpec(sample_rate=16000, n_fft=400, hop_samples=160, power_scale=1.0)


def voice(samples: int) -> NDArray[np.float64]:
    """Returns a voiced sound of 8 kHz below 3.4 kHz whose pitch and loudness vary, with noise."""
    t = np.arange(samples) / 8000
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.5 * t)) / 8000
    tones = sum(np.sin(k * phase) / k for k in range(1, 18))
    noise = np.random.default_rng(1).normal(size=samples)
    noise = np.convolve(noise, firwin(101, 3400, fs=8000), mode="same")
    return 3000 * (tones + noise) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))


def whisper_frames(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns Whisper's own computation for 16 kHz levels of -1 to 1, as its `log_mel_spectrogram`.

    Its filter bank is the one under test, which another test compares with stored numbers.
    """
    audio = torch.from_numpy(levels)
    window = torch.hann_window(400, dtype=torch.float64)
    stft = torch.stft(audio, 400, 160, window=window, return_complex=True)
    power = stft[..., :-1].abs() ** 2
    bands = torch.from_numpy(mel_filters(SPEC_16K).astype(np.float64)).T @ power
    log = bands.clamp(min=1e-10).log10()
    log = torch.maximum(log, log.max() - 8.0)
    return ((log + 4.0) / 4.0).T.numpy()


def whole(levels: NDArray[np.float64]) -> Pcm:
    return np.rint(levels).astype(np.int16)


def at_16_khz(pcm: Pcm) -> NDArray[np.float64]:
    """Returns the levels at 16 kHz, by a filter steep enough that nothing mirrors above 4 kHz."""
    levels: NDArray[np.float64] = resample_poly(
        pcm / 32768, 2, 1, window=firwin(2001, 0.5, window=("kaiser", 12.0))
    )
    return levels


@pytest.mark.parametrize("samples", [8000, 16000, 16037])
def test_the_frames_are_whispers_at_16_khz(samples: int) -> None:
    """Checks the tolerance that the module states."""
    pcm = whole(voice(samples))
    got, expected = encoder_frames(pcm, SPEC), whisper_frames(at_16_khz(pcm))[: samples // 80]
    assert got.shape == (samples // 80, 80)
    telephone = slice(0, 58)  # bands that lie below 3.6 kHz, where no resampler has its slope
    np.testing.assert_allclose(got[2:-2, telephone], expected[2:-2, telephone], atol=0.01)
    np.testing.assert_allclose(got[:, telephone], expected[:, telephone], atol=0.1)


# (bin of 40 Hz, band): weight, from `transformers.audio_utils.mel_filter_bank` (201 bins, 80 bands
# to 8 kHz, norm and scale "slaney").
REFERENCE = {
    (1, 0): 0.02486259,
    (25, 25): 0.00404043,
    (60, 51): 0.0,
    (99, 62): 0.00445178,
    (150, 73): 0.00214694,
    (180, 77): 0.00272811,
}


def test_the_filters_are_slaneys() -> None:
    filters = mel_filters(SPEC_16K)
    assert filters.shape == (201, 80)
    for place, weight in REFERENCE.items():
        assert filters[place] == pytest.approx(weight, abs=1e-8)
    np.testing.assert_array_equal(mel_filters(SPEC), filters[:101])


def test_bands_above_the_telephone_have_the_floor() -> None:
    filters = mel_filters(SPEC)
    silent = ~filters.any(0)
    assert silent.sum() == 17
    assert not silent[:63].any()
    frames = encoder_frames(whole(voice(8000)), SPEC)
    assert (frames[:, silent] == frames.min()).all()


def test_the_floor_is_relative_to_the_chunks_loudest_band() -> None:
    frames = encoder_frames(whole(voice(8000)), SPEC)
    assert frames.max() - frames.min() == pytest.approx(2.0)  # 8 decades, over 4


def test_silence_has_the_absolute_floor() -> None:
    frames = encoder_frames(np.zeros(800, np.int16), SPEC)
    np.testing.assert_allclose(frames, -1.5)


def test_a_chunk_too_short_to_mirror_is_refused() -> None:
    assert encoder_frames(np.ones(101, np.int16), SPEC).shape == (1, 80)
    with pytest.raises(ValueError, match="got 100 samples, expected 101 or more"):
        encoder_frames(np.ones(100, np.int16), SPEC)


@pytest.mark.parametrize("pcm", [np.zeros(800, np.float32), np.zeros((800, 1), np.int16)])
def test_samples_of_another_kind_are_refused(pcm: Pcm) -> None:
    with pytest.raises(TypeError, match="expected int16"):
        encoder_frames(pcm, SPEC)
