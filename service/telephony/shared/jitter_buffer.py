"""One track's samples, each in its place, from pieces that say where they belong."""

from collections import Counter
from heapq import heappop, heappush

from service.events import Audio, Event, Track
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import MessageProblem


class JitterBuffer:
    """Places pieces by the provider's clock; when they arrive does not matter.

    A piece that begins more than `slack_ms` after what was heard follows a Gap; of one that begins
    more than that before it, what was heard already is cut off. Within `slack_ms` pieces are
    joined, so a clock that trembles costs nothing.

    `chunk` numbers rise along a track, not always by one. Up to `depth` pieces wait for the ones
    before them; when there is one more, the first is heard after a Gap. What comes after its
    place was passed is dropped. Both drops are counted in `problems`.
    """

    def __init__(
        self,
        track: Track,
        encoding: Encoding,
        rate: int,
        origin_ms: int,
        slack_ms: int,
        depth: int,
        problems: Counter[str],
    ) -> None:
        self._samples = Interleaved(encoding, (track,), frozenset({track}))
        self._sample_bytes = 2 if encoding is Encoding.L16 else 1
        self._rate = rate
        self._origin_ms = origin_ms
        self._slack = slack_ms * rate // 1000  # samples
        self._depth = depth
        self._problems = problems
        self._waiting: list[tuple[int, int, bytes]] = []  # a heap of chunk, at_ms, data
        self._chunk = -1  # the last one heard
        self._heard = 0  # samples, gaps included
        self._odd_bytes = 0  # heard of the next sample

    def place(self, chunk: int, at_ms: int, data: bytes) -> list[Event]:
        """All that can be heard now that this piece is there."""
        if not self._waiting and (chunk <= self._chunk + 1 or self._due(chunk, at_ms, 1)):
            return self._hear(chunk, at_ms, data)
        heappush(self._waiting, (chunk, at_ms, data))
        events: list[Event] = []
        while self._waiting and self._due(*self._waiting[0][:2], len(self._waiting)):
            events += self._hear(*heappop(self._waiting))
        return events

    def flush(self) -> list[Event]:
        """Nothing more comes: all that still waits."""
        events: list[Event] = []
        while self._waiting:
            events += self._hear(*heappop(self._waiting))
        return events

    def _ahead(self, at_ms: int) -> int:
        return (at_ms - self._origin_ms) * self._rate // 1000 - self._heard

    def _due(self, chunk: int, at_ms: int, waiting: int) -> bool:
        return (
            waiting > self._depth
            or chunk <= self._chunk + 1
            or abs(self._ahead(at_ms)) <= self._slack
        )

    def _hear(self, chunk: int, at_ms: int, data: bytes) -> list[Event]:
        if chunk <= self._chunk:
            self._problems[MessageProblem.LATE] += 1
            return []
        self._chunk = chunk
        lost: list[Event] = []
        ahead = self._ahead(at_ms)
        if ahead > self._slack:
            lost = self._samples.lose(ahead * self._sample_bytes - self._odd_bytes)
            self._odd_bytes = 0
            self._heard += ahead
        elif ahead < -self._slack:
            self._problems[MessageProblem.OVERLAP] += 1
            data = data[-ahead * self._sample_bytes + self._odd_bytes :]
        self._odd_bytes = (self._odd_bytes + len(data)) % self._sample_bytes
        heard = self._samples.feed(data)
        for event in heard:
            assert isinstance(event, Audio)
            self._heard += len(event.pcm)
        return lost + heard
