"""The audit stream: who did what to calls and alerts, and when; append-only and bounded.

It holds no call ids, numbers or notes, which may be personal data of callers: a session or an alert
id says which call is meant, as long as that call is kept.
"""

from typing import Any

from pydantic import BaseModel

from service.store.cursors import NEXT, event_order
from service.store.keys import AUDIT
from service.store.redis_client import RedisClient, replies_required

AUDIT_LIMIT = 100_000  # entries; older ones are deleted


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
    """

    def __init__(self, redis: RedisClient, limit: int = AUDIT_LIMIT) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._limit = limit

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

    async def page(self, before: str | None, limit: int) -> AuditPage:
        """Returns entries, newest first; `before` is the `next` of an earlier page.

        Raises:
            BadCursor: `before` is not the id of an entry.
            StoreUnavailable: Redis is away.
        """
        if limit < 1:
            raise ValueError(f"got a limit of {limit}, expected 1 or more")
        newest = "+"
        if before is not None:
            if event_order(before, NEXT) == (0, 0):
                return AuditPage(entries=[], next=None)  # nothing is older, and Redis refuses it
            newest = f"({before}"
        with replies_required():
            found = await self._redis.xrevrange(AUDIT, newest, "-", limit + 1)
        return AuditPage(
            entries=[_entry(id, fields) for id, fields in found[:limit]],
            next=found[limit - 1][0] if len(found) > limit else None,
        )


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
