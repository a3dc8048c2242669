"""The calls that people make: how many begin each second, by whom, and how long they last."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.simulation.providers import PROVIDERS

# Calls of each hour of a day, as a share of the fullest one: assumed, a centre open all day.
DAY = (
    *(0.05, 0.04, 0.03, 0.03, 0.04, 0.07, 0.15, 0.35, 0.70, 0.95, 1.00, 0.97),
    *(0.85, 0.88, 0.95, 0.93, 0.85, 0.70, 0.50, 0.35, 0.25, 0.18, 0.12, 0.08),
)
PEAK_HOUR = DAY.index(max(DAY))
SPREAD = 1.0  # of the logarithm of a call's length, assumed
MINUTE = 60  # seconds
SHARES = np.array([provider.share for provider in PROVIDERS])

Count = NDArray[np.int64]  # (n,)


@dataclass(frozen=True, slots=True)
class Demand:
    """Calls by the hour of the day, at random, each independent of the others.

    Args:
        calls: live on average in the fullest hour.
        call_s: mean length of a call.
        from_h, to_h: what part of the day is simulated; after `to_h` no call begins.
    """

    calls: float
    call_s: float
    from_h: float = 0.0
    to_h: float = 24.0

    @property
    def seconds(self) -> int:
        """The length of the simulated part of the day, in which calls begin."""
        return round((self.to_h - self.from_h) * 3600)

    def rates(self, seconds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns how many calls begin in each second, on average: between the hours' middles."""
        hours = self.from_h + seconds / 3600 - 0.5
        return np.interp(hours, np.arange(24), DAY, period=24) * self.calls / self.call_s

    def arrivals(self, rng: np.random.Generator) -> Iterator[tuple[Count, Count]]:
        """Yields, for each second, how long the calls last that begin in it, and their providers.

        They are drawn a minute at a time.
        """
        for minute in range(0, self.seconds, MINUTE):
            counts = rng.poisson(self.rates(np.arange(minute, min(minute + MINUTE, self.seconds))))
            lengths = rng.lognormal(math.log(self.call_s) - SPREAD**2 / 2, SPREAD, counts.sum())
            kinds = rng.choice(len(PROVIDERS), counts.sum(), p=SHARES)
            ends = np.maximum(1, np.rint(lengths)).astype(np.int64)
            bounds = np.cumsum(counts)[:-1]
            yield from zip(np.split(ends, bounds), np.split(kinds, bounds), strict=True)
