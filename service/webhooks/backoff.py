"""When a delivery that failed is tried again, and when it is given up."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `most_s`, each shortened by chance by up to a half.

    The chance keeps many deliveries, or many services, from coming back at the same moment.
    """

    first_s: float = 1.0
    most_s: float = 60.0  # an alert is about a call that is live
    give_up_s: float = 86_400.0  # after the alert's step
    chance: Callable[[], float] = random.random  # in [0, 1)

    def wait_s(self, failures: int) -> float:
        """Returns the wait after so many failures in a row, at least 1."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return longest * (1 - self.chance() / 2)
