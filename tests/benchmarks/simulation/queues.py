"""How late readings are: the queues before scorers, as in `service/scoring/batcher.py`."""

import math

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.costs import Costs

Each = NDArray[np.float64]  # (queues,)

QUEUE_MAX = 512  # windows
AGE_MAX_S = 3.0
PRESSURE_FREE, HOP_GROWTH = 0.25, 3.0  # as in service/calls/stream.py
KNEE = 0.9  # of its rate: where a machine is when its p95 lateness reaches the bound; assumed
BUSIEST = 0.95  # what waits for a busier scorer is its backlog


class Queues:
    """The queues of scorers that score at given rates; windows come and go as a fluid.

    A window waits for the backlog before it, and for the chance by which others come at the same
    time: exponential, with a mean of `service_s` / (1 - load). Of both that is left which two
    measurements give: p95 lateness with few calls, and with as many as a machine holds.

    Args:
        rates: windows a second that each scores, (queues,); may change.
        longest: windows that wait in each.
    """

    def __init__(self, rates: Each, costs: Costs, longest: float = QUEUE_MAX) -> None:
        self.rates = rates
        self.backlog: Each = np.zeros(len(rates))
        self.dropped = 0.0
        self._costs = costs
        self._longest = longest
        late_s = costs.late_full_s - costs.late_idle_s
        self._service_s = late_s * (1 - KNEE) / math.log(20)
        self._offered: Each = np.zeros(len(rates))

    def step(self, calls: Each) -> float:
        """Lets a second pass with so many calls, (queues,); returns how many windows are scored.

        Callers who are read less often under pressure have fewer windows; what is beyond the
        queue's length or waits for longer than `AGE_MAX_S` is dropped.
        """
        self._offered = calls * self._costs.readings_a_s
        if not self.backlog.any() and np.all(self._offered <= self.rates):
            return float(np.sum(self._offered))
        rates = np.maximum(self.rates, 1e-9)
        pressure = np.maximum(self.backlog / self._longest, self.backlog / rates / AGE_MAX_S)
        excess = np.clip((pressure - PRESSURE_FREE) / (1 - PRESSURE_FREE), 0.0, 1.0)
        self._offered /= 1 + HOP_GROWTH * excess
        waiting = self.backlog + self._offered
        scored = np.minimum(waiting, self.rates)
        self.backlog = np.minimum(
            waiting - scored, np.minimum(self._longest, self.rates * AGE_MAX_S)
        )
        self.dropped += float(np.sum(waiting - scored - self.backlog))
        return float(np.sum(scored))

    def late_p95_s(self) -> float:
        """Returns the 95th percentile of lateness over all windows of the last second."""
        weights = self._offered / max(1e-9, float(np.sum(self._offered)))
        rates = np.maximum(self.rates, 1e-9)
        begins = np.minimum(self.backlog / rates, AGE_MAX_S)
        means = self._service_s / (1 - np.minimum(self._offered / rates, BUSIEST))
        low, high = 0.0, float(np.max(begins + 5 * means))
        for _ in range(20):
            middle = (low + high) / 2
            beyond = np.exp(-np.maximum(0.0, middle - begins) / means)
            low, high = (middle, high) if float(weights @ beyond) > 0.05 else (low, middle)
        idle = self._service_s * math.log(20)  # is part of what was measured with few calls
        return self._costs.late_idle_s + max(0.0, high - idle)
