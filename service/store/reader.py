"""Reads calls and alerts from Redis."""

from typing import Any

from service.store.alert_filter import AlertFilter
from service.store.cursors import CallsCursor, Section, before_entry
from service.store.keys import (
    ALERTS_BY_TIME,
    CALLS_BY_TIME,
    CALLS_LIVE,
    CALLS_LIVE_BY_TIME,
    EVENTS,
    alert_key,
    call_key,
    readings_key,
    session_alerts_key,
)
from service.store.redis_client import RedisClient, replies_required
from service.store.views import (
    CALL_ALERTS_LIMIT,
    AlertPage,
    AlertView,
    CallDetail,
    CallPage,
    CallView,
    ReadingView,
)

READINGS_PAGE = 500
SCANNED = 5000  # alerts that are read for one page of those that match a filter
SCANNED_AT_ONCE = 500  # of them

ALL = AlertFilter()

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

# Returns {member1, score1, ...} of a sorted set, highest score first.
# KEYS[1] = the sorted set
# ARGV[1], ARGV[2] = score and member after which to begin, or '', ''; ARGV[3] = how many at most
MEMBERS_SCRIPT = """
-- Begin behind the member; if it is gone or has moved, at the first of its score or below.
local first = 0
if ARGV[1] ~= '' then
  local score = redis.call('ZSCORE', KEYS[1], ARGV[2])
  if score and tonumber(score) == tonumber(ARGV[1]) then
    first = redis.call('ZREVRANK', KEYS[1], ARGV[2]) + 1
  else
    first = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[1], '+inf')
  end
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[3] - 1, 'WITHSCORES')
"""


