"""Where the windows of a stretch of speech may end, and the chunks of which they are made."""

from collections import deque
from typing import NamedTuple, Protocol

import numpy as np

from model.audio import Pcm
from model.chunked_input import Chunk
from model.embedding import EmbeddingSpec
from model.features import FeatureSpec
from model.gate import HOP_S, HOP_SAMPLES, GateSpec
from service.calls.recent import Recent

# A log-mel frame reaches 2 hops beyond its own, so the frames that lie wholly within the hops
# [start, end) are those of [start, end - 2).
FRAME_OVERHANG = 2
SPARE_S = 2.0  # of audio that may come in at once


class WindowGrid(Protocol):
    """Where windows may begin and end; all hops count from the last reset of the track."""

    def feed(self, pcm: Pcm) -> None:
        """Takes the track's next samples (n,), int16 at 8 kHz."""

    def begin(self, start: int) -> None:
        """Begins a stretch of speech at a hop."""

    def due(self, hop: int) -> int:
        """Returns the first hop at or after `hop` at which a window may end."""

    def advance(self, end: int) -> int:
        """Returns the last hop at or before the stretch's end at which a window may end."""

    def finish(self, end: int) -> None:
        """Ends the stretch at a hop, at which its last window ends."""

    def window_start(self, end: int) -> int:
        """Returns the hop at which the longest window that ends at `end` begins."""

    def chunks(self, first: int, last: int) -> tuple[Chunk, ...]:
        """Returns the chunks that begin in the hops [first, last)."""


class AnyHop:
    """The grid of a model on log-mel frames: its windows end at any hop, and have no chunks."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._longest = spec.window_frames + FRAME_OVERHANG
        self._start = 0

    def feed(self, pcm: Pcm) -> None:
        """Does nothing: the frames are all that such a model is given."""

    def begin(self, start: int) -> None:
        self._start = start

    def due(self, hop: int) -> int:
        return hop

    def advance(self, end: int) -> int:
        return end

    def finish(self, end: int) -> None:
        """Does nothing with the end of a stretch, for which nothing is kept."""

    def window_start(self, end: int) -> int:
        return max(self._start, end - self._longest)

    def chunks(self, first: int, last: int) -> tuple[Chunk, ...]:
        return ()


class _Placed(NamedTuple):
    """A chunk and the hops [start, end) that it covers."""

    start: int
    end: int
    chunk: Chunk


class ChunkGrid:
    """The grid of a model with an encoder: windows are whole chunks (`EmbeddingSpec.chunk_spans`).

    A chunk is made when speech has reached its end, as a recording of the same stretch would be
    cut. If a stretch ends so soon after a chunk that its rest would be too short for one, the
    chunk is made again with that rest, and encoded again.

    The chunks that a window or the speaker baseline may still need are kept, which are those of
    the last two windows: at most 15 s of speech, which are 460 kB of three layers of 512, and
    150 kB of audio.
    """

    def __init__(self, spec: EmbeddingSpec, gate: GateSpec | None) -> None:
        self._spec = spec
        # The chunk before may be made again once the pause after a stretch has lasted.
        pause_s = gate.close_s + gate.lead_s + gate.grid_s if gate else 0.0
        hops = spec.longest_hops + max(spec.first_hops, spec.chunk_hops) + round(pause_s / HOP_S)
        spare = round(SPARE_S / HOP_S) * HOP_SAMPLES
        self._samples = Recent(hops * HOP_SAMPLES, spare, (), np.int16)
        self._placed: deque[_Placed] = deque()
        self._start = self._end = self._next = 0  # of the stretch, its chunks and the next of them
        self._count = 0  # chunks of the stretch so far

    def feed(self, pcm: Pcm) -> None:
        self._samples.extend(pcm)

    def begin(self, start: int) -> None:
        self._placed.clear()
        self._start = self._end = start
        self._next = start + self._spec.first_hops
        self._count = 0

    def due(self, hop: int) -> int:
        return self._start + self._spec.boundary_after(hop - self._start)

    def advance(self, end: int) -> int:
        """Makes the chunks that speech has completed; see `WindowGrid.advance`."""
        if end >= self._next:
            full = self._spec.boundary_before(end - self._start)
            self._make(full, self._count)
            self._next = self.due(self._end + 1)
        return self._end

    def finish(self, end: int) -> None:
        self._make(end - self._start, max(0, self._count - 1))

    def window_start(self, end: int) -> int:
        longest = self._spec.window_hops
        return next(placed.start for placed in self._placed if end - placed.start <= longest)

    def chunks(self, first: int, last: int) -> tuple[Chunk, ...]:
        return tuple(placed.chunk for placed in self._placed if first <= placed.start < last)

    def _make(self, hops: int, first: int) -> None:
        """Makes the chunks of the stretch up to now, from number `first` on, that are not there."""
        for number, span in enumerate(self._spec.chunk_spans(hops, first), first):
            start, end = self._start + span.start, self._start + span.end
            if number < self._count:
                if self._placed[-1].end == end:
                    continue
                self._placed.pop()
            pcm = self._samples.between(start * HOP_SAMPLES, end * HOP_SAMPLES)
            self._placed.append(_Placed(start, end, Chunk(pcm)))
            self._count, self._end = number + 1, end
        while self._end - self._placed[0].start > 2 * self._spec.window_hops:
            self._placed.popleft()
