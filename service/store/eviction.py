"""Watches whether Redis may evict what it was given."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from service.store.problems import Problem
from service.store.redis_client import REDIS_FAILURES, RedisClient, raise_if_cancelled

log = structlog.get_logger()

LOOK_S = 60.0
RETRY_S = 2.0  # while Redis does not reply


class EvictionWatch:
    """Warns of a Redis that has a limit of memory and may delete keys when it is reached.

    It asks INFO, not CONFIG, which managed Redis forbid; one that forbids INFO too is not judged.
    """

    def __init__(
        self,
        redis: RedisClient,
        *,
        look_s: float = LOOK_S,
        retry_s: float = RETRY_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis: Any = redis
        self._look_s = look_s
        self._retry_s = retry_s
        self._wall_clock = wall_clock
        self.problem: Problem | None = None

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            try:
                info = await self._redis.info("memory")
            except REDIS_FAILURES:
                raise_if_cancelled()
                await asyncio.sleep(self._retry_s)
                continue
            self.judge(info.get("maxmemory", 0), info.get("maxmemory_policy", "noeviction"))
            await asyncio.sleep(self._look_s)

    def judge(self, maxmemory: int, policy: str) -> None:
        """Sets `problem` by Redis's settings, and logs a warning when one begins."""
        if not maxmemory or policy == "noeviction":
            self.problem = None
        elif self.problem is None:
            what = f"Redis may evict calls and alerts: maxmemory-policy is {policy}"
            self.problem = Problem(f"{what}, expected noeviction", self._wall_clock())
            log.warning(
                "redis_may_evict", policy=policy, maxmemory=maxmemory, expected="noeviction"
            )
