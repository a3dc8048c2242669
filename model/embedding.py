"""Speech as embeddings: how a stretch of speech is cut into chunks, and what is kept of each.

The encoder runs once over each chunk. Chunks lie on a grid that begins with the stretch, so that
training and the service cut alike: a window is the last chunks of at most 7.5 s together, and the
next window shares all of them but the first. Of a chunk only its rows are kept: the mean and the
spread of each output of the encoder over about 0.2 s. Neither words nor the voice can be made of
those again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.audio import Pcm
from model.encoder_config import WHISPER_BASE, EncoderConfig
from model.encoder_frames import EncoderFrameSpec, encoder_frames
from model.features import Frames
from model.functionals import Functionals
from model.gate import HOP_S, HOP_SAMPLES

Rows = NDArray[np.float16]  # (n, 2, layers, d_model): mean and spread of each output
Weights = NDArray[np.float32]  # (n,) steps of 20 ms in each row

MEAN, SPREAD = 0, 1  # of a row's second dimension


class Span(NamedTuple):
    """A chunk within its stretch of speech: the hops of 10 ms in [start, end) from its start."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """How speech becomes the embeddings that a network is given in place of log-mel frames.

    It is saved in every artifact with an encoder, where its field names are fixed.

    Raises:
        ValueError: the values do not fit each other.
    """

    frames: EncoderFrameSpec = field(default_factory=EncoderFrameSpec)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    digest: str = WHISPER_BASE[3]  # `Encoder.digest` of the encoder's weights
    row_steps: int = 10  # steps of 20 ms in a row; the last row of a chunk takes the remainder
    first_chunk_s: float = 1.5  # of a stretch
    chunk_s: float = 1.0  # of the other chunks
    least_chunk_s: float = 0.3  # a shorter rest of a stretch is joined to the chunk before
    window_s: float = 7.5  # longest window

    def __post_init__(self) -> None:
        if self.encoder.n_mels != self.frames.n_mels:
            raise ValueError(
                f"embedding: an encoder of {self.encoder.n_mels} bands, "
                f"expected the {self.frames.n_mels} of its frames"
            )
        if self.frames.hop_samples != HOP_SAMPLES:
            raise ValueError(
                f"embedding: frames every {self.frames.hop_samples} samples, expected the gate's "
                f"hop, {HOP_SAMPLES}"
            )
        if self.row_steps < 1:
            raise ValueError(f"embedding: row_steps is {self.row_steps}, expected 1 or more")
        if not HOP_S * 2 <= self.least_chunk_s <= min(self.first_chunk_s, self.chunk_s):
            raise ValueError(
                f"embedding: least_chunk_s is {self.least_chunk_s}, expected {HOP_S * 2} to the "
                f"shorter of {self.first_chunk_s} and {self.chunk_s}"
            )
        positions_s = 2 * self.encoder.positions * HOP_S
        if not self.longest_hops * HOP_S <= min(self.window_s, positions_s):
            raise ValueError(
                f"embedding: chunks are up to {self.longest_hops * HOP_S:.2f} s long, expected at "
                f"most the window, {self.window_s} s, and the encoder's {positions_s:.2f} s"
            )

    @property
    def layers(self) -> int:
        """Outputs of the encoder that are in a row."""
        return len(self.encoder.outputs)

    @property
    def d_frame(self) -> int:
        """Numbers that the network is given of a row (`head_frames`)."""
        return 2 * self.layers * self.encoder.d_model

    @property
    def functionals(self) -> int:
        """Returns F, the number of functionals of a window (`statistics`)."""
        return 2 * self.layers * self.encoder.d_model

    @property
    def first_hops(self) -> int:
        return round(self.first_chunk_s / HOP_S)

    @property
    def chunk_hops(self) -> int:
        return round(self.chunk_s / HOP_S)

    @property
    def least_hops(self) -> int:
        return round(self.least_chunk_s / HOP_S)

    @property
    def window_hops(self) -> int:
        return round(self.window_s / HOP_S)

    @property
    def longest_hops(self) -> int:
        """Hops, and frames, of the longest chunk: one with a rest joined to it."""
        return max(self.first_hops, self.chunk_hops) + self.least_hops - 1

    @property
    def window_rows(self) -> int:
        """Rows that a window has at most."""
        of_chunk, of_first = self.rows_in(self.chunk_hops), self.rows_in(self.first_hops)
        most = 0
        for last in range(1, self.longest_hops + 1):
            before = self.window_hops - last
            rows = before // self.chunk_hops * of_chunk
            if before >= self.first_hops:
                of_others = (before - self.first_hops) // self.chunk_hops * of_chunk
                rows = max(rows, of_first + of_others)
            most = max(most, rows + self.rows_in(last))
        return most

    def rows_in(self, frames: int) -> int:
        """Returns the rows of a chunk of so many frames, of which two make a step."""
        return rows_in((frames + 1) // 2, self.row_steps)

    def weights(self, frames: int) -> Weights:
        """Returns how many steps are in each row (k,) of a chunk of so many frames."""
        steps, rows = (frames + 1) // 2, self.rows_in(frames)
        weights = np.full(rows, self.row_steps, np.float32)
        weights[-1] = steps - (rows - 1) * self.row_steps
        return weights

    def boundary_before(self, hops: int) -> int:
        """Returns the last boundary of the grid at or before a hop of a stretch; 0 is the first."""
        if hops < self.first_hops:
            return 0
        return hops - (hops - self.first_hops) % self.chunk_hops

    def boundary_after(self, hops: int) -> int:
        """Returns the first boundary of the grid at or after a hop of a stretch, but not 0."""
        past = max(0, hops - self.first_hops)
        return self.first_hops + -(-past // self.chunk_hops) * self.chunk_hops

    def chunk_spans(self, hops: int, first: int = 0) -> list[Span]:
        """Returns the chunks of a stretch of so many hops, from the chunk numbered `first` on.

        The first chunk is `first_chunk_s` long, the others `chunk_s`. The last has what remains: a
        rest shorter than `least_chunk_s` is joined to the chunk before, where there is one. While
        a stretch lasts its chunks stay the same, but for the last one, which may grow.
        """
        full = self.boundary_before(hops)
        count = 0 if full == 0 else 1 + (full - self.first_hops) // self.chunk_hops
        ends = [self.first_hops + number * self.chunk_hops for number in range(first, count)]
        before = 0 if first == 0 else self.first_hops + (first - 1) * self.chunk_hops
        spans = [Span(start, end) for start, end in zip([before, *ends[:-1]], ends, strict=False)]
        rest = hops - full
        if rest and (rest >= self.least_hops or count == 0):
            spans.append(Span(full, hops))
        elif rest and spans:
            spans[-1] = Span(spans[-1].start, hops)
        return spans


def rows_in(steps: int, row_steps: int) -> int:
    """Returns the rows of so many steps: the nearest number to `steps / row_steps`, 1 or more."""
    return max(1, (steps + row_steps // 2) // row_steps)


def chunk_frames(pcm: Pcm, spans: Sequence[Span], spec: EmbeddingSpec) -> list[Frames]:
    """Returns the encoder's frames (T, n_mels) of each chunk of a stretch, int16 (n,) at 8 kHz.

    Each chunk is framed by itself, so that it does not matter how its audio came in.
    """
    return [
        encoder_frames(pcm[span.start * HOP_SAMPLES : span.end * HOP_SAMPLES], spec.frames)
        for span in spans
    ]


def head_frames(rows: Rows) -> Frames:
    """Returns what the network is given of rows (n, 2, layers, d_model): (n, d_frame), single.

    The means of every output come first, then the spreads.
    """
    return rows.reshape(len(rows), -1).astype(np.float32)


def statistics(rows: Rows, weights: Weights) -> Functionals:
    """Returns the functionals (F,) of a window's rows (n, 2, layers, d_model), n at least 1.

    They are the mean and the spread of each output over all of its steps, of which a row stands
    for as many as its weight (n,): the means of every output first, then the spreads. The spread
    is that within the rows and that between them (law of total variance).
    """
    single = rows.astype(np.float32).reshape(len(rows), 2, -1)
    shares = weights / weights.sum()
    mean = shares @ single[:, MEAN]
    variance = shares @ (single[:, SPREAD] ** 2 + (single[:, MEAN] - mean) ** 2)
    return np.concatenate((mean, np.sqrt(variance)))
