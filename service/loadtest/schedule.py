"""When calls begin and when their frames are due; pure, on a clock that is passed in."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar

RETRY_S = 5.0


class Paced(Protocol):
    """Something that has a next frame, due at a time."""

    @property
    def due_s(self) -> float | None:
        """When the next frame is due; None after the last one."""
        ...


P = TypeVar("P", bound=Paced)


class FrameSchedule(Generic[P]):
    """The next frames of all calls, the earliest first.

    A frame's due time depends on the call's beginning only and not on when the frame before it was
    sent, so that a late frame makes no later one late (`Paced.due_s` holds this).
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, P]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_s(self) -> float | None:
        """When the next frame is due; None without one."""
        return self._heap[0][0] if self._heap else None

    def add(self, call: P) -> None:
        """Schedules the call's next frame, if it has one."""
        due_s = call.due_s
        if due_s is not None:
            heapq.heappush(self._heap, (due_s, next(self._numbers), call))

    def due(self, now_s: float, most: int) -> Iterator[tuple[float, P]]:
        """Yields due times and calls whose frames are due by now, at most so many.

        The caller sends the frame of each before it takes the next one; the call's next frame is
        then scheduled.
        """
        for _ in range(most):
            if not self._heap or self._heap[0][0] > now_s:
                return
            due_s, _, call = heapq.heappop(self._heap)
            try:
                yield due_s, call
            finally:
                self.add(call)


class Arrivals:
    """When new calls begin: at a rate, or at once.

    Args:
        rate: calls a second; None begins all that are wanted at once.
        retry_s: after a refusal, its caller calls again so much later.
    """

    def __init__(self, rate: float | None, retry_s: float = RETRY_S) -> None:
        self._rate = rate
        self._retry_s = retry_s
        self._next_s = 0.0  # no call begins earlier
        self._again_s: list[float] = []  # when those who were refused call again

    @property
    def refused(self) -> int:
        """Callers that were refused and wait before they call again."""
        return len(self._again_s)

    def refuse(self, now_s: float) -> None:
        """Takes a caller who was refused, and who is not replaced until they call again."""
        heapq.heappush(self._again_s, now_s + self._retry_s)

    def begin(self, now_s: float, wanted: int) -> int:
        """Returns how many calls begin now, of those that are wanted beside the refused callers."""
        while self._again_s and self._again_s[0] <= now_s:
            heapq.heappop(self._again_s)
        missing = wanted - len(self._again_s)
        if missing <= 0:
            return 0
        if self._rate is None:
            return missing
        self._next_s = max(self._next_s, now_s - 1 / self._rate)  # what was missed is not made up
        begun = 0
        while begun < missing and self._next_s <= now_s:
            self._next_s += 1 / self._rate
            begun += 1
        return begun
