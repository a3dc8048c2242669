"""Whether Redis takes writes, as the last attempt of any task showed."""

import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError

from service.store.problems import Problem
from service.store.redis_client import REDIS_FAILURES, endless_retry, raise_if_cancelled

log = structlog.get_logger()

LONGEST_PROBLEM = 200  # characters


class Availability:
    """The availability of Redis, shared by all tasks that use it; changes are logged.

    `pending_writes` returns how many writes Redis has not received, for the log.
    """

    def __init__(
        self,
        pending_writes: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._pending_writes = pending_writes
        self._clock = clock
        self._wall_clock = wall_clock
        self._problem: Problem | None = None
        self._up_since: float | None = None
        self._away_since: float | None = None

    @property
    def up(self) -> bool:
        """Whether Redis replied last time; False before the first reply."""
        return self._up_since is not None

    @property
    def up_s(self) -> float:
        """How long Redis has replied without a failure; 0 while it is away."""
        return 0.0 if self._up_since is None else self._clock() - self._up_since

    @property
    def problem(self) -> Problem | None:
        """What is wrong with Redis; None while it takes writes, and before the first attempt."""
        return self._problem

    def replied(self) -> None:
        """Records a success."""
        self._problem = None
        if self._up_since is not None:
            return
        self._up_since = self._clock()
        if self._away_since is not None:
            log.info("redis_back", away_s=round(self._up_since - self._away_since, 1))
            self._away_since = None

    def failed(self, failure: Exception) -> None:
        """Records a failure."""
        if self._away_since is None:
            self._away_since = self._clock()
            log.warning("redis_away", problem=str(failure), pending_writes=self._pending_writes())
        self._up_since = None
        since = self._problem.since if self._problem else self._wall_clock()
        refused = isinstance(failure, ResponseError | AuthenticationError | BusyLoadingError)
        does = "refuses writes" if refused else "does not reply"
        self._problem = Problem(f"Redis {does}: {failure}"[:LONGEST_PROBLEM], since)

    async def repeat(self, step: Callable[[], Awaitable[None]]) -> NoReturn:
        """Runs `step` over and over until cancelled; pauses grow while Redis fails."""

        async def failed(failure: Exception) -> None:
            self.failed(failure)
            raise_if_cancelled()

        retry = endless_retry(REDIS_FAILURES)
        while True:
            raise_if_cancelled()
            await retry.call_with_retry(step, failed)
