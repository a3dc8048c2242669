"""One subscriber of the feed: what it has not taken yet, within a limit."""

import asyncio
from collections.abc import Callable

import structlog

from service.store.event_batch import EventBatch, Order

log = structlog.get_logger()

Offer = Callable[[EventBatch], bool]


class Subscriber:
    """A queue of batches, for one reader that takes them as fast as it can.

    Args:
        limit: events that may wait. A batch with which there would be more replaces all that wait
            by one `resync`; a heartbeat is left out once so many wait.
        offer: is called with a batch that comes while the reader waits for one. If it returns True
            the reader has it by then, and no task was woken for it; otherwise the batch waits.
    """

    def __init__(self, limit: int, offer: Offer | None = None) -> None:
        self._limit = limit
        self._offer = offer
        self._offered_after: Order | None = None  # None: the reader is busy
        self._waiting: asyncio.Queue[EventBatch | None] = asyncio.Queue()
        self._events = 0  # in the batches that wait

    def give(self, batch: EventBatch) -> None:
        """Hands a batch of events over, or lets it wait."""
        if self._accepted(batch):
            return
        if self._events + len(batch) > self._limit:
            self._clear()
            batch = EventBatch.resync(batch.events[-1].id)
        self._add(batch)

    def beat(self, batch: EventBatch) -> None:
        """Hands a heartbeat over, or lets it wait if there is room."""
        if not self._accepted(batch) and self._events < self._limit:
            self._add(batch)

    def end(self) -> None:
        """Ends the subscription: what waits is dropped, and `take` returns None."""
        self._clear()
        self._waiting.put_nowait(None)

    async def take(self, seen: Order | None = None) -> EventBatch | None:
        """Waits for the next batch and returns it; None at the end. Cancelling it loses nothing.

        `seen` is the last event that the reader has: meanwhile it is offered what comes after it.
        None: everything waits.
        """
        self._offered_after = seen
        try:
            batch = await self._waiting.get()
        finally:
            self._offered_after = None
        self._events -= len(batch) if batch else 0
        return batch

    def _accepted(self, batch: EventBatch) -> bool:
        if self._offer is None or self._offered_after is None or not self._waiting.empty():
            return False
        if batch.kind != "heartbeat" and not batch.follows(self._offered_after):
            return False
        try:
            return self._offer(batch)
        except Exception:  # one reader's fault is none of the feed
            log.exception("event_not_handed_over")
            return False

    def _add(self, batch: EventBatch) -> None:
        self._events += len(batch)
        self._waiting.put_nowait(batch)

    def _clear(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._events = 0
