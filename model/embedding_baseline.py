"""The speaker baseline of a model with an encoder: the caller's first utterances, encoded later."""

from collections.abc import Sequence
from typing import Protocol

from model.chunked_input import Chunk, ChunkedInput, ChunkedUtterance, WindowInput
from model.embedding import EmbeddingSpec
from model.features import FeatureSpec, Frames
from model.functionals import SHORTEST_FRAMES, functionals
from model.speaker_baseline import BASELINE_UTTERANCES, SpeakerBaseline
from model.speech_check import SpeechCheck


class EmbeddingBaseline:
    """The first utterances of one caller in a call, as a `SpeakerBaseline` has them.

    An utterance is encoded with the first window that is measured against it. After that its
    functionals are kept: 12 kB an utterance of three layers of 512.

    Args:
        spec: of the log-mel frames, by which the speech check judges.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._utterances: tuple[ChunkedUtterance, ...] = ()

    def features(self, frames: Frames, chunks: Sequence[Chunk]) -> ChunkedInput:
        """Returns a window, of log-mel frames (T, n_features) and chunks, with the baseline."""
        return ChunkedInput(tuple(chunks), functionals(frames, self._spec), self._utterances)

    def update(self, frames: Frames, check: SpeechCheck | None, chunks: Sequence[Chunk]) -> None:
        """Adds a finished utterance, unless the baseline is complete or `check` rejects it."""
        if len(self._utterances) == BASELINE_UTTERANCES or not chunks:
            return
        if len(frames) < SHORTEST_FRAMES:
            return
        if check is None or check.accepts(functionals(frames, self._spec)):
            self._utterances = (*self._utterances, ChunkedUtterance(chunks))


class TrackBaseline(Protocol):
    """The speaker baseline of a track, of either kind of model."""

    def features(self, frames: Frames, chunks: Sequence[Chunk]) -> WindowInput:
        """Returns a window, of log-mel frames (T, n_features) and chunks, with the baseline."""

    def update(self, frames: Frames, check: SpeechCheck | None, chunks: Sequence[Chunk]) -> None:
        """Adds a finished utterance, unless the baseline is complete or `check` rejects it."""


def new_baseline(features: FeatureSpec, embedding: EmbeddingSpec | None) -> TrackBaseline:
    """Returns a speaker baseline without utterances for a model of these specs."""
    return EmbeddingBaseline(features) if embedding else SpeakerBaseline(features)
