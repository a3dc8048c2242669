"""Rows are the mean and spread of the encoder's outputs, whatever the batch."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.chunk_encoder import BATCH_CHUNKS, ChunkEncoder, encode, encoder_operations
from model.embedding import EmbeddingSpec, chunk_frames
from model.encoder import Encoder, load_encoder
from model.encoder_config import EncoderConfig

TINY = EncoderConfig(d_model=16, n_head=2, d_inner=32, positions=120, outputs=(1, 2))
SPEC = EmbeddingSpec(encoder=TINY)


@pytest.fixture(scope="module")
def chunk_encoder() -> ChunkEncoder:
    torch.manual_seed(0)
    encoder = Encoder(TINY)
    encoder.positions.data.normal_()
    return ChunkEncoder(encoder.eval().requires_grad_(False), SPEC.row_steps)


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(frames).normal(0, 1, (frames, 80)).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 9, 100, 150, 179])
def test_rows_are_means_and_spreads_of_their_steps(
    chunk_encoder: ChunkEncoder, frames: int
) -> None:
    x, lengths = torch.from_numpy(noise(frames))[None], torch.tensor([frames])
    steps = chunk_encoder.encoder(x, lengths)[0].permute(1, 0, 2)  # (S, L, D)
    rows = chunk_encoder(x, lengths)[0]
    parts = steps.split(SPEC.weights(frames).astype(int).tolist())
    assert len(rows) == len(parts) == SPEC.rows_in(frames)
    for row, part in zip(rows, parts, strict=True):
        torch.testing.assert_close(row[0], part.mean(0), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(row[1], part.std(0, correction=0), atol=1e-5, rtol=1e-4)


def test_a_chunk_has_the_same_rows_in_any_batch(chunk_encoder: ChunkEncoder) -> None:
    sizes = [150, 100, 100, 31, 179, 1, *[100] * (BATCH_CHUNKS + 2), 60, 50]
    chunks = [noise(size) + number for number, size in enumerate(sizes)]
    together = encode(chunk_encoder, chunks, SPEC)
    for chunk, rows in zip(chunks, together, strict=True):
        (alone,) = encode(chunk_encoder, [chunk], SPEC)
        assert rows.dtype == np.float16
        assert rows.shape == (SPEC.rows_in(len(chunk)), 2, 2, 16)
        np.testing.assert_allclose(rows.astype(float), alone.astype(float), atol=4e-3)


def test_scripted_it_returns_the_same(chunk_encoder: ChunkEncoder) -> None:
    x, lengths = torch.from_numpy(np.stack([noise(100)] * 3)), torch.tensor([100, 44, 3])
    scripted = torch.jit.script(chunk_encoder)
    torch.testing.assert_close(scripted(x, lengths), chunk_encoder(x, lengths))


def test_no_chunks_have_no_rows(chunk_encoder: ChunkEncoder) -> None:
    assert encode(chunk_encoder, [], SPEC) == []


def test_three_layers_are_about_a_gigaflop_a_second_of_speech() -> None:
    assert 1.0e9 < encoder_operations(EncoderConfig(), 100) < 1.1e9


@pytest.mark.encoder
def test_the_real_encoder_s_rows_fit_half_precision() -> None:
    spec = EmbeddingSpec()
    encoder = load_encoder(Path(os.environ["KANJO_ENCODER"]))
    assert encoder.digest() == spec.digest
    levels = np.sin(np.arange(80 * 250) ** 1.2 / 40) * np.sin(np.arange(80 * 250) / 700)
    pcm = (9000 * levels).astype(np.int16)
    chunks = chunk_frames(pcm, spec.chunk_spans(250), spec)
    rows = encode(ChunkEncoder(encoder, spec.row_steps), chunks, spec)
    assert [of_chunk.shape for of_chunk in rows] == [(8, 2, 3, 512), (5, 2, 3, 512)]
    assert all(np.isfinite(of_chunk).all() for of_chunk in rows)
    coarser = replace(spec, row_steps=50)
    (row,) = encode(ChunkEncoder(encoder, 50), chunks[1:], coarser)
    mean = rows[1][:, 0].astype(float).mean(0)
    np.testing.assert_allclose(row[0, 0].astype(float), mean, atol=0.02)
