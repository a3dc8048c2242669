"""A queue that calls share fairly: round robin, whoever has most queued loses first."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """An entry of the queue; hashed by identity."""

    @property
    def call(self) -> Hashable:
        """Returns the call, or the upload, to which the item belongs."""

    @property
    def queued_at(self) -> float:
        """When it was queued; what is pushed later is not older."""


T = TypeVar("T", bound=Waiting)


class FairQueue(Generic[T]):
    """Items of many calls: each call's next item goes before any call's item after that.

    Every method takes constant time, however many items and calls there are.
    """

    def __init__(self) -> None:
        # Ordered dictionaries, because items leave from the middle too.
        self._arrived: OrderedDict[T, None] = OrderedDict()
        self._by_call: OrderedDict[Hashable, OrderedDict[T, None]] = OrderedDict()  # next first
        self._by_count: dict[int, OrderedDict[Hashable, None]] = {}  # calls by what they have
        self._most = 0  # that any call has

    def __len__(self) -> int:
        """Returns the number of items of all calls together."""
        return len(self._arrived)

    @property
    def calls(self) -> int:
        """The number of calls that have items."""
        return len(self._by_call)

    def count(self, call: Hashable) -> int:
        """Returns how many items a call has."""
        return len(self._by_call.get(call, ()))

    @property
    def oldest_at(self) -> float | None:
        """When the oldest item was queued; None without any."""
        return _first_at(self._arrived)

    def oldest_of(self, call: Hashable) -> float | None:
        """Returns when a call's oldest item was queued; None without any."""
        return _first_at(self._by_call.get(call, ()))

    def push(self, item: T) -> None:
        """Adds an item at the end of its call's items."""
        items = self._by_call.setdefault(item.call, OrderedDict())
        items[item] = None
        self._arrived[item] = None
        self._recount(item.call, len(items) - 1, len(items))

    def pop(self) -> T:
        """Removes and returns the next item: the oldest of the call whose turn it is."""
        call, items = next(iter(self._by_call.items()))
        item = next(iter(items))
        self.discard(item)
        if items:
            self._by_call.move_to_end(call)
        return item

    def pop_of_most(self) -> T:
        """Removes and returns the oldest item of the call that has most; the first of equals."""
        call = next(iter(self._by_count[self._most]))
        item = next(iter(self._by_call[call]))
        self.discard(item)
        return item

    def discard(self, item: T) -> None:
        """Removes an item if it is in the queue."""
        if item not in self._arrived:
            return
        del self._arrived[item]
        items = self._by_call[item.call]
        del items[item]
        if not items:
            del self._by_call[item.call]
        self._recount(item.call, len(items) + 1, len(items))

    def _recount(self, call: Hashable, before: int, now: int) -> None:
        """Notes that a call has one item more or less."""
        if before:
            equals = self._by_count[before]
            del equals[call]
            if not equals:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, OrderedDict())[call] = None
        if now > self._most or (self._most == before and before not in self._by_count):
            self._most = now


def _first_at(items: Iterable[Waiting]) -> float | None:
    first = next(iter(items), None)
    return first.queued_at if first else None
