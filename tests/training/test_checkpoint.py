import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TINIES
from training.checkpoint import CheckpointError, load, same_config, save
from training.recipes import TrainConfig


@pytest.mark.parametrize("recipe", TINIES)
def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "last.pt"
    config = TINIES[recipe]
    state = {
        "config": asdict(config),
        "network": {"w": torch.randn(3, 2), "n": torch.tensor(7)},
        "best_ua": 0.25,
    }
    save(path, state)
    found = load(path)
    assert found["config"] == state["config"]
    same_config(found, config, path)
    assert found["best_ua"] == 0.25
    for name, weight in state["network"].items():
        assert torch.equal(found["network"][name], weight)
    assert os.listdir(tmp_path) == ["last.pt"]


def test_a_failed_save_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save(path, {"network": {"w": torch.ones(2)}})
    with pytest.raises(Exception, match="pickle"):
        save(path, {"network": {"w": torch.zeros(2)}, "more": lambda: None})
    assert torch.equal(load(path)["network"]["w"], torch.ones(2))


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="last.pt: there is no checkpoint"):
        load(tmp_path / "last.pt")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_half_a_checkpoint_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "last.pt"
    save(path, {"network": {"w": torch.randn(100)}})
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(CheckpointError, match="last.pt: "):
        load(path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save(torch.zeros(2), path)
    with pytest.raises(CheckpointError, match="found Tensor, expected a checkpoint"):
        load(path)


def test_only_weights_and_plain_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"network": Path("/")}, path)
    with pytest.raises(CheckpointError, match="weights_only|Unsupported|not an allowed"):
        load(path)


def test_another_config_is_refused_and_its_differences_are_named(
    tmp_path: Path, tiny: TrainConfig
) -> None:
    path = tmp_path / "last.pt"
    save(path, {"network": {}, "config": asdict(tiny)})
    same_config(load(path), tiny, path)
    other = replace(tiny, seed=3, network=replace(tiny.network, d_lstm=9))
    with pytest.raises(CheckpointError) as refused:
        same_config(load(path), other, path)
    assert str(refused.value) == (
        f"{path} was made with another config: network.d_lstm 8, expected 9; seed 0, expected 3"
    )
    with pytest.raises(CheckpointError, match="features.functionals False, expected True"):
        same_config(load(path), TINIES["kanjo"], path)


def test_a_config_with_another_field_is_refused(tmp_path: Path, tiny: TrainConfig) -> None:
    found = {"config": asdict(tiny) | {"warm_up": 2}}
    with pytest.raises(CheckpointError, match="warm_up 2, expected None"):
        same_config(found, tiny, tmp_path)
