"""The entries that Redis received last, for a Redis that turns out not to have them."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from service.store.entries import Command, HeartbeatEntry, RefusedEntry, SweepEntry

LIMIT = 10_000  # entries
KEPT_S = 30.0
NOT_KEPT = (HeartbeatEntry.kind, SweepEntry.kind)  # a late one would be a wrong one


class Delivered:
    """Keeps what was delivered in the last `kept_s` before the newest delivery, in its order.

    A master that fails takes with it what its replica had not received yet, although it had
    confirmed it; so does a Redis that ends before it has written to its disk. Above `limit` the
    oldest entries leave.
    """

    def __init__(
        self,
        limit: int = LIMIT,
        kept_s: float = KEPT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept_s = kept_s
        self._clock = clock
        self._entries: deque[tuple[float, Command]] = deque(maxlen=limit)

    @property
    def commands(self) -> list[Command]:
        """What is kept, in the order of its delivery."""
        return [command for _, command in self._entries]

    def add(self, commands: Sequence[Command]) -> None:
        """Adds entries that Redis has just confirmed."""
        now = self._clock()
        self._entries.extend((now, one) for one in commands if one.kind not in NOT_KEPT)
        while self._entries and self._entries[0][0] < now - self._kept_s:
            self._entries.popleft()

    def forget(self, session: str) -> None:
        """Removes the entries of a session, but not that its caller refused."""
        self._entries = deque(
            (
                (at, one)
                for at, one in self._entries
                if one.kind == RefusedEntry.kind or session not in one.arguments
            ),
            self._entries.maxlen,
        )
