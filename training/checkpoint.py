"""Checkpoints: the complete state from which a training continues to the same weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.files import atomic_write
from training.differences import differences


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message states what was found and what was expected."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint; a failed write leaves the previous one in place."""
    with atomic_write(path) as unfinished:
        torch.save(state, unfinished)


def load(path: Path) -> dict[str, Any]:
    """Returns what `save` wrote, with all tensors on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged or not a checkpoint.
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
    """Compares a checkpoint's config with a dataclass, field by field.

    Raises:
        CheckpointError: they differ; the message names the fields.
    """
    if differing := differences(state["config"], asdict(config)):
        raise CheckpointError(f"{path} was made with another config: {'; '.join(differing)}")
