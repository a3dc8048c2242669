from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from model.artifact import Thresholds
from model.export import export
from model.features import FeatureSpec
from model.functionals import functional_count
from model.gate import GateSpec
from model.labels import Emotion
from model.network import EmotionNetwork, NetworkConfig

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Fixes the order of additions; small networks are also faster on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# A network is given the window alone, as in the paper, or the speaker baseline as well.
SPECS = {"plain": FeatureSpec(), "with baseline": FeatureSpec(pitch_lags=5, functionals=True)}
both_kinds = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS, scope="session")


def network_config(spec: FeatureSpec) -> NetworkConfig:
    """Returns the sizes of a small network of the compact kind."""
    return NetworkConfig(
        d_frame=spec.n_features,
        d_lstm=6,
        d_att=8,
        d_den1=10,
        d_den2=8,
        n_head=2,
        d_style=5,
        mask_padding=True,
        conv_channels=(7, 8),
        functionals=functional_count(spec),
        d_voice=6,
    )


@pytest.fixture(scope="session")
def spec() -> FeatureSpec:
    """The spec with a baseline; tests of what the two kinds do differently use `both_kinds`."""
    return SPECS["with baseline"]


def finished_training(spec: FeatureSpec) -> dict[str, Any]:
    """Returns the checkpoint of a finished training."""
    config = network_config(spec)
    torch.manual_seed(0)
    network = EmotionNetwork(config)
    for name, parameter in network.named_parameters():
        if ".voice." not in name:
            parameter.data *= 3  # so that a change shows in the answers
    for name, buffer in network.named_buffers():
        if name.endswith("mean"):
            buffer.normal_()
        elif name.endswith(("running_var", "spread")):
            buffer.uniform_(0.5, 2.0)
    return {
        "config": {
            "network": asdict(config),
            "features": asdict(spec),
            "gate": asdict(GateSpec()),
            "seed": 0,
        },
        "network": network.state_dict(),
        "temperature": 1.25,
        "scores": {"test": {"somewhere": {"ua": 0.5}}},
        "trained_on": {"somewhere": {"utterances": 3, "test_speakers": ["a"]}},
        "epoch": 7,
        "valid_ua": 0.5,
    }


@pytest.fixture
def finished(spec: FeatureSpec) -> dict[str, Any]:
    return finished_training(spec)


@pytest.fixture
def checkpoint(finished: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "best.pt"
    torch.save(finished, path)
    return path


@pytest.fixture(scope="session")
def artifact_bytes(spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("export")
    torch.save(finished_training(spec), folder / "best.pt")
    export(
        folder / "best.pt",
        folder / "small.pt",
        name="small",
        version="1.2.3",
        commit="0123abc",
        licence="CC0-1.0",
        thresholds={Emotion.ANGER: Thresholds(0.7, 0.5), Emotion.HAPPINESS: Thresholds(0.8, 0.6)},
    )
    return (folder / "small.pt").read_bytes()


@pytest.fixture
def exported(artifact_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "small.pt"
    path.write_bytes(artifact_bytes)
    return path
