"""Sounds that are not speech, made from seeds."""

import numpy as np
import pytest

from model.audio import SAMPLE_RATE
from training.sounds import MAKERS, make

DURATION_S = 3.0


@pytest.mark.parametrize("kind", MAKERS)
def test_a_sound_is_the_same_at_every_call_and_others_differ(kind: str) -> None:
    first = make(kind, 1, DURATION_S)
    assert np.array_equal(first, make(kind, 1, DURATION_S))
    assert not np.array_equal(first, make(kind, 2, DURATION_S))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_sound_has_its_length_and_a_level(kind: str) -> None:
    for number in range(20):
        wave = make(kind, number, DURATION_S)
        assert abs(len(wave) - DURATION_S * SAMPLE_RATE) <= 1
        assert np.isfinite(wave).all()
        assert wave.std() > 0


@pytest.mark.parametrize("kind", MAKERS)
def test_the_kinds_have_seeds_of_their_own(kind: str) -> None:
    others = [make(other, 1, DURATION_S) for other in MAKERS if other != kind]
    assert not any(np.array_equal(make(kind, 1, DURATION_S), wave) for wave in others)