class Reader:
    """Reads what the writers of all instances wrote; raises StoreUnavailable without Redis."""

    def __init__(self, redis: RedisClient) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._page_script: Any = redis.register_script(PAGE_SCRIPT)
        self._members_script: Any = redis.register_script(MEMBERS_SCRIPT)

    async def calls(self, before: str | None, limit: int) -> CallPage:
        """Returns calls: the live ones first, each section newest first.

        None is missed by who follows the pages, whatever starts and ends meanwhile.

        Args:
            before: the `next` of an earlier page.
            limit: the longest page.

        Raises:
            BadCursor: `before` is no such `next`.
        """
        _check_limit(limit)
        after = CallsCursor.parse(before) if before is not None else None
        with replies_required():
            places = await self._places(after, limit + 1)
            found = await self._hashes([call_key(place.call_id) for place in places[:limit]])
        return CallPage(
            calls=[CallView.from_hash(fields) for fields in found],
            next=str(places[limit - 1]) if len(places) > limit else None,
        )

    async def call(
        self, call_id: str, before: str | None = None, limit: int = READINGS_PAGE
    ) -> CallDetail | None:
        """Returns the latest session of a call id with readings and alerts; None if unknown.

        Args:
            call_id: the provider's id of the call.
            before: the `next` of an earlier page of the call's readings.
            limit: the longest page of readings: the last ones, or the last before that page.

        Raises:
            BadCursor: `before` is no such `next`.
        """
        _check_limit(limit)
        newest = "+" if before is None else before_entry(before)
        with replies_required():
            found = await self._redis.hgetall(call_key(call_id))
            if not found:
                return None
            readings = await self._redis.xrevrange(readings_key(call_id), newest, count=limit + 1)
            alerts = await self._last_alerts(found["session"])
        page = readings[:limit]
        return CallDetail(
            **dict(CallView.from_hash(found)),
            readings=[ReadingView.model_validate_json(fields["data"]) for _, fields in page[::-1]],
            next=page[-1][0] if len(readings) > limit else None,
            alerts=alerts,
        )

    async def alerts(self, before: str | None, limit: int, wanted: AlertFilter = ALL) -> AlertPage:
        """Returns alerts that fired, newest first.

        Args:
            before: the `next` of an earlier page.
            limit: the longest page.
            wanted: those that are returned. A page is shorter than its limit, though another one
                follows, if that many alerts were read and did not match.
        """
        _check_limit(limit)
        size = limit if wanted == ALL else max(limit, SCANNED_AT_ONCE)
        found: list[AlertView] = []
        last = before
        with replies_required():
            for _ in range(-(-SCANNED // size)):
                ids = await self._alert_ids(last, size + 1, wanted.until)
                hashes = await self._hashes([alert_key(id) for id in ids[:size]])
                views = [AlertView.from_hash(fields) for fields in hashes]
                for view in views:
                    if wanted.matches(view):
                        found.append(view)
                        if len(found) == limit:
                            rest = len(ids) > size or view.alert_id != ids[-1]
                            return AlertPage(alerts=found, next=view.alert_id if rest else None)
                if len(ids) <= size or any(map(wanted.is_before, views)):
                    return AlertPage(alerts=found, next=None)
                last = ids[size - 1]
        return AlertPage(alerts=found, next=last)

    async def _alert_ids(self, before: str | None, count: int, until: float | None) -> list[str]:
        """Returns ids of alerts that fired, newest first: after one of them, or up to a time."""
        if before is None and until is not None:
            found = await self._members_script(keys=[ALERTS_BY_TIME], args=[until, "", count])
            ids: list[str] = found[::2]
        else:
            ids = await self._page_script(keys=[ALERTS_BY_TIME], args=[before or "", count])
        return ids

    async def alert(self, alert_id: str) -> AlertView | None:
        """Returns one alert, also if it has not fired; None if unknown."""
        with replies_required():
            found = await self._redis.hgetall(alert_key(alert_id))
        return AlertView.from_hash(found) if found else None

    async def unconfirmed(self, after_s: float, limit: int = 500) -> list[str]:
        """Returns live sessions whose last heartbeat is older than `after_s`, the oldest first."""
        with replies_required():
            seconds, _ = await self._redis.time()
            found: list[str] = await self._redis.zrangebyscore(
                CALLS_LIVE, "-inf", seconds - after_s, start=0, num=limit
            )
        return found

    async def cursor(self) -> str:
        """Returns the id of the last event: later reads show the effect of all events up to it."""
        with replies_required():
            return await last_event_id(self._redis)

    async def _places(self, after: CallsCursor | None, count: int) -> list[CallsCursor]:
        """Returns at most `count` places in the list of calls that come after one of them."""
        places: list[CallsCursor] = []
        if after is None or after.section is Section.LIVE:
            places = await self._members(Section.LIVE, CALLS_LIVE_BY_TIME, after, count)
            after = None
        while len(places) < count:
            members = await self._members(Section.ENDED, CALLS_BY_TIME, after, count)
            if not members:
                break
            live = await self._redis.zmscore(CALLS_LIVE_BY_TIME, [m.call_id for m in members])
            places += [m for m, score in zip(members, live, strict=True) if score is None]
            after = members[-1]
        return places[:count]

    async def _members(
        self, section: Section, key: str, after: CallsCursor | None, count: int
    ) -> list[CallsCursor]:
        """Returns at most `count` members of a sorted set from its highest score, or after one."""
        args = [after.score, after.call_id, count] if after else ["", "", count]
        flat = await self._members_script(keys=[key], args=args)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [CallsCursor(section, score, call_id) for call_id, score in pairs]

    async def _last_alerts(self, session: str) -> list[AlertView]:
        """Returns the last alerts of a session in their order, however many it has."""
        last: list[AlertView] = []
        position = 0
        while True:
            position, ids = await self._redis.sscan(
                session_alerts_key(session), position, count=CALL_ALERTS_LIMIT
            )
            views = map(AlertView.from_hash, await self._hashes([alert_key(id) for id in ids]))
            known = {view.alert_id: view for view in [*last, *views]}  # a scan may repeat ids
            last = sorted(known.values(), key=lambda alert: (alert.since_s, alert.alert_id))
            last = last[-CALL_ALERTS_LIMIT:]
            if not int(position):
                return last

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
