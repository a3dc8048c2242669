import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import SAMPLE_RATE, Pcm, mulaw_decode
from model.features import FeatureSpec, Frames, normalise
from training.augment import CLEAN, TELEPHONE, TRAINING_LINES, Line, MaskSpec, crop, heard, mask

SPEC = FeatureSpec()
MASKS = MaskSpec()
UNMASKED = MaskSpec(bands=0, times=0)


def frames_of(count: int) -> Frames:
    """Frames that say by themselves where they were."""
    frames = np.random.default_rng(count).normal(10, 2, (count, SPEC.n_mels)).astype(np.float32)
    frames[:, 0] = np.arange(count)
    return frames


def tone(hz: float, s: float = 1.0) -> Pcm:
    at_s = np.arange(round(s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.round(8000 * np.sin(2 * np.pi * hz * at_s)).astype(np.int16)


def loudest_hz(pcm: Pcm) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm))) * SAMPLE_RATE / len(pcm))


def test_a_clean_line_changes_nothing() -> None:
    np.testing.assert_array_equal(CLEAN.apply(tone(440)), tone(440))


def test_a_telephone_line_gives_what_g711_can_say() -> None:
    pcm = TELEPHONE.apply(tone(440))
    assert set(pcm.tolist()) <= set(mulaw_decode(bytes(range(256))).tolist())
    assert 0 < np.abs(pcm.astype(np.int32) - tone(440)).max() <= 256
    np.testing.assert_array_equal(TELEPHONE.apply(pcm), pcm)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_length_and_pitch(speed: float) -> None:
    pcm = Line(speed=speed).apply(tone(440))
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(SAMPLE_RATE / speed, abs=1)
    assert loudest_hz(pcm) == pytest.approx(440 * speed, abs=2)


def test_training_hears_the_line_that_is_scored() -> None:
    assert TELEPHONE in TRAINING_LINES


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_crop_is_one_piece_no_longer_than_a_window_and_not_too_short(
    count: int, least: int, seed: int
) -> None:
    frames = frames_of(count)
    cut = crop(frames, SPEC, least, np.random.default_rng(seed))
    start = int(cut[0, 0])
    np.testing.assert_array_equal(cut, frames[start : start + len(cut)])
    assert min(least, count) <= len(cut) <= min(count, SPEC.window_frames)


def test_half_of_the_utterances_within_a_window_are_heard_whole() -> None:
    rng = np.random.default_rng(0)
    lengths = [len(crop(frames_of(400), SPEC, 150, rng)) for _ in range(400)]
    assert 150 < lengths.count(400) < 250
    assert min(lengths) < 160


def test_a_short_utterance_is_never_cut() -> None:
    rng = np.random.default_rng(0)
    assert {len(crop(frames_of(100), SPEC, 150, rng)) for _ in range(50)} == {100}


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_mask_puts_some_bands_and_moments_to_the_mean(count: int, seed: int) -> None:
    frames = frames_of(count) + 1
    before = frames.copy()
    masked = mask(frames, MASKS, np.random.default_rng(seed))
    np.testing.assert_array_equal(frames, before)
    gone = masked == 0
    np.testing.assert_array_equal(masked[~gone], frames[~gone])
    bands, moments = gone.all(axis=0), gone.all(axis=1)
    np.testing.assert_array_equal(gone, bands[None, :] | moments[:, None])
    if not moments.all():
        assert bands.sum() <= MASKS.bands * MASKS.band_width
    if not bands.all():
        assert moments.sum() <= MASKS.times * int(count * MASKS.time_share)


def test_masks_are_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    drawn = [mask(frames_of(200) + 1, MASKS, rng) == 0 for _ in range(50)]
    assert any(gone.any() for gone in drawn)
    assert len({gone.tobytes() for gone in drawn}) > 40


def test_what_is_heard_is_normalised_after_the_cut() -> None:
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    example = heard(frames_of(500), SPEC, UNMASKED, 150, rng)
    np.testing.assert_array_equal(example, normalise(crop(frames_of(500), SPEC, 150, same), SPEC))
    np.testing.assert_allclose(example.mean(axis=0), 0, atol=1e-3)
