"""The paper's network: Bi-LSTM, self-attention, emotion and style heads (section 2, table 2).

Beside the paper's own sizes it can have convolutions before the Bi-LSTM, functionals measured
against a speaker baseline, and several members; on embeddings also principal components of both,
and a linear share of the emotions' logits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from model.bilstm import BiLstm, mask_of, reversal
from model.labels import EMOTIONS, STYLES
from model.projection import NoProjection, Projection
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
    # For embeddings: of a frame's numbers, and of the functionals, the network is given so many
    # principal components (`model.projection`); 0: the numbers themselves.
    d_projected: int = 0
    functionals_projected: int = 0
    input_dropout: float = 0.0  # of a frame's numbers
    plain_functionals: bool = False  # beside their distance from the baseline, d_voice nodes more
    # The emotions' logits have a share that is linear in the functionals and their distance.
    linear: bool = False
    linear_dropout: float = 0.0  # of these

    def __post_init__(self) -> None:
        if self.n_att_layers != 1:
            raise ValueError(
                f"n_att_layers is {self.n_att_layers}, only 1 is built (paper table 2)"
            )
        if self.members < 1:
            raise ValueError(f"members is {self.members}, expected 1 or more")
        if self.conv_width % 2 == 0:
            raise ValueError(f"conv_width is {self.conv_width}, expected an odd number of frames")
        if not self.functionals and (
            self.functionals_projected or self.plain_functionals or self.linear
        ):
            raise ValueError(
                "functionals is 0, expected some: functionals_projected, plain_functionals and "
                "linear are of those"
            )

    @property
    def d_bottom(self) -> int:
        """Numbers of a frame that a member is given."""
        return self.d_projected or self.d_frame

    @property
    def d_functionals(self) -> int:
        """Functionals, or components of them, that a member is given."""
        return self.functionals_projected or self.functionals

    @property
    def voice_parts(self) -> int:
        """Groups of d_voice nodes that the heads are given, where there are functionals."""
        return 3 if self.plain_functionals else 2


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
        # Spreads. Components are of distances that are limited already.
        self.farthest = float("inf") if config.functionals_projected else 6.0
        self.mean = nn.Buffer(torch.zeros(config.d_functionals))  # of all voices
        self.spread = nn.Buffer(torch.ones(config.d_functionals))  # within a voice
        self.attended = nn.Sequential(
            nn.Linear(d_attended, config.d_voice), nn.BatchNorm1d(config.d_voice), nn.ReLU()
        )
        self.distance = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.d_functionals + 1, config.d_voice),
            nn.BatchNorm1d(config.d_voice),
            nn.ReLU(),
        )
        self.plain = (
            nn.Sequential(
                nn.Dropout(config.dropout),
                nn.Linear(config.d_functionals, config.d_voice),
                nn.BatchNorm1d(config.d_voice),
                nn.ReLU(),
            )
            if config.plain_functionals
            else None
        )
        self.dropout = nn.Dropout(config.head_dropout)

    def spreads(self, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor) -> Tensor:
        """Returns the distance (B, F) from the baseline, in spreads."""
        count = baseline_utterances[:, None]  # (B, 1)
        mean = (self.mean + count * baseline) / (1.0 + count)  # (B, F)
        return ((functionals - mean) / self.spread).clamp(-self.farthest, self.farthest)

    def forward(
        self, attended: Tensor, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor
    ) -> Tensor:
        """Returns (B, voice_parts * d_voice)."""
        spreads = self.spreads(functionals, baseline, baseline_utterances)
        count = baseline_utterances[:, None].clamp(max=self.complete)
        completeness = count * (2.0 / self.complete) - 1.0  # -1 to 1
        parts = [self.attended(attended), self.distance(torch.cat((spreads, completeness), dim=1))]
        if self.plain is not None:
            parts.append(self.plain((functionals - self.mean) / self.spread))
        joined: Tensor = self.dropout(torch.cat(parts, dim=1))
        return joined


class LinearShare(nn.Module):
    """A share of the emotions' logits that is linear in functionals and distance; zero at first."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.linear_dropout)
        self.logits = nn.Linear(2 * config.d_functionals, len(EMOTIONS))
        nn.init.zeros_(self.logits.weight)

    def forward(self, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor) -> Tensor:
        """Returns (B, 4); the mean of all voices counts as one more utterance of the baseline."""
        count = baseline_utterances[:, None]
        distance = functionals - baseline * (count / (1.0 + count))
        logits: Tensor = self.logits(self.dropout(torch.cat((functionals, distance), dim=1)))
        return logits


