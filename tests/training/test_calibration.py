import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.calibration import anger_threshold, calibrate, temperature


def test_the_temperature_makes_the_truth_most_likely() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 4, generator=generator)
    truth = torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator)[:, 0]
    assert temperature(logits, truth) == pytest.approx(1.5, rel=0.1)
    assert temperature(3 * logits, truth) == pytest.approx(3 * temperature(logits, truth), rel=1e-3)


def test_the_threshold_of_anger_is_where_its_ua_is_highest() -> None:
    is_anger = np.array([True, True, True, False, False, False])
    apart = np.array([0.9, 0.8, 0.6, 0.4, 0.2, 0.1])
    assert anger_threshold(apart, is_anger) == pytest.approx(0.5)
    one_quiet = np.array([0.9, 0.8, 0.15, 0.4, 0.2, 0.1])
    assert anger_threshold(one_quiet, is_anger) == pytest.approx(0.6)
    assert anger_threshold(1 - apart, is_anger) == pytest.approx(0.05)  # everything is angry then


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=40))
def test_no_other_threshold_of_anger_has_a_higher_ua(predictions: list[tuple[int, bool]]) -> None:
    probability = np.array([step / 20 for step, _ in predictions])
    is_anger = np.array([angry for _, angry in predictions])
    if is_anger.all() or not is_anger.any():
        with pytest.raises(ValueError, match="found anger in .*, expected some"):
            anger_threshold(probability, is_anger)
        return

    def ua(threshold: float) -> float:
        angry = probability >= threshold
        return float((angry[is_anger].mean() + (~angry[~is_anger]).mean()) / 2)

    best = max(ua(step / 40) for step in range(42))
    assert ua(anger_threshold(probability, is_anger)) == pytest.approx(best)


def test_a_calibration_is_a_temperature_and_a_threshold_on_calibrated_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 4, generator=generator)
    emotion = torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator)[:, 0]
    found = calibrate(logits, emotion.numpy())
    assert found.temperature == temperature(logits, emotion)
    anger = (logits / found.temperature).softmax(1).numpy()[:, 0]
    assert found.anger_at == anger_threshold(anger, emotion.numpy() == 0)
