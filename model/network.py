"""The paper's network: Bi-LSTM, self-attention, emotion and style heads (section 2, table 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from model.labels import EMOTIONS, STYLES


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Every size of the network. The defaults are the paper's table 2."""

    d_frame: int = 40  # numbers a frame
    d_lstm: int = 256  # cells a direction
    d_att: int = 512  # nodes in attention
    d_den1: int = 4096  # nodes in FC1
    d_den2: int = 1024  # nodes in FC2
    n_head: int = 8  # heads in attention
    n_att_layers: int = 1
    dropout: float = 0.2  # after each Bi-LSTM layer (section 4.2)
    # Where the paper is silent:
    lstm_layers: int = 2  # "each Bi-LSTM layer", "both Bi-LSTM layers": two
    mask_padding: bool = False  # "padded with zeros", and no word of a mask
    padded_frames: int = 748  # without the mask, every window is heard as 7.5 s
    d_style: int = 1024  # the style branch's hidden nodes, as wide as FC2
    # Channels of convolutions before the Bi-LSTM, each halving the frame rate. The paper has none.
    conv_channels: tuple[int, ...] = ()
    conv_width: int = 5  # frames
    # Functionals of the window that the heads are told beside what attention heard, each against
    # the caller's own (`model.speaker_baseline`). The paper has none.
    functionals: int = 0
    d_voice: int = 256  # nodes for either of the two then
    head_dropout: float = 0.0  # there, and before FC2
    members: int = 1  # networks of all these sizes, which answer together. The paper has one

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
    # The same family for two CPU cores: a twentieth of the operations a window and of the weights.
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
    """(B,) lengths to (B, steps) booleans, true where there is something to hear."""
    return torch.arange(steps, device=lengths.device)[None, :] < lengths[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """(B,) lengths to the (steps * B,) row numbers that turn a flat (steps * B, C) round in time.

    Each utterance is turned within its own length; what lies behind it stays.
    """
    at = torch.arange(steps, device=lengths.device)[:, None]  # (T, 1)
    mirrored = lengths[None, :] - 1 - at  # (T, B)
    source = torch.where(mirrored >= 0, mirrored, at)
    rows = torch.arange(lengths.shape[0], device=lengths.device)[None, :]  # (1, B)
    return (source * lengths.shape[0] + rows).flatten()


class BiLstm(nn.Module):
    """One Bi-LSTM layer that never hears padding: both directions begin at an utterance's end.

    Time comes first, as the kernels want it: anything else costs a copy at every layer.
    """

    def __init__(self, d_in: int, d_lstm: int) -> None:
        super().__init__()
        self.forward_lstm = nn.LSTM(d_in, d_lstm)
        self.backward_lstm = nn.LSTM(d_in, d_lstm)

    def forward(self, frames: Tensor, turn: Tensor) -> Tensor:
        ahead, _ = self.forward_lstm(frames)  # (T, B, H)
        turned = frames.flatten(0, 1).index_select(0, turn).view_as(frames)
        back, _ = self.backward_lstm(turned)  # (T, B, H)
        back = back.flatten(0, 1).index_select(0, turn).view_as(ahead)
        return torch.cat((ahead, back), dim=2)  # (T, B, 2H)


class SelfAttention(nn.Module):
    """Equations 1 and 2: each head's weighted sum over time, side by side."""

    def __init__(self, d_in: int, d_att: int, n_head: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_in, d_att, bias=False)
        self.w2 = nn.Linear(d_att, n_head, bias=False)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        energy = self.w2(torch.tanh(self.w1(hidden)))  # (T, B, heads)
        heard = mask_of(lengths, hidden.shape[0]).transpose(0, 1)[:, :, None]  # (T, B, 1)
        weights = energy.masked_fill(~heard, float("-inf")).softmax(dim=0)  # (T, B, heads)
        sums = torch.bmm(weights.permute(1, 2, 0), hidden.transpose(0, 1))  # (B, heads, 2H)
        return sums.flatten(1)


class AttentionOnly(nn.Module):
    """The heads are told what attention heard, and nothing else, as in the paper."""

    def forward(
        self, attended: Tensor, functionals: Tensor, before: Tensor, utterances: Tensor
    ) -> Tensor:
        return attended


class WithSpeakerBaseline(nn.Module):
    """The heads are told, beside what attention heard, how far the voice is from its own baseline.

    The baseline is the mean of the caller's utterances before, among which the mean of all voices
    of the training counts as one more: whoever has not spoken yet is measured by that alone.
    """

    def __init__(self, d_attended: int, config: NetworkConfig) -> None:
        super().__init__()
        self.known = 8.0  # utterances from which on a voice counts as well known
        self.farthest = 6.0  # spreads
        self.mean = nn.Buffer(torch.zeros(config.functionals))  # of all voices
        self.spread = nn.Buffer(torch.ones(config.functionals))  # within a voice
        self.attended = nn.Sequential(
            nn.Linear(d_attended, config.d_voice), nn.BatchNorm1d(config.d_voice), nn.ReLU()
        )
        self.told = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.functionals + 1, config.d_voice),
            nn.BatchNorm1d(config.d_voice),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(config.head_dropout)

    def forward(
        self, attended: Tensor, functionals: Tensor, before: Tensor, utterances: Tensor
    ) -> Tensor:
        count = utterances[:, None]  # (B, 1)
        own = (self.mean + count * before) / (1.0 + count)  # (B, F)
        far = ((functionals - own) / self.spread).clamp(-self.farthest, self.farthest)
        known = count.clamp(max=self.known) * (2.0 / self.known) - 1.0
        told = self.told(torch.cat((far, known), dim=1))
        heard: Tensor = self.dropout(torch.cat((self.attended(attended), told), dim=1))
        return heard


