import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.features import FeatureSpec, Frames
from training.data.augmentation import NO_MASKS, MaskSpec, cuts, mask

SPEC = FeatureSpec()
MASKS = MaskSpec()


def frames_of(count: int, spec: FeatureSpec = SPEC) -> Frames:
    """Returns frames (count, n_features) without a zero."""
    drawn = np.random.default_rng(count).uniform(1, 9, (count, spec.n_features))
    return drawn.astype(np.float32)


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_cuts_are_the_whole_and_spans_between_the_shortest_and_a_window(
    frames: int, least: int, count: int, seed: int
) -> None:
    longest = SPEC.window_frames
    spans = cuts(frames, longest, least, count, np.random.default_rng(seed))
    assert spans.shape == (1 + count, 2)
    assert spans[0].tolist() == [0, min(frames, longest)]
    lengths = spans[:, 1] - spans[:, 0]
    assert (lengths >= min(least, frames)).all()
    assert (lengths <= longest).all()
    assert (spans >= 0).all()
    assert (spans <= frames).all()


def test_cuts_start_anywhere_and_have_any_length() -> None:
    spans = cuts(1000, 748, 150, 400, np.random.default_rng(0))[1:]
    lengths = spans[:, 1] - spans[:, 0]
    assert (lengths.min(), lengths.max()) == (
        pytest.approx(150, abs=10),
        pytest.approx(748, abs=10),
    )
    assert (spans[:, 0].min(), spans[:, 1].max()) == (
        pytest.approx(0, abs=10),
        pytest.approx(1000, abs=10),
    )


def test_a_short_utterance_is_never_cut() -> None:
    spans = cuts(100, SPEC.window_frames, 150, 50, np.random.default_rng(0))
    assert np.unique(spans, axis=0).tolist() == [[0, 100]]


@given(st.integers(1, 300), st.integers(0, 24), st.integers(0, 2**32 - 1))
def test_a_mask_sets_some_bands_and_moments_to_the_mean(count: int, lags: int, seed: int) -> None:
    spec = FeatureSpec(pitch_lags=lags)
    frames = frames_of(count, spec)
    before = frames.copy()
    masked = mask(frames, spec, MASKS, np.random.default_rng(seed))
    np.testing.assert_array_equal(frames, before)
    gone = masked == 0
    np.testing.assert_array_equal(masked[~gone], frames[~gone])
    bands, moments = gone.all(axis=0), gone.all(axis=1)
    np.testing.assert_array_equal(gone, bands[None, :] | moments[:, None])
    if not moments.all():
        assert bands.sum() <= MASKS.bands * MASKS.band_width
        assert not bands[spec.n_mels :].any()
    if not bands.all():
        assert moments.sum() <= MASKS.times * int(count * MASKS.time_share)


def test_masks_are_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    drawn = [mask(frames_of(200), SPEC, MASKS, rng) == 0 for _ in range(50)]
    assert any(gone.any() for gone in drawn)
    assert len({gone.tobytes() for gone in drawn}) > 40


def test_without_masks_nothing_is_masked() -> None:
    frames = frames_of(200)
    unmasked = mask(frames, SPEC, NO_MASKS, np.random.default_rng(0))
    np.testing.assert_array_equal(unmasked, frames)
