"""A window of chunks, encoded later, and what the network is given of it then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.audio import Pcm
from model.embedding import EmbeddingSpec, Rows, head_frames, statistics
from model.encoder_frames import encoder_frames
from model.features import Frames
from model.functionals import Functionals
from model.gate import HOP_SAMPLES
from model.speaker_baseline import ModelInput


class Chunk:
    """One chunk of a track's speech, which its windows and the speaker baseline share.

    It holds its audio until it is encoded, 16 kB a second, and then only its rows: 31 kB a second
    of three layers of 512. It is made and left out in one thread, and encoded in another.

    Args:
        pcm: (n,) int16 at 8 kHz, a whole number of hops.
    """

    __slots__ = ("_is_left_out", "_pcm", "_rows", "hops")

    def __init__(self, pcm: Pcm) -> None:
        assert len(pcm) % HOP_SAMPLES == 0, len(pcm)
        self.hops = len(pcm) // HOP_SAMPLES  # as many as frames
        self._pcm: Pcm | None = pcm
        self._rows: Rows | None = None
        self._is_left_out = False

    @property
    def is_encoded(self) -> bool:
        return self._rows is not None

    @property
    def is_waiting(self) -> bool:
        """Whether it must be encoded before a window that contains it is scored."""
        return self._rows is None and not self._is_left_out

    def leave_out(self) -> None:
        """Leaves it out of later windows, unless it is encoded or about to be."""
        self._is_left_out = True

    @property
    def rows(self) -> Rows:
        """The rows (k, 2, layers, d_model) of a chunk that is encoded."""
        assert self._rows is not None
        return self._rows

    def frames(self, spec: EmbeddingSpec) -> Frames:
        """Returns the encoder's frames (T, n_mels) of a chunk that is not encoded."""
        assert self._pcm is not None
        return encoder_frames(self._pcm, spec.frames)

    def keep(self, rows: Rows) -> None:
        """Takes the rows (k, 2, layers, d_model) in place of the audio."""
        self._rows = rows
        self._pcm = None


class ChunkedUtterance:
    """An utterance of a speaker baseline, of which its functionals are left once it is encoded."""

    __slots__ = ("_chunks", "_functionals")

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = tuple(chunks)
        self._functionals: Functionals | None = None

    @property
    def waiting(self) -> Iterator[Chunk]:
        """The chunks that must be encoded before `functionals`."""
        return (chunk for chunk in self._chunks if chunk.is_waiting)

    def functionals(self, spec: EmbeddingSpec) -> Functionals:
        """Returns the functionals (F,), NaN if all of it was left out; keeps no chunk any more."""
        if self._functionals is None:
            if any(chunk.is_encoded for chunk in self._chunks):
                _, self._functionals = _joined(self._chunks, spec)
            else:
                self._functionals = np.full(spec.functionals, np.nan, np.float32)
            self._chunks = ()
        return self._functionals


@dataclass(frozen=True, slots=True, eq=False)
class ChunkedInput:
    """A window of a model with an encoder, from which its `ModelInput` is made once encoded."""

    chunks: tuple[Chunk, ...]
    functionals: Functionals  # of its log-mel frames, by which the speech check judges it
    utterances: tuple[ChunkedUtterance, ...]  # of the speaker baseline before the window

    @property
    def waiting(self) -> Iterator[Chunk]:
        """The chunks that must be encoded before `model_input`; one may come twice."""
        yield from (chunk for chunk in self.chunks if chunk.is_waiting)
        for utterance in self.utterances:
            yield from utterance.waiting

    def leave_out(self) -> None:
        """Leaves what is not encoded out of later windows, because this one is not scored in time.

        Otherwise dropped windows would save little: a later window would have all of it encoded.
        """
        for chunk in self.chunks:
            chunk.leave_out()

    def rows(self, spec: EmbeddingSpec) -> int:
        """Returns how many rows the window has at most."""
        return sum(spec.rows_in(chunk.hops) for chunk in self.chunks)

    def model_input(self, spec: EmbeddingSpec) -> ModelInput:
        """Returns what the network is given of the window; none of its chunks may be waiting.

        Chunks that were left out are missing. An utterance of which nothing is left, or that the
        encoder could not represent, is not in the baseline.
        """
        rows, functionals = _joined(self.chunks, spec)
        utterances = [utterance.functionals(spec) for utterance in self.utterances]
        finite = [utterance for utterance in utterances if np.isfinite(utterance).all()]
        baseline = np.zeros(spec.functionals, np.float32)
        for utterance in finite:
            baseline += utterance / np.float32(len(finite))
        return ModelInput(head_frames(rows), functionals, baseline, len(finite))


WindowInput = ModelInput | ChunkedInput  # what a scorer takes


def _joined(chunks: Sequence[Chunk], spec: EmbeddingSpec) -> tuple[Rows, Functionals]:
    """Returns the rows of those chunks that are encoded together, and their functionals (F,)."""
    encoded = [chunk for chunk in chunks if chunk.is_encoded]
    rows = np.concatenate([chunk.rows for chunk in encoded])
    weights = np.concatenate([spec.weights(chunk.hops) for chunk in encoded])
    return rows, statistics(rows, weights)
