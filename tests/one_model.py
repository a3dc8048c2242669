"""One model for all services of a test process: read and warmed up once, then shared.

It is the real engine with the real weights. Only the seconds of loading and compiling are saved,
which a service of a test would otherwise spend each time that it starts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import torch

from service.scoring.torch_scorer import TorchScorer

_loaded: dict[object, TorchScorer] = {}
_warm: WeakSet[TorchScorer] = WeakSet()
_load, _warm_up = TorchScorer.load, TorchScorer.warm_up


def _load_once(path: Path, device: str, threads: int, *more: Any, **named: Any) -> TorchScorer:
    try:
        file = os.stat(path)
    except OSError:
        return _load(path, device, threads, *more, **named)  # raises what is to be raised
    key = (file.st_dev, file.st_ino, file.st_mtime_ns, device, more, tuple(sorted(named.items())))
    if key not in _loaded:
        _loaded[key] = _load(path, device, threads, *more, **named)
    torch.set_num_threads(threads)
    return _loaded[key]


def _warm_up_once(scorer: TorchScorer) -> None:
    if scorer not in _warm:
        _warm_up(scorer)
        _warm.add(scorer)


@contextmanager
def one_model() -> Iterator[None]:
    """Makes every `TorchScorer.load` of a file return the same engine within the block."""
    with (
        patch.object(TorchScorer, "load", staticmethod(_load_once)),
        patch.object(TorchScorer, "warm_up", _warm_up_once),
    ):
        yield
