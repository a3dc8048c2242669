"""Checkpoints: everything a training needs to go on as if it had never stopped."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says what was found and what was expected."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Written beside, then renamed: whoever reads sees the old one or the new, never half of it."""
    unfinished = path.with_suffix(".part")
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote, on the CPU.

    Raises:
        CheckpointError: there is none, or it is not one of ours.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no checkpoint") from error
    except Exception as error:  # torch.load raises whatever the bytes make its unpickler raise
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(state, dict) or "network" not in state:
        raise CheckpointError(f"{path}: found {type(state).__name__}, expected a checkpoint")
    return state


def same_config(state: dict[str, Any], config: Any, path: Path) -> None:
    """Raises CheckpointError, naming the fields, if the checkpoint was made with another config."""
    found, expected = _by_name(state["config"]), _by_name(asdict(config))
    differing = [
        f"{name} {found.get(name)!r}, expected {expected.get(name)!r}"
        for name in sorted(found.keys() | expected.keys())
        if found.get(name) != expected.get(name)
    ]
    if differing:
        raise CheckpointError(f"{path} was made with another config: {'; '.join(differing)}")


def _by_name(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of a nested config by its full name: `network.d_lstm`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _by_name(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
