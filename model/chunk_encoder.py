"""Encodes chunks of speech: the encoder, and the rows that are kept of what it returns."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.chunked_input import ChunkedInput
from model.embedding import EmbeddingSpec, Rows
from model.encoder import Encoder
from model.encoder_config import EncoderConfig
from model.features import Frames

# Chunks encoded at once at most: more are not faster, and need more memory.
BATCH_CHUNKS = 16
STEP_CHUNKS = 8 * BATCH_CHUNKS  # whose frames are in memory at once, 32 kB a second

# Frames (B, T, n_mels) and their numbers (B,) to rows (B, K, 2, layers, d_model).
Embed = Callable[[Tensor, Tensor], Tensor]


class ChunkEncoder(nn.Module):
    """The encoder, whose outputs are pooled into rows."""

    def __init__(self, encoder: Encoder, row_steps: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.row_steps = row_steps

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Takes frames (B, T, n_mels) every 10 ms and their numbers (B,), each 1 or more.

        Returns rows (B, K, 2, layers, d_model): the mean and the spread of each output over the
        steps of each row. K is `EmbeddingSpec.rows_in(T)`; a shorter chunk has zeros after its own
        rows, and the same rows in any batch.
        """
        outputs = self.encoder(frames, lengths)  # (B, L, S, D)
        steps = torch.div(lengths + 1, 2, rounding_mode="floor")  # (B,)
        half = self.row_steps // 2
        most = max(1, (outputs.shape[2] + half) // self.row_steps)  # K
        rows = torch.div(steps + half, self.row_steps, rounding_mode="floor").clamp(min=1)  # (B,)
        at = torch.arange(outputs.shape[2], device=frames.device)
        row_of = torch.div(at, self.row_steps, rounding_mode="floor")[None, :]  # (1, S)
        row_of = torch.minimum(row_of, rows[:, None] - 1)  # (B, S)
        numbers = torch.arange(most, device=frames.device)
        member = (row_of[:, None, :] == numbers[None, :, None]) & (at < steps[:, None])[:, None, :]
        pick = member.to(outputs.dtype)[:, None]  # (B, 1, K, S)
        counts = pick.sum(3, keepdim=True).clamp(min=1.0)  # (B, 1, K, 1)
        mean = torch.matmul(pick, outputs) / counts  # (B, L, K, D)
        distance = outputs - torch.matmul(pick.transpose(2, 3), mean)  # (B, L, S, D)
        spread = (torch.matmul(pick, distance * distance) / counts).sqrt()
        return torch.stack((mean, spread), dim=2).permute(0, 3, 2, 1, 4)


def encode(
    embed: Embed, chunks: Sequence[Frames], spec: EmbeddingSpec, device: torch.device | str = "cpu"
) -> list[Rows]:
    """Returns the rows (k, 2, layers, d_model) of each chunk (T, n_mels), in half precision.

    Chunks of about the same length are encoded together, padded to few lengths. They have the same
    rows alone.

    Args:
        embed: a `ChunkEncoder`, or that of an artifact.
        device: where its weights are.
    """
    found: dict[int, Rows] = {}
    lengths = [len(frames) for frames in chunks]
    order = sorted(range(len(chunks)), key=lambda number: lengths[number])
    while order:
        padded = next(size for size in padded_frames(spec) if size >= lengths[order[0]])
        batch = [number for number in order[:BATCH_CHUNKS] if lengths[number] <= padded]
        order = order[len(batch) :]
        frames = np.zeros((len(batch), padded, spec.frames.n_mels), np.float32)
        for row, number in enumerate(batch):
            frames[row, : lengths[number]] = chunks[number]
        of_batch = torch.tensor([lengths[number] for number in batch])
        with torch.inference_mode():
            rows = embed(torch.from_numpy(frames).to(device), of_batch.to(device)).half().cpu()
        for number, of_chunk in zip(batch, rows.numpy(), strict=True):
            found[number] = of_chunk[: spec.rows_in(lengths[number])].copy()
    return [found[number] for number in range(len(chunks))]


def encode_waiting(
    embed: Embed,
    windows: Sequence[ChunkedInput],
    spec: EmbeddingSpec,
    device: torch.device | str = "cpu",
) -> None:
    """Encodes the chunks of windows and of their baselines that are not encoded yet, each once."""
    waiting = list(dict.fromkeys(chunk for window in windows for chunk in window.waiting))
    waiting.sort(key=lambda chunk: chunk.hops)  # so that few lengths come together
    for start in range(0, len(waiting), STEP_CHUNKS):
        step = waiting[start : start + STEP_CHUNKS]
        rows = encode(embed, [chunk.frames(spec) for chunk in step], spec, device)
        for chunk, of_chunk in zip(step, rows, strict=True):
            chunk.keep(of_chunk)


def padded_frames(spec: EmbeddingSpec) -> list[int]:
    """Returns the numbers of frames to which chunks are padded; most chunks have one of them."""
    return sorted({spec.chunk_hops // 2, spec.chunk_hops, spec.first_hops, spec.longest_hops})


def encoder_operations(config: EncoderConfig, frames: int) -> int:
    """Returns the floating-point operations of one chunk: two for each use of a weight.

    Elementwise operations are left out.
    """
    steps, d_model = (frames + 1) // 2, config.d_model
    total = 3 * d_model * (frames * config.n_mels + steps * d_model)  # the convolutions
    of_weights = 4 * d_model**2 + 2 * d_model * config.d_inner
    of_attention = 2 * steps * d_model
    return 2 * (total + config.layers * steps * (of_weights + of_attention))
