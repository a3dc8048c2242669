"""Reads calls and alerts from Redis."""

from typing import Any

from service.store.keys import (
    ALERTS_BY_TIME,
    CALLS_BY_TIME,
    CALLS_LIVE,
    EVENTS,
    alert_key,
    call_key,
    readings_key,
    session_alerts_key,
    session_key,
)
from service.store.redis_client import RedisClient, replies_required
from service.store.views import AlertPage, AlertView, CallDetail, CallView, ReadingView

# Returns a page of a sorted set's members, highest score first.
# KEYS[1] = the sorted set
# ARGV[1] = the member after which the page starts, or ''; ARGV[2] = the longest page
PAGE_SCRIPT = """
-- Find the rank of the first member of the page; a page after an unknown member is empty.
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  first = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)
"""


class Reader:
    """Reads what the writers of all instances wrote; raises StoreUnavailable without Redis."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._page_script: Any = redis.register_script(PAGE_SCRIPT)

    async def calls(self, limit: int) -> list[CallView]:
        """Returns at most `limit` calls: the live ones first, then the newest."""
        _check_limit(limit)
        with replies_required():
            sessions = await self._redis.zrange(CALLS_LIVE, 0, -1)
            live = await self._redis.mget([session_key(s) for s in sessions]) if sessions else []
            recent = await self._redis.zrevrange(CALLS_BY_TIME, 0, limit - 1)
            ids = dict.fromkeys([id for id in [*live, *recent] if id is not None])
            found = await self._hashes([call_key(id) for id in ids])
        calls = [CallView.from_hash(fields) for fields in found]
        calls.sort(key=lambda call: (call.state != "live", -call.started_at))
        return calls[:limit]

    async def call(self, call_id: str) -> CallDetail | None:
        """Returns the latest session of a call id with its readings and alerts; None if unknown."""
        with replies_required():
            found = await self._redis.hgetall(call_key(call_id))
            if not found:
                return None
            readings = await self._redis.xrange(readings_key(call_id))
            alert_ids = await self._redis.smembers(session_alerts_key(found["session"]))
            alerts = await self._hashes([alert_key(id) for id in alert_ids])
        return CallDetail(
            **dict(CallView.from_hash(found)),
            readings=[ReadingView.model_validate_json(fields["data"]) for _, fields in readings],
            alerts=sorted(
                map(AlertView.from_hash, alerts),
                key=lambda alert: (alert.since_s, alert.alert_id),
            ),
        )

    async def alerts(self, before: str | None, limit: int) -> AlertPage:
        """Returns alerts that fired, newest first; `before` is the `next` of an earlier page."""
        _check_limit(limit)
        with replies_required():
            ids = await self._page_script(keys=[ALERTS_BY_TIME], args=[before or "", limit + 1])
            found = await self._hashes([alert_key(id) for id in ids[:limit]])
        return AlertPage(
            alerts=[AlertView.from_hash(fields) for fields in found],
            next=ids[limit - 1] if len(ids) > limit else None,
        )

    async def cursor(self) -> str:
        """Returns the id of the last event: later reads show the effect of all events up to it."""
        with replies_required():
            return await last_event_id(self._redis)

    async def _hashes(self, keys: list[str]) -> list[dict[str, str]]:
        """Returns the hashes that are still there, in the order of `keys`."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            return [fields for fields in await pipeline.execute() if fields]


async def last_event_id(redis: Any) -> str:
    """Returns the id of the last event, 0-0 if there is none. Raises RedisError, OSError."""
    last = await redis.xrevrange(EVENTS, count=1)
    id: str = last[0][0] if last else "0-0"
    return id


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"got a limit of {limit}, expected 1 or more")
