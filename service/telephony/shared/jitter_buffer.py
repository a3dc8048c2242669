"""Placement of one track's audio by the provider's timestamps and chunk numbers."""

from collections import Counter
from heapq import heappop, heappush

from service.events import Audio, Event, Track
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import MessageProblem


class JitterBuffer:
    """Puts chunks of one track in order and in place; their arrival times do not matter.

    A chunk that begins more than `slack_ms` after the end of the audio so far is preceded by a
    Gap. If it begins more than `slack_ms` before that end, the overlap is cut off. Within
    `slack_ms` chunks are joined, so jitter of the clock changes nothing.

    Chunk numbers rise along a track, not always by one. Up to `depth` chunks are queued until the
    ones before them arrive; one more releases the first, after a Gap. Chunks that arrive after
    their place was passed are dropped. Dropped and cut chunks are counted in `message_errors`.
    """

    def __init__(
        self,
        track: Track,
        encoding: Encoding,
        rate: int,
        origin_ms: int,
        slack_ms: int,
        depth: int,
        message_errors: Counter[str],
        *,
        big_endian: bool = False,
    ) -> None:
        self._samples = Interleaved(encoding, (track,), frozenset({track}), big_endian=big_endian)
        self._sample_bytes = 2 if encoding is Encoding.L16 else 1
        self._rate = rate
        self._origin_ms = origin_ms
        self._slack = slack_ms * rate // 1000  # samples
        self._depth = depth
        self._message_errors = message_errors
        self._queue: list[tuple[int, int, bytes]] = []  # a heap of chunk, at_ms, data
        self._chunk = -1  # the last one released
        self._end = 0  # samples released, gaps included
        self._odd_bytes = 0  # released of an unfinished sample

    def __len__(self) -> int:
        """Returns the number of queued chunks."""
        return len(self._queue)

    def place(self, chunk: int, at_ms: int, data: bytes) -> list[Event]:
        """Adds a chunk and returns the audio and gaps that can be released."""
        if not self._queue and (chunk <= self._chunk + 1 or self._is_due(chunk, at_ms, 1)):
            return self._release(chunk, at_ms, data)
        heappush(self._queue, (chunk, at_ms, data))
        events: list[Event] = []
        while self._queue and self._is_due(*self._queue[0][:2], len(self._queue)):
            events += self._release(*heappop(self._queue))
        return events

    def flush(self) -> list[Event]:
        """Releases all queued chunks: no more will arrive."""
        events: list[Event] = []
        while self._queue:
            events += self._release(*heappop(self._queue))
        return events

    def _ahead(self, at_ms: int) -> int:
        """Returns how many samples after the end of the released audio a chunk begins."""
        return (at_ms - self._origin_ms) * self._rate // 1000 - self._end

    def _is_due(self, chunk: int, at_ms: int, queued: int) -> bool:
        return (
            queued > self._depth
            or chunk <= self._chunk + 1
            or abs(self._ahead(at_ms)) <= self._slack
        )

    def _release(self, chunk: int, at_ms: int, data: bytes) -> list[Event]:
        if chunk <= self._chunk:
            self._message_errors[MessageProblem.LATE] += 1
            return []
        self._chunk = chunk
        gap: list[Event] = []
        ahead = self._ahead(at_ms)
        if ahead > self._slack:
            gap = self._samples.lose(ahead * self._sample_bytes - self._odd_bytes)
            self._odd_bytes = 0
            self._end += ahead
        elif ahead < -self._slack:
            self._message_errors[MessageProblem.OVERLAP] += 1
            data = data[-ahead * self._sample_bytes + self._odd_bytes :]
        self._odd_bytes = (self._odd_bytes + len(data)) % self._sample_bytes
        audio = self._samples.feed(data)
        for event in audio:
            assert isinstance(event, Audio)
            self._end += len(event.pcm)
        return gap + audio
