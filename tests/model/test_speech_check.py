"""The check that tells speech from other sounds that pass the gate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import SHIPPED
from model.artifact import load
from model.features import FeatureSpec
from model.functionals import functional_count
from model.speech_check import SpeechCheck
from model.speech_check_file import load_check, save_check, shipped_check

SPEC = FeatureSpec(pitch_lags=24, functionals=True)
SIZE = functional_count(SPEC)


def weights(seed: int = 0, networks: int = 3, width: int = 8) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    shapes = {
        "mean": (SIZE,),
        "hidden": (networks, SIZE, width),
        "hidden_bias": (networks, width),
        "output": (networks, width),
        "output_bias": (networks,),
    }
    drawn = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {**drawn, "scale": rng.uniform(0.5, 2, SIZE).astype(np.float32)}


def test_the_score_is_the_mean_of_the_networks() -> None:
    given = weights()
    check = SpeechCheck(SPEC, **given, threshold=0.0)
    for seed in range(20):
        inputs = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32) * 10
        standard = np.clip((inputs - given["mean"]) / given["scale"], -6, 6)
        outputs = [
            np.maximum(standard @ given["hidden"][n] + given["hidden_bias"][n], 0)
            @ given["output"][n]
            + given["output_bias"][n]
            for n in range(3)
        ]
        assert check.score(inputs) == pytest.approx(np.mean(outputs), rel=1e-4)
        assert check.accepts(inputs) == (np.mean(outputs) < 0)


def test_a_saved_check_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "check.npz"
    save_check(path, SPEC, 1.5, **weights())
    read = load_check(path)
    assert read.spec == SPEC
    assert read.threshold == 1.5
    inputs = np.ones(SIZE, np.float32)
    assert read.score(inputs) == SpeechCheck(SPEC, **weights(), threshold=0).score(inputs)


def test_the_shipped_check_is_for_the_shipped_models_frames_only() -> None:
    spec = load(SHIPPED).meta.features
    check = shipped_check(spec)
    assert check is not None
    assert check.spec == spec
    assert shipped_check(replace(spec, n_mels=26)) is None
    assert shipped_check(FeatureSpec()) is None
