"""How long writes wait for Redis: while it is away, and until it has caught up."""

from tests.benchmarks.costs import Costs


class RedisQueue:
    """The readings of a site that Redis has not received, in their order, as a fluid.

    Args:
        services: that read every event.
    """

    def __init__(self, services: int, costs: Costs) -> None:
        self.up = True
        self._rate = 1e6 / (costs.write_together_us + services * costs.event_us)
        self._waiting = 0.0
        self._arriving = 1.0

    def step(self, readings: float) -> None:
        """Lets a second pass in which so many readings come."""
        self._arriving = max(readings, 1e-9)
        room = self._rate if self.up else 0.0
        self._waiting = max(0.0, self._waiting + readings - room)

    @property
    def oldest_s(self) -> float:
        """How long the oldest of them has waited."""
        return self._waiting / self._arriving
