import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.artifact import DEFAULT_SERVING, ArtifactMeta, Input, Thresholds, load, noise
from model.export import TOLERANCE, ExportError, export, largest_difference, released
from model.features import FeatureSpec, log_mel, normalise
from model.functionals import functional_count
from model.gate import GateSpec
from model.labels import Emotion
from model.network import NetworkConfig, operations
from model.speaker_baseline import ModelInput, SpeakerBaseline
from tests.model.conftest import both_kinds


def exported_from(state: Any, folder: Path) -> tuple[Path, ArtifactMeta]:
    checkpoint, path = folder / "best.pt", folder / "out" / "model.pt"
    torch.save(state, checkpoint)
    meta = export(
        checkpoint,
        path,
        name="small",
        version="1",
        commit="0123abc",
        licence="CC0-1.0",
        thresholds={Emotion.ANGER: Thresholds(0.7, 0.5)},
    )
    return path, meta


def refusal(state: Any, folder: Path) -> str:
    with pytest.raises(ExportError) as refused:
        exported_from(state, folder)
    files = list((folder / "out").iterdir()) if (folder / "out").exists() else []
    assert files == [], "a refused export leaves nothing behind"
    return str(refused.value)


def noise_windows(spec: FeatureSpec, lengths: list[int]) -> Input:
    """Returns windows of noise that swells and fades, padded to the longest.

    Each adds to the baseline of the next; the first has none.
    """
    frames = np.zeros((len(lengths), max(lengths), spec.n_features), np.float32)
    baseline = SpeakerBaseline(spec)
    inputs: list[ModelInput] = []
    for row, length in zip(frames, lengths, strict=True):
        samples = spec.frame_samples + (length - 1) * spec.hop_samples
        level = 3000 * (1 + np.sin(np.arange(samples) / 2000))
        pcm = np.round(level * np.random.default_rng(length).normal(0, 1, samples))
        window = log_mel(pcm.clip(-32768, 32767).astype(np.int16), spec)
        row[:length] = normalise(window, spec)
        inputs.append(baseline.features(window))
        baseline.update(window)
    return (
        torch.from_numpy(frames),
        torch.tensor(lengths),
        torch.from_numpy(np.stack([one.functionals for one in inputs])),
        torch.from_numpy(np.stack([one.baseline for one in inputs])),
        torch.tensor([float(one.baseline_utterances) for one in inputs]),
    )


@both_kinds
def test_the_artifact_answers_like_the_checkpoint(
    finished: dict[str, Any], spec: FeatureSpec, tmp_path: Path
) -> None:
    path, _ = exported_from(finished, tmp_path)
    original, artifact = released(finished), load(path)
    with torch.inference_mode():
        for lengths in ([748], [1], [150, 300, 748, 2], [33] * 5):
            windows = noise_windows(spec, lengths)
            for expected, found in zip(original(*windows), artifact(*windows), strict=True):
                assert expected.std() > 0 or len(lengths) == 1
                torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_a_network_of_the_paper_s_kind_can_be_exported(
    finished: dict[str, Any], tmp_path: Path
) -> None:
    spec = FeatureSpec()
    config = NetworkConfig(d_lstm=4, d_att=4, d_den1=4, d_den2=4, n_head=2, d_style=4)
    network = type(released(finished).network)(config)
    finished["config"]["network"] = {
        name: getattr(config, name) for name in finished["config"]["network"]
    }
    finished["config"]["features"] = asdict(spec)
    finished["network"] = network.state_dict()
    path, meta = exported_from(finished, tmp_path)
    assert meta.operations == operations(config, spec.window_frames)
    alone, _ = load(path)(*noise_windows(spec, [200]))
    in_a_longer_batch, _ = load(path)(*noise_windows(spec, [200, 748]))
    torch.testing.assert_close(in_a_longer_batch[:1], alone, rtol=0, atol=1e-5)


def test_the_posteriors_are_calibrated_by_the_temperature(
    finished: dict[str, Any], spec: FeatureSpec, tmp_path: Path
) -> None:
    path, _ = exported_from(finished, tmp_path)
    windows = noise_windows(spec, [100])
    with torch.inference_mode():
        emotion_logits, style_logits = released(finished).network(*windows)
        emotion, style = load(path)(*windows)
    torch.testing.assert_close(emotion, (emotion_logits / 1.25).softmax(1))
    torch.testing.assert_close(style, style_logits.softmax(1))


