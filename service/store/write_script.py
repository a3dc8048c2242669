"""Runs write.lua, which applies serialised entries to Redis."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import structlog

from service.store.delivered import Delivered
from service.store.entries import Command, serialize
from service.store.live import LiveCalls
from service.store.patience import is_fault_of_write
from service.store.redis_client import RedisClient, leave_replica, raise_if_cancelled

log = structlog.get_logger()

HERE = Path(__file__).parent
SHARED = (HERE / "shared.lua").read_text()  # what act.lua and write.lua share
SOURCE = SHARED + (HERE / "write.lua").read_text()

EVENTS_LIMIT = 10_000  # of kanjo:events: how far back a subscriber can catch up
READINGS_LIMIT = 7_200  # of one call: two hours at one a second
REWRITE_BATCH = 32  # entries that are written again at once; Redis does nothing else meanwhile
WARNED_LIMIT = 1_000  # sessions of which a warning is remembered


class BatchResult(NamedTuple):
    """How far a batch was applied."""

    applied: int  # commands, from the first on
    problem: str  # why the next one failed; empty if all were applied


class WriteScript:
    """write.lua with the limits that it keeps.

    When it finds that Redis has lost its data it tells it of all live calls and open alerts again,
    before it applies anything else. When another Redis with the same data has taken over, or Redis
    has restarted, it tells it of what was delivered last too.
    """

    def __init__(
        self,
        redis: RedisClient,
        live: LiveCalls,
        *,
        retention_s: float,
        events_limit: int = EVENTS_LIMIT,
        readings_limit: int = READINGS_LIMIT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.superseded_readings = 0  # replaced or kept out by another session of their call id
        self._redis = redis
        self._script: Any = redis.register_script(SOURCE)
        self._live = live
        self._limits = (retention_s, events_limit, readings_limit)
        self._wall_clock = wall_clock
        self._delivered = Delivered()
        self._data = ""  # the id and the history of the data that Redis last had
        self._warned: deque[str] = deque(maxlen=WARNED_LIMIT)

    async def apply(self, commands: Sequence[Command]) -> BatchResult:
        """Applies commands in their order, in one atomic step, up to the first that fails.

        Raises:
            RedisError, OSError: Redis did not reply; some, all or none may have been applied.
        """
        result, data = await self._apply(commands, self._data)
        if self._data and data != self._data:
            result = await self._write_again(data)
            if result.problem:
                return BatchResult(0, result.problem)
            self._data = data
            result, data = await self._apply(commands, "")
        self._data = self._data or data
        self._delivered.add(commands[: result.applied])
        return result

    def forget(self, session: str) -> None:
        """Removes what is kept of a session here."""
        self._delivered.forget(session)

    async def _write_again(self, data: str) -> BatchResult:
        """Writes what this Redis may lack; what it has already changes nothing."""
        commands = [serialize(entry) for entry in self._live.everything()]
        if _id(data) == _id(self._data):
            # In the order in which it was written: an ended call before the next one of its id.
            commands = self._delivered.commands + commands
            log.warning("redis_may_lack_the_last_writes", written_again=len(commands))
        else:
            log.warning("redis_lost_its_data", written_again=len(commands))
        for start in range(0, len(commands), REWRITE_BATCH):
            batch = commands[start : start + REWRITE_BATCH]
            while batch:
                result, _ = await self._apply(batch, "")
                if result.problem and not is_fault_of_write(result.problem):
                    return result
                batch = batch[result.applied + bool(result.problem) :]
        return BatchResult(len(commands), "")

    async def _apply(self, commands: Sequence[Command], data: str) -> tuple[BatchResult, str]:
        """Runs the script; returns its result and the id of the data."""
        args: list[str | float] = [*self._limits, self._wall_clock(), data, uuid4().hex]
        for kind, arguments in commands:
            args += [kind, len(arguments), *arguments]
        applied, problem, found, superseded = await self._script(args=args)
        raise_if_cancelled()
        if "READONLY" in problem:  # as a reply of its own would
            await leave_replica(self._redis)
        for session, count in zip(superseded[::2], superseded[1::2], strict=True):
            self._count_superseded(session, count)
        return BatchResult(applied, problem), found

    def _count_superseded(self, session: str, readings: int) -> None:
        self.superseded_readings += readings
        if session not in self._warned:
            self._warned.append(session)
            log.warning(
                "call_id_taken",
                session=session,
                readings=readings,
                note="another session has the same call id: this one's readings are not kept",
            )


def _id(data: str) -> str:
    """Returns the id of the data without their history."""
    return data.partition(" ")[0]
