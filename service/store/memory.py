"""The entries that are not yet on disk: a bounded queue in memory, first in, first out."""

from collections import deque

from service.store.entries import Entry


class MemoryQueue:
    """Holds at most `limit` entries; it fills when calls write faster than the disk.

    When full, the oldest droppable entry makes room for the new one (`dropped` counts them). If
    there is none, the new entry is discarded: counted in `dropped` if it is droppable itself, else
    in `rejected`.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"got a queue of {limit} entries, expected room for 1 or more")
        self.limit = limit
        self.dropped = 0
        self.rejected = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Adds an entry, or drops or rejects one if the queue is full."""
        if len(self._entries) >= self.limit:
            oldest = next((i for i, queued in enumerate(self._entries) if queued.droppable), None)
            if oldest is None and not entry.droppable:
                self.rejected += 1
                return
            self.dropped += 1
            if oldest is None:
                return
            del self._entries[oldest]
        self._entries.append(entry)

    def take(self, count: int) -> list[Entry]:
        """Removes and returns the oldest entries, at most `count`."""
        return [self._entries.popleft() for _ in range(min(count, len(self._entries)))]