def test_the_meta_describes_the_training(
    finished: dict[str, Any], spec: FeatureSpec, tmp_path: Path
) -> None:
    path, meta = exported_from(finished, tmp_path)
    assert load(path).meta == meta
    assert (meta.name, meta.version, meta.commit, meta.licence) == (
        "small",
        "1",
        "0123abc",
        "CC0-1.0",
    )
    assert (meta.features, meta.gate) == (spec, GateSpec())
    assert meta.temperature == 1.25
    assert meta.serving == DEFAULT_SERVING
    assert meta.thresholds == {Emotion.ANGER: Thresholds(0.7, 0.5)}
    expected = {key: finished[key] for key in ("config", "scores", "trained_on", "epoch")}
    assert meta.training == json.loads(json.dumps(expected))
    assert meta.operations == operations(released(finished).network.config, spec.window_frames)


def test_an_existing_artifact_stays_until_the_new_one_is_complete(
    finished: dict[str, Any], tmp_path: Path
) -> None:
    path, _ = exported_from(finished, tmp_path)
    before = path.read_bytes()
    del finished["temperature"]
    with pytest.raises(ExportError):
        exported_from(finished, tmp_path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "key", ["temperature", "scores", "trained_on", "epoch", "network", "config"]
)
def test_an_unfinished_training_is_refused(
    finished: dict[str, Any], tmp_path: Path, key: str
) -> None:
    del finished[key]
    assert f"without ['{key}'], expected a finished training's" in refusal(finished, tmp_path)


def test_weights_of_another_network_are_refused(finished: dict[str, Any], tmp_path: Path) -> None:
    finished["config"]["network"]["d_lstm"] = 7
    assert "weights of another network" in refusal(finished, tmp_path)


@pytest.mark.parametrize("name", ["network", "features", "gate"])
def test_a_config_of_other_code_is_refused(
    finished: dict[str, Any], tmp_path: Path, name: str
) -> None:
    finished["config"][name]["flux"] = 3
    assert f"config of {name}" in refusal(finished, tmp_path)
    assert "flux" in refusal(finished, tmp_path)


@pytest.mark.parametrize("other", [{"n_mels": 30}, {"pitch_lags": 7, "functionals": True}])
def test_features_that_the_network_was_not_built_for_are_refused(
    finished: dict[str, Any], tmp_path: Path, other: dict[str, Any]
) -> None:
    finished["config"]["features"] |= other
    spec, network = FeatureSpec(**finished["config"]["features"]), finished["config"]["network"]
    assert (
        f"a network for {network['d_frame']} features and {network['functionals']} functionals, "
        f"expected the {spec.n_features} and {functional_count(spec)} of its feature spec"
    ) in refusal(finished, tmp_path)


def test_a_training_that_diverged_is_refused(finished: dict[str, Any], tmp_path: Path) -> None:
    finished["network"]["members.0.emotion.5.bias"][2] = float("nan")
    assert "weights members.0.emotion.5.bias are not all finite" in refusal(finished, tmp_path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "found Tensor, expected a checkpoint" in refusal(torch.zeros(3), tmp_path)
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(ExportError, match="text.pt"):
        export(
            tmp_path / "text.pt",
            tmp_path / "model.pt",
            name="",
            version="",
            commit="",
            licence="",
            thresholds={},
        )


def test_an_artifact_whose_answers_differ_is_refused(
    finished: dict[str, Any], tmp_path: Path
) -> None:
    """Freezing folds the batch statistics into the convolution before them: with a bias and a mean
    this large, the checkpoint's own sums lose digits that the folded ones keep."""
    finished["network"]["members.0.convolutions.0.0.bias"] += 3e6
    finished["network"]["members.0.convolutions.0.1.running_mean"] += 3e6
    assert "the artifact's answers differ by" in refusal(finished, tmp_path)


@both_kinds
def test_the_largest_difference_is_over_all_windows_and_answers(
    finished: dict[str, Any], spec: FeatureSpec
) -> None:
    original = released(finished)
    assert largest_difference(original, released(finished), spec) == 0
    other = released(finished | {"temperature": 1.26})
    by_hand = 0.0
    with torch.inference_mode():
        for lengths in ([748], [50], [748, 374, 150, 50]):
            windows = noise(spec, lengths)
            for row, length in enumerate(lengths):
                alone = tuple(tensor[row : row + 1] for tensor in windows)
                alone = (alone[0][:, :length], *alone[1:])
                difference = (original(*alone)[0] - other(*alone)[0]).abs().max()
                by_hand = max(by_hand, float(difference))
    assert by_hand > TOLERANCE
    assert largest_difference(original, other, spec) == pytest.approx(by_hand, abs=1e-6)
