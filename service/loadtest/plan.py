"""How many calls a load test tries, and for how long."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.loadtest.objectives import Limits

OVERLOAD = 1.5  # of what is admitted
SOAK = 0.8  # of the capacity


@dataclass(frozen=True, slots=True)
class Plan:
    """The phases of a load test.

    Args:
        steps: numbers of calls, ascending; without any, from `start` on by `factor`, at least by 1.
        hold_s: for which a step is measured once it is steady.
        settle_s: longest time until it counts as steady.
        talk: share of the time in which callers speak.
        overload, audit: whether there is one.
        soak_minutes: how long the soak is; 0: none.
        idle_s: longest wait for the service to be idle after its last call.
        ramp_s: longest time in which the calls of a step may arrive, beside `arrivals`.
        arrivals: calls a second; None: all at once.
    """

    steps: Sequence[int] = ()
    start: int = 10
    factor: float = 1.25
    hold_s: float = 30.0
    settle_s: float = 30.0
    talk: float = 0.45
    overload: bool = True
    soak_minutes: float = 0.0
    audit: bool = True
    idle_s: float = 45.0
    ramp_s: float = 20.0
    arrivals: float | None = 20.0
    limits: Limits = Limits()

    def numbers(self, most: int | None) -> Iterator[int]:
        """Yields the numbers of calls, up to what the service admits and that number too."""
        tried = iter(self.steps) if self.steps else _growing(self.start, self.factor)
        for calls in tried:
            if most is not None and calls >= most:
                yield most
                return
            yield calls


def _growing(start: int, factor: float) -> Iterator[int]:
    calls = start
    for _ in itertools.count():
        yield calls
        calls = max(calls + 1, round(calls * factor))


class Steadiness:
    """Whether readings come at a steady rate: as many in one span as in the one before it.

    Two counts of n readings differ by chance by about the square root of 2 n; twice that, or a
    tenth of them, is steady.

    Args:
        span_s: of each of the two.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._seen: list[tuple[float, float]] = []  # time, readings up to it

    def add(self, at_s: float, readings: float) -> bool:
        """Takes the count at a time; returns whether the rate is steady."""
        self._seen.append((at_s, readings))
        middle = self._at(at_s - self._span_s)
        first = self._at(at_s - 2 * self._span_s)
        if middle is None or first is None:
            return False
        earlier, later = middle - first, readings - middle
        mean = (earlier + later) / 2
        return abs(later - earlier) <= max(0.1 * mean, 2 * math.sqrt(2 * mean))

    def _at(self, at_s: float) -> float | None:
        """Returns the latest count up to a time; None: there was none yet."""
        return next((count for seen_s, count in reversed(self._seen) if seen_s <= at_s), None)