class Member(nn.Module):
    """One network of the paper: normalised log-mel frames of a window to logits."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.mask_padding = config.mask_padding
        self.padded_frames = config.padded_frames
        width, padding = config.conv_width, config.conv_width // 2
        self.input_dropout = nn.Dropout(config.input_dropout)
        channels = (config.d_bottom, *config.conv_channels)
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
        self.linear = LinearShare(config) if config.linear else None
        d_head_in = d_heads(config)
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
        frames: Tensor,  # (B, T, d_bottom), normalised
        lengths: Tensor,  # (B,) int64, 1 <= length <= T
        functionals: Tensor,  # (B, d_functionals) of the same frames, not normalised
        baseline: Tensor,  # (B, d_functionals) mean of the caller's earlier utterances
        baseline_utterances: Tensor,  # (B,) float, how many those are
    ) -> tuple[Tensor, Tensor]:
        """Returns the logits of the emotions (B, 4) and of the styles (B, 2).

        They do not depend on the length or content of the padding: with `mask_padding` it is
        ignored; without it every window is padded with zeros to `padded_frames`.
        """
        voice = self.head_inputs(frames, lengths, functionals, baseline, baseline_utterances)
        return self.logits(voice, functionals, baseline, baseline_utterances)

    def head_inputs(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> Tensor:
        """Returns what the heads are given of a window (B, `d_heads`)."""
        frames = frames.masked_fill(~mask_of(lengths, frames.shape[1])[:, :, None], 0.0)
        if not self.mask_padding:
            frames = pad(frames, (0, 0, 0, max(0, self.padded_frames - frames.shape[1])))
            lengths = torch.full_like(lengths, frames.shape[1])
        bands = self.input_dropout(frames).transpose(1, 2)  # (B, d_bottom, T)
        for convolution in self.convolutions:
            bands = convolution(bands)  # (B, C, T / 2)
            lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
            bands = bands.masked_fill(~mask_of(lengths, bands.shape[2])[:, None, :], 0.0)
        hidden = bands.permute(2, 0, 1).contiguous()  # (T, B, C)
        rows = reversal(lengths, hidden.shape[0])
        for lstm in self.lstms:
            hidden = self.dropout(lstm(hidden, rows))  # (T, B, 2H)
        attended = self.attention(hidden, lengths)  # (B, heads * 2H)
        voice: Tensor = self.voice(attended, functionals, baseline, baseline_utterances)
        return voice

    def logits(
        self, voice: Tensor, functionals: Tensor, baseline: Tensor, baseline_utterances: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the logits of emotion (B, 4) and style (B, 2) from the inputs of the heads."""
        emotion = self.emotion(voice)
        if self.linear is not None:
            emotion = emotion + self.linear(functionals, baseline, baseline_utterances)
        return emotion, self.style(voice)


class EmotionNetwork(nn.Module):
    """Members that were initialised with different weights; their logits are averaged.

    Each is given the same batches in training but is trained by its own loss, so that their errors
    differ.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = (
            Projection(config.d_frame, config.d_projected) if config.d_projected else NoProjection()
        )
        self.functionals = (
            Projection(config.functionals, config.functionals_projected)
            if config.functionals_projected
            else NoProjection()
        )
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))

    @torch.jit.export
    def projected(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns the arguments of a `Member`; frames are (B, T, d_frame), functionals (B, F)."""
        heard = (baseline_utterances > 0).to(frames.dtype)[:, None]  # no baseline stays zeros
        return (
            self.frames(frames),
            lengths,
            self.functionals(functionals),
            self.functionals(baseline) * heard,
            baseline_utterances,
        )

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns the mean logits (B, 4) and (B, 2); the arguments are those of `projected`."""
        frames, lengths, functionals, baseline, baseline_utterances = self.projected(
            frames, lengths, functionals, baseline, baseline_utterances
        )
        emotion: list[Tensor] = []
        style: list[Tensor] = []
        for member in self.members:
            of_emotion, of_style = member(
                frames, lengths, functionals, baseline, baseline_utterances
            )
            emotion.append(of_emotion)
            style.append(of_style)
        return torch.stack(emotion).mean(0), torch.stack(style).mean(0)


def d_heads(config: NetworkConfig) -> int:
    """Returns how many numbers the heads of a member are given of a window."""
    if config.functionals:
        return config.voice_parts * config.d_voice
    return 2 * config.d_lstm * config.n_head


def operations(config: NetworkConfig, frames: int) -> int:
    """Returns the floating-point operations of one window: two for each use of a weight.

    Elementwise operations are left out.
    """
    steps = frames if config.mask_padding else max(frames, config.padded_frames)
    total, d_in, shared = 0, config.d_bottom, 0
    if config.d_projected:
        shared += steps * config.d_frame * config.d_projected
    if config.functionals_projected:
        shared += 2 * config.functionals * config.functionals_projected
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
        total += (d_head_in + config.d_functionals + 1) * config.d_voice
        total += config.d_functionals * config.d_voice if config.plain_functionals else 0
        total += 2 * config.d_functionals * len(EMOTIONS) if config.linear else 0
        d_head_in = config.voice_parts * config.d_voice
    total += d_head_in * config.d_den1
    total += config.d_den1 * config.d_den2 + config.d_den2 * len(EMOTIONS)
    total += d_head_in * config.d_style + config.d_style * len(STYLES)
    return 2 * (total * config.members + shared)
