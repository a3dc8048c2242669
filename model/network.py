"""The paper's network: Bi-LSTM, self-attention, emotion and style heads (section 2, table 2).

Beside the paper's own sizes it can have convolutions before the Bi-LSTM, functionals measured
against a speaker baseline, and several members.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from model.labels import EMOTIONS, STYLES
from model.speaker_baseline import BASELINE_UTTERANCES


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Every size of the network. The defaults are the paper's table 2.

    It is saved in every checkpoint, where its field names are fixed.

    Raises:
        ValueError: a network of these sizes cannot be built.
    """

    d_frame: int = 40  # features per frame
    d_lstm: int = 256  # cells per direction
    d_att: int = 512  # nodes in attention
    d_den1: int = 4096  # nodes in FC1
    d_den2: int = 1024  # nodes in FC2
    n_head: int = 8  # heads in attention
    n_att_layers: int = 1
    dropout: float = 0.2  # after each Bi-LSTM layer (section 4.2)
    # Where the paper is silent:
    lstm_layers: int = 2  # "each Bi-LSTM layer", "both Bi-LSTM layers": two
    mask_padding: bool = False  # "padded with zeros"; the paper mentions no mask
    padded_frames: int = 748  # without the mask, every window is padded to 7.5 s
    d_style: int = 1024  # the style branch's hidden nodes, as wide as FC2
    # Channels of convolutions before the Bi-LSTM, each halving the frame rate. The paper has none.
    conv_channels: tuple[int, ...] = ()
    conv_width: int = 5  # frames
    # Functionals of the window that the heads are given beside the output of the attention, each
    # relative to the speaker baseline (`model.speaker_baseline`). The paper has none.
    functionals: int = 0
    d_voice: int = 256  # nodes for either of the two, where there are functionals
    head_dropout: float = 0.0  # after those nodes, and before FC2
    members: int = 1  # networks of these sizes whose logits are averaged; the paper has one

    def __post_init__(self) -> None:
        if self.n_att_layers != 1:
            raise ValueError(
                f"n_att_layers is {self.n_att_layers}, only 1 is built (paper table 2)"
            )
        if self.members < 1:
            raise ValueError(f"members is {self.members}, expected 1 or more")
        if self.conv_width % 2 == 0:
            raise ValueError(f"conv_width is {self.conv_width}, expected an odd number of frames")


PRESETS = {
    "paper": NetworkConfig(),
    # The same family for two CPU cores: a twentieth of the operations and of the weights.
    "compact": NetworkConfig(
        d_lstm=128,
        d_att=128,
        d_den1=256,
        d_den2=128,
        d_style=64,
        mask_padding=True,
        conv_channels=(48, 96, 128),
    ),
}


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


