"""The Bi-LSTM over windows of different lengths, and the masks of their padding."""

import torch
from torch import Tensor, nn


def mask_of(lengths: Tensor, steps: int) -> Tensor:
    """Returns (B, steps) booleans that are true within the lengths (B,), false in the padding."""
    return torch.arange(steps, device=lengths.device)[None, :] < lengths[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """Returns the row numbers (steps * B,) that reverse a flat (steps * B, C) in time.

    Each window is reversed within its own length (B,); its padding stays in place.
    """
    at = torch.arange(steps, device=lengths.device)[:, None]  # (T, 1)
    mirrored = lengths[None, :] - 1 - at  # (T, B)
    source = torch.where(mirrored >= 0, mirrored, at)
    rows = torch.arange(lengths.shape[0], device=lengths.device)[None, :]  # (1, B)
    return (source * lengths.shape[0] + rows).flatten()


class BiLstm(nn.Module):
    """One Bi-LSTM layer that ignores padding: the backward direction begins at a window's own end.

    Time is the first dimension, as the kernels expect it; another order costs a copy in each layer.
    """

    def __init__(self, d_in: int, d_lstm: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(d_in, d_lstm)
        self.backward_lstm = nn.LSTM(d_in, d_lstm)

    def forward(self, frames: Tensor, rows: Tensor) -> Tensor:
        """Takes frames (T, B, C) and their `reversal`; returns (T, B, 2H)."""
        forward, _ = self.forward_lstm(frames)  # (T, B, H)
        reversed_frames = frames.flatten(0, 1).index_select(0, rows).view_as(frames)
        backward, _ = self.backward_lstm(reversed_frames)  # (T, B, H)
        backward = backward.flatten(0, 1).index_select(0, rows).view_as(forward)
        return torch.cat((forward, backward), dim=2)  # (T, B, 2H)
