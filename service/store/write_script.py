"""Runs write.lua, which applies serialised entries to Redis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from service.store.entries import Command
from service.store.redis_client import RedisClient, raise_if_cancelled

SOURCE = Path(__file__).with_name("write.lua").read_text()

EVENTS_LIMIT = 10_000  # of kanjo:events: how far back a subscriber can catch up
READINGS_LIMIT = 7_200  # of one call: two hours at one a second


class BatchResult(NamedTuple):
    """How far a batch was applied."""

    applied: int  # commands, from the first on
    problem: str  # why the next one failed; empty if all were applied


class WriteScript:
    """write.lua with the limits that it keeps."""

    def __init__(
        self,
        redis: RedisClient,
        *,
        retention_s: float,
        events_limit: int = EVENTS_LIMIT,
        readings_limit: int = READINGS_LIMIT,
    ) -> None:
        self._script: Any = redis.register_script(SOURCE)
        self._limits = (retention_s, events_limit, readings_limit)

    async def apply(self, commands: Sequence[Command]) -> BatchResult:
        """Applies commands in their order, in one atomic step, up to the first that fails.

        Raises:
            RedisError, OSError: Redis did not reply; some, all or none may have been applied.
        """
        args: list[str | float] = [*self._limits]
        for kind, arguments in commands:
            args += [kind, len(arguments), *arguments]
        applied, problem = await self._script(args=args)
        raise_if_cancelled()
        return BatchResult(applied, problem)
