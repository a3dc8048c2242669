"""Samples as telephony sends them: encoded, tracks interleaved, cut anywhere."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.audio import alaw_decode, mulaw_decode
from service.events import Audio, Event, Gap, Pcm, Track


class Encoding(StrEnum):
    """How samples travel; L16 is little-endian."""

    MULAW = "mulaw"
    ALAW = "alaw"
    L16 = "l16"


def _native_order(samples: NDArray[Any]) -> Pcm:
    return samples.astype(np.int16, copy=False)


_CODECS: dict[Encoding, tuple[np.dtype[Any], Callable[[NDArray[Any]], Pcm]]] = {
    Encoding.MULAW: (np.dtype("u1"), mulaw_decode),
    Encoding.ALAW: (np.dtype("u1"), alaw_decode),
    Encoding.L16: (np.dtype("<i2"), _native_order),
}


class Interleaved:
    """A byte stream of one or more tracks, interleaved by sample, to what is heard on each.

    Pieces may end anywhere; an unfinished sample waits for its rest. Tracks that are not in
    `analyse` are dropped undecoded, None is a channel that nobody is on.
    """

    def __init__(
        self, encoding: Encoding, tracks: Sequence[Track | None], analyse: frozenset[Track]
    ) -> None:
        self._dtype, self._decode = _CODECS[encoding]
        self._width = len(tracks)
        self._lanes = tuple((i, t) for i, t in enumerate(tracks) if t is not None and t in analyse)
        self._tail = b""  # the beginning of a sample of all tracks
        self._skip_bytes = 0  # the rest of one whose beginning is lost

    @property
    def analysed(self) -> tuple[Track, ...]:
        return tuple(track for _, track in self._lanes)

    def feed(self, data: bytes) -> list[Event]:
        """The next bytes, any number, to Audio of each analysed track."""
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
        if self._tail:
            data = self._tail + data
        count = len(data) // (self._dtype.itemsize * self._width)  # samples a track
        self._tail = data[count * self._dtype.itemsize * self._width :]
        if not count:
            return []
        if not self._lanes:
            return []
        samples = np.frombuffer(data, self._dtype, count * self._width)
        if self._width == 1:
            return [Audio(self._lanes[0][1], self._decode(samples))]
        return [
            Audio(track, self._decode(np.ascontiguousarray(samples[lane :: self._width])))
            for lane, track in self._lanes
        ]

    def lose(self, lost_bytes: int) -> list[Event]:
        """Time passes by what was lost, up to the next whole sample of all tracks."""
        lost_bytes += len(self._tail) - self._skip_bytes
        sample_bytes = self._dtype.itemsize * self._width
        count = -(-lost_bytes // sample_bytes)
        self._tail = b""
        self._skip_bytes = count * sample_bytes - lost_bytes
        return [Gap(track, count) for _, track in self._lanes]