class SelfAttention(nn.Module):
    """Self-attention of equations 1 and 2: each head's weighted sum over time, concatenated."""

    def __init__(self, d_in: int, d_att: int, n_head: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_in, d_att, bias=False)
        self.w2 = nn.Linear(d_att, n_head, bias=False)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Takes hidden states (T, B, 2H) and lengths (B,); returns (B, heads * 2H)."""
        energy = self.w2(torch.tanh(self.w1(hidden)))  # (T, B, heads)
        within = mask_of(lengths, hidden.shape[0]).transpose(0, 1)[:, :, None]  # (T, B, 1)
        weights = energy.masked_fill(~within, float("-inf")).softmax(dim=0)  # (T, B, heads)
        sums = torch.bmm(weights.permute(1, 2, 0), hidden.transpose(0, 1))  # (B, heads, 2H)
        return sums.flatten(1)


class AttentionOnly(nn.Module):
    """Gives the heads the output of the attention and nothing else, as in the paper."""

    def forward(
        self, attended: Tensor, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor
    ) -> Tensor:
        return attended


class WithSpeakerBaseline(nn.Module):
    """Gives the heads, beside the output of the attention, the distance from the speaker baseline.

    The baseline is the mean of the caller's earlier utterances, among which the mean of all voices
    of the training counts as one more: a caller without earlier utterances is measured by that
    alone. A distance is in spreads: the functionals' standard deviations within a voice.
    """

    def __init__(self, d_attended: int, config: NetworkConfig) -> None:
        super().__init__()
        self.complete = float(BASELINE_UTTERANCES)
        self.farthest = 6.0  # spreads
        self.mean = nn.Buffer(torch.zeros(config.functionals))  # of all voices
        self.spread = nn.Buffer(torch.ones(config.functionals))  # within a voice
        self.attended = nn.Sequential(
            nn.Linear(d_attended, config.d_voice), nn.BatchNorm1d(config.d_voice), nn.ReLU()
        )
        self.distance = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.functionals + 1, config.d_voice),
            nn.BatchNorm1d(config.d_voice),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(config.head_dropout)

    def forward(
        self, attended: Tensor, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor
    ) -> Tensor:
        """Returns (B, 2 * d_voice)."""
        count = baseline_utterances[:, None]  # (B, 1)
        mean = (self.mean + count * baseline) / (1.0 + count)  # (B, F)
        spreads = ((functionals - mean) / self.spread).clamp(-self.farthest, self.farthest)
        completeness = count.clamp(max=self.complete) * (2.0 / self.complete) - 1.0  # -1 to 1
        distance = self.distance(torch.cat((spreads, completeness), dim=1))
        both: Tensor = self.dropout(torch.cat((self.attended(attended), distance), dim=1))
        return both


class Member(nn.Module):
    """One network of the paper: normalised log-mel frames of a window to logits."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.mask_padding = config.mask_padding
        self.padded_frames = config.padded_frames
        width, padding = config.conv_width, config.conv_width // 2
        channels = (config.d_frame, *config.conv_channels)
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(c_in, c_out, width, stride=2, padding=padding),
                nn.BatchNorm1d(c_out),
                nn.ReLU(),
            )
            for c_in, c_out in zip(channels[:-1], channels[1:], strict=True)
        )
        d_in = (channels[-1], *[2 * config.d_lstm] * (config.lstm_layers - 1))
        self.lstms = nn.ModuleList(BiLstm(d, config.d_lstm) for d in d_in)
        self.dropout = nn.Dropout(config.dropout)
        self.attention = SelfAttention(2 * config.d_lstm, config.d_att, config.n_head)
        d_attended = 2 * config.d_lstm * config.n_head
        self.voice = (
            WithSpeakerBaseline(d_attended, config) if config.functionals else AttentionOnly()
        )
        d_head_in = 2 * config.d_voice if config.functionals else d_attended
        self.emotion = nn.Sequential(
            nn.Linear(d_head_in, config.d_den1),
            nn.ReLU(),
            nn.Dropout(config.head_dropout),
            nn.Linear(config.d_den1, config.d_den2),
            nn.ReLU(),
            nn.Linear(config.d_den2, len(EMOTIONS)),
        )
        self.style = nn.Sequential(
            nn.Linear(d_head_in, config.d_style),
            nn.ReLU(),
            nn.Linear(config.d_style, len(STYLES)),
        )

    def forward(
        self,
        frames: Tensor,  # (B, T, d_frame), normalised
        lengths: Tensor,  # (B,) int64, 1 <= length <= T
        functionals: Tensor,  # (B, F) of the same frames, not normalised
        baseline: Tensor,  # (B, F) mean functionals of the caller's earlier utterances
        baseline_utterances: Tensor,  # (B,) float, how many those are
    ) -> tuple[Tensor, Tensor]:
        """Returns the logits of the emotions (B, 4) and of the styles (B, 2).

        They do not depend on the length or content of the padding: with `mask_padding` it is
        ignored; without it every window is padded with zeros to `padded_frames`.
        """
        frames = frames.masked_fill(~mask_of(lengths, frames.shape[1])[:, :, None], 0.0)
        if not self.mask_padding:
            frames = pad(frames, (0, 0, 0, max(0, self.padded_frames - frames.shape[1])))
            lengths = torch.full_like(lengths, frames.shape[1])
        bands = frames.transpose(1, 2)  # (B, d_frame, T)
        for convolution in self.convolutions:
            bands = convolution(bands)  # (B, C, T / 2)
            lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
            bands = bands.masked_fill(~mask_of(lengths, bands.shape[2])[:, None, :], 0.0)
        hidden = bands.permute(2, 0, 1).contiguous()  # (T, B, C)
        rows = reversal(lengths, hidden.shape[0])
        for lstm in self.lstms:
            hidden = self.dropout(lstm(hidden, rows))  # (T, B, 2H)
        attended = self.attention(hidden, lengths)  # (B, heads * 2H)
        voice = self.voice(attended, functionals, baseline, baseline_utterances)
        return self.emotion(voice), self.style(voice)


class EmotionNetwork(nn.Module):
    """Members that were initialised with different weights; their logits are averaged.

    Each is given the same batches in training but is trained by its own loss, so that their errors
    differ.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns the mean logits (B, 4) and (B, 2); the arguments are those of a `Member`."""
        emotion: list[Tensor] = []
        style: list[Tensor] = []
        for member in self.members:
            of_emotion, of_style = member(
                frames, lengths, functionals, baseline, baseline_utterances
            )
            emotion.append(of_emotion)
            style.append(of_style)
        return torch.stack(emotion).mean(0), torch.stack(style).mean(0)


def operations(config: NetworkConfig, frames: int) -> int:
    """Returns the floating-point operations of one window: two for each use of a weight.

    Elementwise operations are left out.
    """
    steps = frames if config.mask_padding else max(frames, config.padded_frames)
    total, d_in = 0, config.d_frame
    for channels in config.conv_channels:
        steps = (steps + 1) // 2
        total += steps * channels * d_in * config.conv_width
        d_in = channels
    for _ in range(config.lstm_layers):
        total += steps * 2 * 4 * config.d_lstm * (d_in + config.d_lstm)
        d_in = 2 * config.d_lstm
    total += steps * (d_in * config.d_att + config.d_att * config.n_head + config.n_head * d_in)
    d_head_in = d_in * config.n_head
    if config.functionals:
        total += (d_head_in + config.functionals + 1) * config.d_voice
        d_head_in = 2 * config.d_voice
    total += d_head_in * config.d_den1
    total += config.d_den1 * config.d_den2 + config.d_den2 * len(EMOTIONS)
    total += d_head_in * config.d_style + config.d_style * len(STYLES)
    return 2 * total * config.members
