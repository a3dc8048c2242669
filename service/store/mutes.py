"""The mutes that people set: alerts that match one are recorded, but no alarms until it ends."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from service.store.act_script import ActScript
from service.store.actions import ACT_WITHIN_S
from service.store.audit import audit_fields
from service.store.errors import StoreUnavailable, TooManyMutes
from service.store.keys import MUTES
from service.store.redis_client import RedisClient, replies_required
from service.store.views import MutesView, MuteView

MUTES_LIMIT = 100  # at the same time

T = TypeVar("T")


class Mutes:
    """Sets, ends and lists mutes; all raise StoreUnavailable if Redis is away."""

    def __init__(
        self,
        redis: RedisClient,
        script: ActScript,
        *,
        limit: int = MUTES_LIMIT,
        within_s: float = ACT_WITHIN_S,
    ) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._script = script
        self._limit = limit
        self._within_s = within_s

    async def now(self) -> float:
        """Returns the time of Redis's clock, by which mutes end; epoch seconds."""
        seconds, micros = await self._soon(self._redis.time())
        return float(seconds + micros / 1e6)

    async def all(self) -> MutesView:
        """Returns the mutes that have not ended, the first to end first."""
        now = await self.now()
        found = await self._soon(self._redis.hvals(MUTES))
        return MutesView.at([MuteView.model_validate_json(text) for text in found], now)

    async def add(self, mute: MuteView) -> None:
        """Sets a mute; one whose id is known changes nothing.

        Raises:
            TooManyMutes: there is no room for another one.
        """
        what = [name for name in ("session", "queue", "emotion") if getattr(mute, name)]
        entry = audit_fields(mute.by, "muted", session=mute.session, detail=" ".join(what))
        body = mute.model_dump_json(exclude_none=True)
        outcome = await self._soon(self._script.run("mute", entry, mute.mute_id, body, self._limit))
        if outcome == "full":
            raise TooManyMutes(self._limit)

    async def remove(self, mute_id: str, by: str) -> None:
        """Ends a mute now; an unknown one changes nothing."""
        await self._soon(self._script.run("unmute", audit_fields(by, "unmuted"), mute_id))

    async def _soon(self, reply: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._within_s):
                with replies_required():
                    return await reply
        except TimeoutError:
            raise StoreUnavailable(f"no reply within {self._within_s:g} s") from None
