"""Tells every page that the service lives, and whether what it shows is true now."""

import asyncio
import time
from collections.abc import Callable
from typing import Literal
from uuid import uuid4

from service.calls.registry import CallRegistry
from service.store.errors import StoreUnavailable
from service.store.store import Store
from service.store.views import HeartbeatView

EVERY_S = 5.0
CONFIRMED_WITHIN_S = 8.0  # each service confirms its live calls every 5 s
REDIS_WITHIN_S = 1.0  # for Redis to tell which calls are not confirmed


class Heartbeat:
    """Makes and sends heartbeats; `run` is owned by the app.

    Args:
        every_s: how often.
        confirmed_within_s: how old the last sign of a live call's service may be.
        wall_clock: epoch seconds.
        clock: for durations.
    """

    def __init__(
        self,
        store: Store,
        calls: CallRegistry,
        *,
        every_s: float = EVERY_S,
        confirmed_within_s: float = CONFIRMED_WITHIN_S,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._calls = calls
        self._every_s = every_s
        self._confirmed_within_s = confirmed_within_s
        self._wall_clock = wall_clock
        self._start_id = uuid4().hex
        self._started_at = wall_clock()
        self._clock = clock
        self._unconfirmed: list[str] = []
        self._outage_at: float | None = None  # when Redis was last found to be away

    async def run(self) -> None:
        """Sends a heartbeat every `every_s` until cancelled, also while Redis is away."""
        while True:
            replied = await self.ask_redis()
            self._store.feed.beat(self.now(replied=replied).model_dump_json())
            await asyncio.sleep(self._every_s)

    def now(self, *, replied: bool = True) -> HeartbeatView:
        """Returns a heartbeat; `replied`: whether Redis did just now, if it was asked."""
        up = replied and self._store.redis_up and self._store.feed.following
        state: Literal["up", "away"] = "up" if up else "away"
        return HeartbeatView(
            at=self._wall_clock(),
            every_s=self._every_s,
            start_id=self._start_id,
            started_at=self._started_at,
            redis=state,
            oldest_waiting_write_s=round(self._store.oldest_pending_s, 1),
            live_calls=len(self._calls),
            unconfirmed=self._unconfirmed,
        )

    async def ask_redis(self) -> bool:
        """Asks which calls are not confirmed; returns False if Redis did not reply in time."""
        try:
            async with asyncio.timeout(REDIS_WITHIN_S):
                found = await self._store.reader.unconfirmed(self._confirmed_within_s)
        except (StoreUnavailable, TimeoutError):
            self._outage_at = self._clock()
            self._unconfirmed = []
            return False
        # Just after an outage no service has confirmed its calls again, but those here are live.
        is_early = (
            self._outage_at is not None
            and self._clock() - self._outage_at < self._confirmed_within_s
        )
        own = self._calls.sessions
        self._unconfirmed = [] if is_early else [one for one in found if one not in own]
        return True
