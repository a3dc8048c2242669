"""Who looked at what, in the audit stream: once in a while each, so that it can't be flooded."""

import time
from collections.abc import Callable

from service.store.audit import AuditLog
from service.store.errors import StoreUnavailable

EVERY_S = 600.0  # one entry for who looks at the same again and again
REMEMBERED = 10_000  # looks; a thousand people who each look at ten calls in that time

ACTION = "looked_at"  # the word of the audit
LATEST, HISTORY = "alerts", "history"  # details: the newest alerts; alerts of the past


class Looks:
    """Appends an entry for the first look of a person at a call or a list, and then every 10 min.

    What was recorded is remembered in this process alone: another service, or this one after a
    restart, records a look again. When too much is to be remembered the oldest look is forgotten,
    and recorded again.

    Args:
        every_s: for how long a look stands for the same person's next ones at the same thing.
        remembered: how many looks are remembered.
        clock: for durations, seconds.
    """

    def __init__(
        self,
        audit: AuditLog,
        *,
        every_s: float = EVERY_S,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._audit = audit
        self._every_s = every_s
        self._remembered = remembered
        self._clock = clock
        self._looks: dict[tuple[str, str | None, str | None], float] = {}  # the oldest first

    async def at_call(self, name: str, session: str) -> None:
        """Records that a person looks at a session of a call. Raises StoreUnavailable."""
        await self._record(name, session, None)

    async def at_list(self, name: str, detail: str) -> None:
        """Records that a person looks at a list: `LATEST` or `HISTORY`. Raises StoreUnavailable."""
        await self._record(name, None, detail)

    async def _record(self, name: str, session: str | None, detail: str | None) -> None:
        look = (name, session, detail)
        at = self._clock()
        if look in self._looks and at - self._looks[look] < self._every_s:
            return
        self._looks.pop(look, None)
        self._looks[look] = at  # before Redis has it, so that a request meanwhile adds no entry
        while len(self._looks) > self._remembered:
            del self._looks[next(iter(self._looks))]
        try:
            await self._audit.add(name, ACTION, session=session, detail=detail)
        except StoreUnavailable:
            self._looks.pop(look, None)
            raise
