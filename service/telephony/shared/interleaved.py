"""Decoding of a byte stream of telephone audio into samples of each track."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.audio import alaw_decode, mulaw_decode
from service.events import Audio, Event, Gap, Pcm, Track


class Encoding(StrEnum):
    """The encoding of samples; L16 is little-endian unless a provider is set to another order."""

    MULAW = "mulaw"
    ALAW = "alaw"
    L16 = "l16"


def _native_order(samples: NDArray[Any]) -> Pcm:
    return samples if samples.dtype == np.int16 else samples.astype(np.int16)


_CODECS: dict[Encoding, tuple[np.dtype[Any], Callable[[NDArray[Any]], Pcm]]] = {
    Encoding.MULAW: (np.dtype("u1"), mulaw_decode),
    Encoding.ALAW: (np.dtype("u1"), alaw_decode),
    Encoding.L16: (np.dtype("<i2"), _native_order),
}


class Interleaved:
    """A byte stream of one or more tracks, interleaved by sample, and cut anywhere into pieces.

    Args:
        encoding: of the samples.
        tracks: of each channel, in order; None is a channel that is not used.
        analysed_tracks: the tracks that become events; others are dropped without decoding.
        big_endian: whether L16 has the high byte first.
    """

    def __init__(
        self,
        encoding: Encoding,
        tracks: Sequence[Track | None],
        analysed_tracks: frozenset[Track],
        *,
        big_endian: bool = False,
    ) -> None:
        self._dtype, self._decode = _CODECS[encoding]
        if big_endian:
            self._dtype = self._dtype.newbyteorder(">")
        self._width = len(tracks)
        self._sample_bytes = self._dtype.itemsize * self._width  # of all tracks
        self._channels = tuple(
            (channel, track)
            for channel, track in enumerate(tracks)
            if track is not None and track in analysed_tracks
        )
        self._tail = b""  # the beginning of a sample of all tracks
        self._skip_bytes = 0  # the rest of a sample whose beginning was lost

    @property
    def analysed(self) -> tuple[Track, ...]:
        """The analysed tracks, in the order of their channels."""
        return tuple(track for _, track in self._channels)

    @property
    def unfinished_bytes(self) -> int:
        """The size of a sample of all tracks whose end has not come yet."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[Event]:
        """Returns Audio of each analysed track for the next bytes, of any number.

        The beginning of an unfinished sample is kept for the next call.
        """
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(data))
            self._skip_bytes -= skipped
            data = data[skipped:]
        if self._tail:
            data = self._tail + data
        count = len(data) // self._sample_bytes  # samples a track
        self._tail = data[count * self._sample_bytes :]
        if not count or not self._channels:
            return []
        samples = np.frombuffer(data, self._dtype, count * self._width)
        if self._width == 1:
            return [Audio(self._channels[0][1], self._decode(samples))]
        return [
            Audio(track, self._decode(np.ascontiguousarray(samples[channel :: self._width])))
            for channel, track in self._channels
        ]

    def lose(self, lost_bytes: int) -> list[Event]:
        """Returns a Gap of each analysed track for lost bytes, rounded up to whole samples."""
        lost_bytes += len(self._tail) - self._skip_bytes
        count = -(-lost_bytes // self._sample_bytes)
        self._tail = b""
        self._skip_bytes = count * self._sample_bytes - lost_bytes
        return [Gap(track, count) for _, track in self._channels]
