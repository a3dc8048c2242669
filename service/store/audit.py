"""The audit stream: who did what to calls and alerts, and when; append-only and bounded.

It holds no call ids, numbers or notes, which may be personal data of callers: a session or an alert
id identifies the call, as long as that call is kept.
"""

from typing import Any

from pydantic import BaseModel

from service.store.cursors import NEXT, event_order
from service.store.keys import AUDIT
from service.store.redis_client import RedisClient, replies_required

AUDIT_LIMIT = 100_000  # entries; older ones are deleted
SCANNED = 10_000
SCANNED_AT_ONCE = 1000


class AuditEntry(BaseModel, frozen=True):
    """One entry of the audit stream: who did what, when, and to which session or alert."""

    id: str
    at: float  # Redis's clock, epoch seconds
    name: str  # of the identity: a login or an API token
    action: str  # one word or two: `purged`, `took`
    session: str | None = None
    alert_id: str | None = None
    detail: str | None = None  # one of a few known words or numbers, never what somebody wrote


class AuditPage(BaseModel, frozen=True):
    """Entries, newest first; `next` is the `before` of the page that follows."""

    entries: list[AuditEntry]
    next: str | None


class AuditLog:
    """Appends to the audit stream and reads it; nothing changes or deletes an entry.

    It lives in Redis alone: what people do needs Redis, and fails without it.

    Args:
        limit: about how many of the newest entries are kept.
        scanned: about how many are read for a page of those of one session.
    """

    def __init__(
        self, redis: RedisClient, limit: int = AUDIT_LIMIT, scanned: int = SCANNED
    ) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._limit = limit
        self._scanned = scanned

    async def add(
        self,
        name: str,
        action: str,
        *,
        session: str | None = None,
        alert_id: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Appends one entry.

        Raises:
            StoreUnavailable: Redis is away; whether the entry was appended is not known.
        """
        fields = audit_fields(name, action, session=session, alert_id=alert_id, detail=detail)
        with replies_required():
            await self._redis.xadd(AUDIT, fields, maxlen=self._limit, approximate=True)

    async def page(
        self,
        before: str | None,
        limit: int,
        *,
        session: str | None = None,
        since: float | None = None,
    ) -> AuditPage:
        """Returns entries, newest first.

        Args:
            before: the `next` of an earlier page.
            limit: the longest page.
            session: only entries about it. A page is shorter than its limit, though another one
                follows, if many entries were read that are about others.
            since: only entries from this time on, epoch seconds.

        Raises:
            BadCursor: `before` is not the id of an entry.
            StoreUnavailable: Redis is away.
        """
        if limit < 1:
            raise ValueError(f"got a limit of {limit}, expected 1 or more")
        if before is not None and event_order(before, NEXT) == (0, 0):
            return AuditPage(entries=[], next=None)  # nothing is older, and Redis refuses it
        oldest = "-" if since is None else f"{max(0, int(since * 1000))}-0"
        size = limit if session is None else min(SCANNED_AT_ONCE, self._scanned)
        entries: list[AuditEntry] = []
        last = before
        for _ in range(-(-self._scanned // size)):
            newest = "+" if last is None else f"({last}"
            with replies_required():
                found = await self._redis.xrevrange(AUDIT, newest, oldest, size + 1)
            for at, (id, fields) in enumerate(found[:size]):
                last = id
                if session in (None, fields.get("session")):
                    entries.append(_entry(id, fields))
                if len(entries) == limit:
                    return AuditPage(entries=entries, next=id if at + 1 < len(found) else None)
            if len(found) <= size:
                return AuditPage(entries=entries, next=None)
        return AuditPage(entries=entries, next=last)


def audit_fields(
    name: str,
    action: str,
    *,
    session: str | None = None,
    alert_id: str | None = None,
    detail: str | None = None,
) -> dict[str, str]:
    """Returns the fields of an entry as the stream has them, also for scripts that append one."""
    named = {"session": session, "alert_id": alert_id, "detail": detail}
    there = {field: value for field, value in named.items() if value is not None}
    return {"name": name, "action": action, **there}


def _entry(id: str, fields: dict[str, str]) -> AuditEntry:
    return AuditEntry.model_validate({**fields, "id": id, "at": int(id.partition("-")[0]) / 1000})