class Member(nn.Module):
    """The paper's network: normalised log-mel frames of an utterance to logits."""

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
        d_heard = 2 * config.d_voice if config.functionals else d_attended
        self.emotion = nn.Sequential(
            nn.Linear(d_heard, config.d_den1),
            nn.ReLU(),
            nn.Dropout(config.head_dropout),
            nn.Linear(config.d_den1, config.d_den2),
            nn.ReLU(),
            nn.Linear(config.d_den2, len(EMOTIONS)),
        )
        self.style = nn.Sequential(
            nn.Linear(d_heard, config.d_style),
            nn.ReLU(),
            nn.Linear(config.d_style, len(STYLES)),
        )

    def forward(
        self,
        frames: Tensor,  # (B, T, d_frame), normalised
        lengths: Tensor,  # (B,) int64, 1 <= length <= T
        functionals: Tensor,  # (B, functionals) of the same frames, not normalised
        before: Tensor,  # (B, functionals) mean of those of the caller's utterances before
        utterances: Tensor,  # (B,) float, how many those were
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, 4) and (B, 2).

        The answer doesn't depend on what or how much is padded: with `mask_padding` it is never
        heard, without it every window is heard padded with zeros to `padded_frames`.
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
        turn = reversal(lengths, hidden.shape[0])
        for lstm in self.lstms:
            hidden = self.dropout(lstm(hidden, turn))  # (T, B, 2H)
        attended = self.attention(hidden, lengths)  # (B, heads * 2H)
        heard = self.voice(attended, functionals, before, utterances)
        return self.emotion(heard), self.style(heard)


class EmotionNetwork(nn.Module):
    """Networks that began with other weights: the mean of their logits is the answer.

    They are told the same at the same time, but none learns from another, so they err apart.
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
        before: Tensor,
        utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, 4) and (B, 2), of what a `Member` is told."""
        emotion: list[Tensor] = []
        style: list[Tensor] = []
        for member in self.members:
            of_emotion, of_style = member(frames, lengths, functionals, before, utterances)
            emotion.append(of_emotion)
            style.append(of_style)
        return torch.stack(emotion).mean(0), torch.stack(style).mean(0)


def operations(config: NetworkConfig, frames: int) -> int:
    """Floating-point operations of one window: two a weight used, elementwise work left out."""
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
    d_heard = d_in * config.n_head
    if config.functionals:
        total += (d_heard + config.functionals + 1) * config.d_voice
        d_heard = 2 * config.d_voice
    total += d_heard * config.d_den1 + config.d_den1 * config.d_den2 + config.d_den2 * len(EMOTIONS)
    total += d_heard * config.d_style + config.d_style * len(STYLES)
    return 2 * total * config.members
