"""The entries that Redis has not received, as far as they are in memory: a bounded queue.

Its first entries are on disk too, the others not yet. Redis is given the entries from the front,
the disk those that it lacks.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, islice

from service.store.entries import Entry, RefusedEntry
from service.store.receipt import Receipt


class Record:
    """An entry on its way to Redis and to the disk."""

    __slots__ = ("at", "delivered", "entry", "id", "in_turn", "receipt")

    def __init__(self, entry: Entry, at: float, receipt: Receipt | None = None) -> None:
        self.entry = entry
        self.at = at  # wall clock, epoch seconds
        self.receipt = receipt
        self.id: int | None = None  # in the outbox; None while it is not known to be there
        self.delivered = False  # Redis has received it, or never will
        self.in_turn = False  # all earlier entries had been delivered before

    def kept(self) -> None:
        """Tells the owner of the receipt that the entry is kept."""
        if self.receipt:
            self.receipt.keep()


class MemoryQueue:
    """Holds at most `limit` entries; it fills when calls write faster than Redis and disk take.

    When full, the oldest entry that is on disk leaves: `released_through` is its id. If none is on
    disk, the oldest droppable entry makes room for the new one (`dropped` counts them). If there is
    none of these, the new entry is discarded: counted in `dropped` if it is droppable itself, else
    in `rejected`.
    """

    def __init__(self, limit: int, wall_clock: Callable[[], float] = time.time) -> None:
        if limit < 1:
            raise ValueError(f"got a queue of {limit} entries, expected room for 1 or more")
        self.limit = limit
        self.dropped = 0
        self.rejected = 0
        self.released_through = 0  # the id of the last entry that left because it is on disk
        self._wall_clock = wall_clock
        self._on_disk: deque[Record] = deque()
        self._others: deque[Record] = deque()

    def __len__(self) -> int:
        return len(self._on_disk) + len(self._others)

    @property
    def not_on_disk(self) -> int:
        """How many entries are not known to be on disk."""
        return len(self._others)

    @property
    def on_disk(self) -> int:
        """How many entries are on disk too."""
        return len(self._on_disk)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest entry was written, in epoch seconds; None if the queue is empty."""
        oldest = next(iter(self.first(1)), None)
        return oldest.at if oldest else None

    def append(self, entry: Entry, receipt: Receipt | None = None) -> None:
        """Adds an entry, or drops or rejects one if the queue is full."""
        if len(self) >= self.limit and not self._make_room():
            if not entry.droppable:
                self.rejected += 1
            else:
                self.dropped += 1
            return
        self._others.append(Record(entry, self._wall_clock(), receipt))

    def _make_room(self) -> bool:
        if self._on_disk:
            id = self._on_disk.popleft().id
            assert id is not None
            self.released_through = max(self.released_through, id)
            return True
        for i, record in enumerate(self._others):
            if record.entry.droppable:
                del self._others[i]
                self.dropped += 1
                return True
        return False

    def first(self, count: int) -> list[Record]:
        """Returns the oldest entries, at most `count`, and leaves them in the queue."""
        return list(islice(chain(self._on_disk, self._others), count))

    def first_not_on_disk(self, count: int) -> list[Record]:
        """Returns the oldest entries that are not on disk, and leaves them in the queue."""
        return list(islice(self._others, count))

    def stored(self, records: Sequence[Record], ids: Sequence[int]) -> None:
        """Records that the disk has the first of these records, one for each id.

        Those without an id are discarded: the disk is full of entries that may not be dropped.
        """
        for record, number in zip(records, ids, strict=False):
            record.id = number
        for record, number in zip(records, ids, strict=False):
            record.id = number
            record.kept()
        discarded = set(records[len(ids) :])
        while self._others and self._others[0].id is not None:
            self._on_disk.append(self._others.popleft())
        if discarded:
            self._others = deque(record for record in self._others if record not in discarded)

    def forget(self, session: str) -> None:
        """Removes a session's entries, except a refusal; their receipts are never settled."""
        for queue in (self._on_disk, self._others):
            others = [
                one
                for one in queue
                if isinstance(one.entry, RefusedEntry)
                or getattr(one.entry, "session", None) != session
            ]
            queue.clear()
            queue.extend(others)

    def delivered(self, records: Sequence[Record]) -> None:
        """Removes records, which must be the first ones but for those that have left already."""
        for record in records:
            record.delivered = True
        for queue in (self._on_disk, self._others):
            while queue and queue[0].delivered:
                queue.popleft()
