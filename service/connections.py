"""The limits of open connections, over HTTP, websockets and AudioSocket together."""

import resource
from collections import Counter
from enum import Enum, auto

import structlog

from service.logs import EntryLimit

log = structlog.get_logger()

RESERVED_DESCRIPTORS = 128  # for Redis, files and health checks
HEALTH_CHECKS = 8  # connections beyond the limits, at most one of an address
NEAR = 0.8  # of the limit, from which on the log warns


class Place(Enum):
    """What a new connection is given."""

    FULL = auto()
    HEALTH = auto()  # beyond the limits: it may only ask how the service is


class Connections:
    """Counts the open connections of one service and keeps them within its limits.

    Args:
        entries: limits the log entries about refused connections.
        most: open connections in all; fewer if the process may not open as many descriptors.
        most_per_address: open connections of one address.
        head_within_s: how long a client may take for the head of a request.
        read_within_s: how long a client may read nothing of what was sent to it.
        check_s: over how long the rate of a body is measured.
    """

    def __init__(
        self,
        entries: EntryLimit | None = None,
        most: int = 800,
        most_per_address: int = 600,
        head_within_s: float = 10.0,
        read_within_s: float = 30.0,
        check_s: float = 10.0,
    ) -> None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if descriptors != resource.RLIM_INFINITY:
            most = min(most, max(1, descriptors - RESERVED_DESCRIPTORS))
        self.most = most
        self.most_per_address = most_per_address
        self.head_within_s = head_within_s
        self.read_within_s = read_within_s
        self.check_s = check_s
        self._entries = entries or EntryLimit()
        self._open: Counter[str] = Counter()  # by address
        self._health: set[str] = set()  # addresses that have a place for a health check
        self._near = False

    def __len__(self) -> int:
        """Returns the number of open connections, without those for health checks."""
        return self._open.total()

    def admit(self, address: str, *, health: bool = False) -> Place | None:
        """Counts a new connection; returns its place, or None because a limit is reached.

        Args:
            address: of the client.
            health: whether a health check could come over this connection.
        """
        reason = None
        if len(self) >= self.most:
            reason = "too many connections"
        elif self._open[address] >= self.most_per_address:
            reason = "too many connections of one address"
        if reason is None:
            self._open[address] += 1
            self._warn_if_near()
            return Place.FULL
        if health and address not in self._health and len(self._health) < HEALTH_CHECKS:
            self._health.add(address)
            return Place.HEALTH
        self.refuse(reason, address)
        return None

    def release(self, address: str, place: Place = Place.FULL) -> None:
        """Counts the end of an admitted connection."""
        if place is Place.HEALTH:
            self._health.discard(address)
            return
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
        if len(self) < NEAR / 2 * self.most:
            self._near = False

    def refuse(self, reason: str, address: str) -> None:
        """Logs that a connection is refused or closed."""
        dropped = self._entries.admit(("connection_refused", reason))
        if dropped is not None:
            more = {"dropped": dropped} if dropped else {}
            log.warning("connection_refused", reason=reason, client=address, **more)

    def _warn_if_near(self) -> None:
        if not self._near and len(self) >= NEAR * self.most:
            self._near = True
            log.warning("connections_near_limit", connections=len(self), most=self.most)
