"""Measures what the encoder costs on one core, and the share of the core's arithmetic that it uses.

The bar: with 16 chunks or more at once, at most 0.02 s a second of speech and 70 % or more of the
rate of a large matrix product in the same run. `KANJO_ENCODER` names the encoder's file.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from model.chunk_encoder import ChunkEncoder, encode, encoder_operations
from model.chunked_input import Chunk
from model.embedding import EmbeddingSpec
from model.encoder import load_encoder
from model.gate import HOP_S, HOP_SAMPLES
from tests.benchmarks.scoring import SIDE, seconds

BATCHES = (1, 2, 4, 8, 16, 32)  # chunks
ROUNDS = 12
BAR_S, BAR = 0.02, 0.7


def tables() -> Iterator[Table]:
    """Yields the table. Product and encoder alternate under the same load; the best times count."""
    path = os.environ.get("KANJO_ENCODER")
    if path is None:
        yield Table("KANJO_ENCODER is not set", title="Encoder")
        return
    torch.set_num_threads(1)
    spec = EmbeddingSpec()
    whole = ChunkEncoder(load_encoder(Path(path), spec.encoder), spec.row_steps).eval()
    embed = torch.jit.freeze(torch.jit.script(whole))
    operations = encoder_operations(spec.encoder, spec.chunk_hops)
    speech_s = spec.chunk_hops * HOP_S
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    generator = np.random.default_rng(0)
    table = Table(
        f"chunks of {speech_s:g} s",
        "s a second of speech",
        "GFLOP/s",
        "of the product's rate",
        title=f"Encoder, 1 thread, {operations / speech_s / 1e9:.2f} GFLOP a second of speech",
    )
    best_s, best = np.inf, 0.0
    for size in BATCHES:
        pcm = generator.normal(0, 1000, (size, spec.chunk_hops * HOP_SAMPLES)).astype(np.int16)

        def run(pcm: np.ndarray = pcm) -> None:
            encode(embed, [Chunk(samples).frames(spec) for samples in pcm], spec)

        run()
        rounds = [(seconds(lambda: one @ other), seconds(run)) for _ in range(ROUNDS)]
        product_s, encoding_s = (min(times) for times in zip(*rounds, strict=True))
        product = 2 * SIDE**3 / product_s
        encoding = operations * size / encoding_s
        if size >= 16:
            best_s = min(best_s, encoding_s / size / speech_s)
            best = max(best, encoding / product)
        table.add_row(
            str(size),
            f"{encoding_s / size / speech_s:.4f}",
            f"{encoding / 1e9:.0f} of {product / 1e9:.0f}",
            f"{encoding / product:.0%}",
        )
    table.add_section()
    table.add_row(
        "16 or more",
        f"{best_s:.4f} (bar: at most {BAR_S})",
        "",
        f"{best:.0%} (bar: at least {BAR:.0%})",
    )
    yield table
