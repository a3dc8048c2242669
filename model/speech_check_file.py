"""Reads and writes the speech check's file; the shipped one is the default."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.features import FeatureSpec
from model.files import atomic_write
from model.speech_check import SpeechCheck

SHIPPED_CHECK = Path(__file__).parent / "weights" / "speech-check.npz"


def load_check(path: Path = SHIPPED_CHECK) -> SpeechCheck:
    """Reads a file that `save_check` wrote."""
    with np.load(path, allow_pickle=False) as file:
        spec = FeatureSpec(**json.loads(str(file["spec"])))
        weights = {name: file[name] for name in file.files if name not in ("spec", "threshold")}
        return SpeechCheck(spec, **weights, threshold=float(file["threshold"]))


def save_check(
    path: Path, spec: FeatureSpec, threshold: float, **weights: NDArray[np.float32]
) -> None:
    """Writes the arguments of a SpeechCheck to a file."""
    described: dict[str, Any] = {"spec": json.dumps(asdict(spec)), "threshold": threshold}
    arrays = {**described, **weights}
    with atomic_write(path) as unfinished:
        np.savez_compressed(unfinished, **arrays)


@cache
def shipped_check(spec: FeatureSpec) -> SpeechCheck | None:
    """Returns the shipped check, or None if a model's frames are not those it was trained on."""
    check = load_check()
    return check if check.spec == spec else None
