"""How many alerts fired and how many of them were dismissed, a day and a queue; never an agent."""

from collections import Counter
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pydantic import BaseModel, computed_field

from model.labels import Emotion
from service.alerts.lifecycle import Why
from service.store.errors import TooManyAlerts
from service.store.keys import ALERTS_BY_TIME, alert_key
from service.store.redis_client import RedisClient, replies_required

LONGEST = 100_000  # alerts in one summary
BATCH = 500  # alerts read at once; Redis does nothing else meanwhile
FIELDS = ("queue", "emotion", "dismissed_why", "taken_by", "muted_until")


class AlertCounts(BaseModel, frozen=True):
    """The alerts of one emotion that fired on one day in one queue."""

    day: str  # by the calendar of the zone that was asked for: 2026-11-28
    queue: str | None
    emotion: Emotion
    fired: int
    taken: int
    muted: int
    dismissed: dict[Why, int]  # by why; those that are 0 are left out

    @computed_field  # type: ignore[prop-decorator]
    @property
    def false_alarm_share(self) -> float:
        """The share of those that fired that people dismissed, whatever they gave as the reason."""
        return sum(self.dismissed.values()) / self.fired


class AlertSummary(BaseModel, frozen=True):
    """Counts of alerts by day, queue and emotion, in this order."""

    counts: list[AlertCounts]


class _Group(NamedTuple):
    day: str
    queue: str
    emotion: str


class Summaries:
    """Counts alerts that are kept; raises StoreUnavailable without Redis.

    Args:
        longest: most alerts in one summary.
    """

    def __init__(self, redis: RedisClient, longest: int = LONGEST) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._longest = longest

    async def alerts(self, since: float, until: float, zone: tzinfo) -> AlertSummary:
        """Returns counts of the alerts that fired from `since` to before `until` (epoch seconds).

        Raises:
            TooManyAlerts: more alerts fired then than one summary may have.
        """
        with replies_required():
            fired: list[tuple[str, float]] = await self._redis.zrangebyscore(
                *(ALERTS_BY_TIME, since, f"({until}"),
                **{"start": 0, "num": self._longest + 1, "withscores": True},
            )
        if len(fired) > self._longest:
            raise TooManyAlerts(self._longest)
        counts: dict[_Group, Counter[str]] = {}
        for start in range(0, len(fired), BATCH):
            await self._count(fired[start : start + BATCH], zone, counts)
        return AlertSummary(
            counts=[
                AlertCounts(
                    day=group.day,
                    queue=group.queue or None,
                    emotion=Emotion(group.emotion),
                    fired=found["fired"],
                    taken=found["taken"],
                    muted=found["muted"],
                    dismissed={why: found[why] for why in Why if found[why]},
                )
                for group, found in sorted(counts.items())
            ]
        )

    async def _count(
        self, fired: list[tuple[str, float]], zone: tzinfo, counts: dict[_Group, Counter[str]]
    ) -> None:
        """Adds some alerts to the counts."""
        with replies_required():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for alert_id, _ in fired:
                    pipeline.hmget(alert_key(alert_id), FIELDS)
                found = await pipeline.execute()
        for (_, at), (queue, emotion, why, taken_by, muted_until) in zip(fired, found, strict=True):
            if emotion is None:
                continue  # it expired meanwhile
            day = datetime.fromtimestamp(at, zone).date().isoformat()
            group = counts.setdefault(_Group(day, queue or "", emotion), Counter())
            group["fired"] += 1
            group["taken"] += taken_by is not None
            group["muted"] += muted_until is not None
            if why is not None:
                group[why] += 1
