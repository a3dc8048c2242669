"""How much of the machine's arithmetic the scorer turns into answers.

The bar: at its best batch, the floating-point operations of the network come at 60 % or more of the
rate of a large matrix product in the same run with the same threads.
"""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from rich.table import Table

from model import SHIPPED
from model.speaker_baseline import SpeakerBaseline
from service.scoring.torch_scorer import BATCHES, TorchScorer

SIDE = 2048  # of the matrices
ROUNDS = 12
BAR = 0.6


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def tables() -> Iterator[Table]:
    """Product and scorer in turn, so that both meet the same machine; each one's best counts."""
    threads = os.cpu_count() or 1
    scorer = TorchScorer.load(SHIPPED, "cpu", threads)
    scorer.warm_up()
    spec = scorer.meta.features
    generator = np.random.default_rng(0)
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    table = Table(
        "windows of 7.5 s",
        "ms a window",
        "GFLOP/s",
        "of the product's rate",
        title=f"Scoring, {threads} threads, {scorer.meta.operations / 1e9:.2f} GFLOP a window",
    )
    best = 0.0
    for size in BATCHES:
        frames = (spec.window_frames, spec.n_features)
        windows = [
            SpeakerBaseline(spec).features(generator.standard_normal(frames).astype(np.float32))
            for _ in range(size)
        ]
        rounds = [
            (seconds(lambda: one @ other), seconds(lambda w=windows: scorer.score(w)))
            for _ in range(ROUNDS)
        ]
        product_s, scoring_s = (min(times) for times in zip(*rounds, strict=True))
        product = 2 * SIDE**3 / product_s
        scoring = scorer.meta.operations * size / scoring_s
        best = max(best, scoring / product)
        table.add_row(
            str(size),
            f"{scoring_s / size * 1000:.2f}",
            f"{scoring / 1e9:.0f} of {product / 1e9:.0f}",
            f"{scoring / product:.0%}",
        )
    table.add_section()
    table.add_row("best", "", "", f"{best:.0%} (bar: at least {BAR:.0%})")
    yield table
