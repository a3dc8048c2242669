"""Removes every trace of calls from Redis: keys, members of sets, entries of streams.

Session by session. A session that was erased is marked for as long as a late write of it may come
(`write.lua` refuses those); the mark is the session's random id alone.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from service.store.keys import (
    ALERTS,
    ALERTS_BY_TIME,
    CALLS_BY_TIME,
    CALLS_LIVE,
    CALLS_LIVE_BY_TIME,
    EVENTS,
    REFUSED,
    actions_key,
    alert_key,
    call_key,
    erased_key,
    readings_key,
    session_alerts_key,
    session_key,
)
from service.store.redis_client import RedisClient, replies_required

PAGE = 500  # entries or keys that are looked at in one step
CALL_ERASED = "call_erased"  # the event that tells of it

# Deletes a call's hash and readings if its latest session is one of those that are erased.
# KEYS: the hash, the readings, the sorted sets of calls and of live ones
# ARGV[1] = the call id; ARGV[2+] = sessions
DELETE_CALL = """
local latest = redis.call('HGET', KEYS[1], 'session')
for i = 2, #ARGV do
  if ARGV[i] == latest then
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
end
"""

Fields = dict[str, str]


class Eraser:
    """Erases sessions of calls. It raises StoreUnavailable without Redis, and can be repeated.

    Args:
        retention_s: how long a late write of an erased session may come.
    """

    def __init__(self, redis: RedisClient, retention_s: float) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._mark_ms = max(1, round(retention_s * 1000))
        self._delete_call: Any = redis.register_script(DELETE_CALL)

    async def sessions(self, call_id: str) -> list[str]:
        """Returns all sessions of a call id that have left anything, the latest first."""
        with replies_required():
            latest = await self._redis.hget(call_key(call_id), "session")
            found = [] if latest is None else [latest]
            prefix = session_key("")
            cursor = None
            while cursor != 0:
                cursor, names = await self._redis.scan(
                    cursor or 0, match=f"{prefix}*", count=PAGE, _type="string"
                )
                ids = await self._redis.mget(names) if names else []
                found += [
                    name.removeprefix(prefix)
                    for name, id in zip(names, ids, strict=True)
                    if id == call_id
                ]
        return list(dict.fromkeys(found))

    async def mark(self, sessions: Sequence[str]) -> None:
        """Makes Redis ignore every later write of these sessions."""
        with replies_required():
            async with self._redis.pipeline(transaction=True) as pipeline:
                for session in sessions:
                    pipeline.set(erased_key(session), 1, px=self._mark_ms)
                    pipeline.zrem(CALLS_LIVE, session)
                await pipeline.execute()

    async def refused(self) -> list[tuple[str, str, str]]:
        """Returns the sessions to be erased, their call ids, and who refused."""
        with replies_required():
            found = await self._redis.hgetall(REFUSED)
        return [(session, *json.loads(text)) for session, text in found.items()]

    async def settle(self, session: str) -> None:
        """Takes a session that is erased off those to be erased."""
        with replies_required():
            await self._redis.hdel(REFUSED, session)

    async def marked(self, sessions: Sequence[str]) -> set[str]:
        """Returns which of these sessions have been erased. Raises RedisError, OSError."""
        marks = await self._redis.mget([erased_key(session) for session in sessions])
        return {session for session, mark in zip(sessions, marks, strict=True) if mark is not None}

    async def erase(self, call_id: str, sessions: Sequence[str]) -> None:
        """Deletes all that marked sessions of a call have left, and tells subscribers so."""
        with replies_required():
            alert_ids: set[str] = set()
            for session in sessions:
                alert_ids |= await self._redis.smembers(session_alerts_key(session))

            def is_step(fields: Fields) -> bool:
                return fields.get("alert_id") in alert_ids

            def is_event(fields: Fields) -> bool:
                if fields.get("kind") == "reading":
                    return _call_id(fields.get("data", "")) == call_id
                return fields.get("session") in sessions or is_step(fields)

            await self._delete_entries(ALERTS, is_step)
            await self._delete_entries(EVENTS, is_event)
            await self._delete_call(
                keys=[
                    call_key(call_id),
                    readings_key(call_id),
                    CALLS_BY_TIME,
                    CALLS_LIVE_BY_TIME,
                ],
                args=[call_id, *sessions],
            )
            async with self._redis.pipeline(transaction=True) as pipeline:
                for alert_id in alert_ids:
                    pipeline.delete(alert_key(alert_id), actions_key(alert_id))
                    pipeline.zrem(ALERTS_BY_TIME, alert_id)
                for session in sessions:
                    pipeline.delete(session_key(session), session_alerts_key(session))
                    pipeline.xadd(EVENTS, {"kind": CALL_ERASED, "session": session})
                await pipeline.execute()

    async def _delete_entries(self, stream: str, belongs: Callable[[Fields], bool]) -> None:
        async for page in self._pages(stream):
            if ids := [id for id, fields in page if belongs(fields)]:
                await self._redis.xdel(stream, *ids)

    async def _pages(self, stream: str) -> AsyncIterator[list[tuple[str, Fields]]]:
        after = "-"
        while page := await self._redis.xrange(stream, after, "+", PAGE):
            yield page
            after = f"({page[-1][0]}"


def _call_id(data: str) -> object:
    try:
        return json.loads(data)["call_id"]
    except (ValueError, TypeError, KeyError):
        return None
