"""Events that are given to subscribers together."""

from collections.abc import Sequence
from typing import Self

from service.store.cursors import event_order
from service.store.views import StreamEvent

Order = tuple[int, int]  # of an event, as `event_order` returns it

BEFORE_ALL: Order = (0, 0)


class EventBatch:
    """Events in their order, at least one; a `resync` or a `heartbeat` is always alone.

    All subscribers are given the same object, and it is compared by identity, so that what is made
    of it for many of them can be made once.

    Args:
        events: what happened, the oldest first.

    Raises:
        BadCursor: the id of the first or the last event is none.
    """

    __slots__ = ("__weakref__", "_first", "_last", "events")

    def __init__(self, events: Sequence[StreamEvent]) -> None:
        self.events = tuple(events)
        self._first = _order(self.events[0])
        self._last = _order(self.events[-1])

    def __len__(self) -> int:
        return len(self.events)

    @classmethod
    def resync(cls, id: str) -> Self:
        """Returns a batch that stands for events up to `id` that are missing."""
        return cls([StreamEvent(id, "resync", "{}")])

    @classmethod
    def heartbeat(cls, data: str) -> Self:
        """Returns a batch of one heartbeat, with a HeartbeatView as JSON."""
        return cls([StreamEvent("", "heartbeat", data)])

    @property
    def kind(self) -> str:
        """The kind of its first event; a resync or a heartbeat is alone in its batch."""
        return self.events[0].kind

    @property
    def last(self) -> Order:
        """The order of the last event; `BEFORE_ALL` for a heartbeat."""
        return self._last

    def follows(self, seen: Order) -> bool:
        """Returns whether all events come after one that was seen; False for a resync.

        After a loss of data ids may restart, so that of a resync says nothing.
        """
        return self._first > seen and self.kind != "resync"

    def after(self, seen: Order) -> "EventBatch | None":
        """Returns the events after one that was seen: itself if it has no others, None if none."""
        if self._first > seen:
            return self
        rest = [event for event in self.events if _order(event) > seen]
        return EventBatch(rest) if rest else None


def _order(event: StreamEvent) -> Order:
    return event_order(event.id) if event.id else BEFORE_ALL
