"""Writes what calls produce: entries go to memory, to the outbox on disk, and from there to Redis.

All entries take this path, in order. So a call never waits, Redis may be away, and kill -9 loses
nothing that has reached the disk: an entry that Redis receives twice changes nothing (write.lua).
"""

import asyncio
import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import structlog
from redis.exceptions import ResponseError

from service.events import CallStarted, Reading, Transition
from service.store.availability import Availability
from service.store.entries import (
    CallEndedEntry,
    CallJoinedEntry,
    CallStartedEntry,
    Entry,
    HeartbeatEntry,
    ReadingEntry,
    SweepEntry,
    TransitionEntry,
    serialize,
)
from service.store.keys import alert_key, session_key
from service.store.live import LiveCalls
from service.store.memory import MemoryQueue
from service.store.outbox import DeadLetter, Outbox
from service.store.patience import Patience, is_fault_of_write
from service.store.problems import Problem
from service.store.redis_client import RedisClient, endless_retry, is_embedded, raise_if_cancelled
from service.store.views import ReadingView
from service.store.write_script import WriteScript

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

MEMORY_LIMIT = 10_000  # entries that are not yet on disk
HEARTBEAT_S = 5.0
LOST_AFTER_S = 30.0
DELIVERY_BATCH = 32  # entries a script applies at once; Redis does nothing else meanwhile
SPOOL_BATCH = 1_000  # entries in one transaction on disk
PROBE = HeartbeatEntry("", "")  # of no session: changes nothing, and fails where any write would


class Writer:
    """Accepts writes without waiting or failing; `run` delivers them.

    `run` also sends heartbeats of this process's live calls, and ends calls whose process stopped
    sending them. `close` is called after `run` has ended.
    """

    def __init__(
        self,
        redis: RedisClient,
        outbox: Outbox,
        script: WriteScript,
        live: LiveCalls,
        availability: Availability,
        *,
        memory_limit: int = MEMORY_LIMIT,
        heartbeat_s: float = HEARTBEAT_S,
        lost_after_s: float = LOST_AFTER_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._outbox = outbox
        self._script = script
        self._availability = availability
        self._heartbeat_s = heartbeat_s
        self._lost_after_s = lost_after_s
        self._patience = Patience()
        self._memory = MemoryQueue(memory_limit)
        self._spooling: list[Entry] = []  # on their way from memory to disk
        self._live = live
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._wall_clock = wall_clock
        self._memory_since = self._spooling_since = 0.0  # epoch seconds, while there are entries
        self._disk_problem: Problem | None = None
        self._written = asyncio.Event()
        self._spooled = asyncio.Event()
        self._delivered = asyncio.Event()

    @property
    def in_memory(self) -> int:
        """Entries that are not yet on disk."""
        return len(self._memory) + len(self._spooling)

    @property
    def pending(self) -> int:
        """Entries that Redis has not received."""
        return self.in_memory + len(self._outbox)

    @property
    def oldest_pending_s(self) -> float:
        """How long the oldest of these entries has waited; 0 if there is none."""
        since = [
            self._spooling_since if self._spooling else None,
            self._memory_since if len(self._memory) else None,
            self._outbox.oldest_at,
        ]
        now = self._wall_clock()
        return max((now - at for at in since if at is not None and at < now), default=0.0)

    @property
    def disk_problem(self) -> Problem | None:
        """What is wrong with the disk of the outbox; None while it works."""
        return self._disk_problem

    @property
    def outbox_problems(self) -> list[Problem]:
        """What is wrong with the outbox though the disk works."""
        problems = [
            Problem(f"outbox: a file was set aside as {aside.path.name}", aside.at)
            for aside in self._outbox.set_aside
        ]
        if letters := self._outbox.dead_letters:
            what = f"outbox: {len(letters)} writes can never be applied; `kanjo outbox` lists them"
            problems.append(Problem(what, letters[0].at))
        return problems

    @property
    def dropped(self) -> int:
        """Readings discarded because memory or outbox were full."""
        return self._memory.dropped + self._outbox.dropped

    @property
    def rejected(self) -> int:
        """Other entries discarded: there was no room, or Redis can never apply them."""
        return self._memory.rejected + self._outbox.rejected

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The entries that Redis can never apply."""
        return self._outbox.dead_letters

    # Writes. `at` is the wall clock in epoch seconds.

    def call_started(self, session: str, started: CallStarted, at: float) -> None:
        """Begins a session of a call id."""
        entry = CallStartedEntry(session, started, at)
        self._live.start(entry)
        self._write(entry)

    def call_joined(self, session: str, started: CallStarted, at: float) -> None:
        """Adds tracks or metadata to a live session: `started` has all of them."""
        self._live.start(CallStartedEntry(session, started, at))
        self._write(CallJoinedEntry(session, started))

    def reading(self, session: str, reading: Reading, at: float) -> None:
        """Adds a reading to a session."""
        view = ReadingView(
            call_id=reading.call_id,
            number=reading.number,
            track=reading.track,
            start_s=reading.start_s,
            end_s=reading.end_s,
            heard_s=reading.heard_s,
            probabilities=dict(reading.probabilities),
            at=at,
        )
        self._write(ReadingEntry(session, view))

    def transition(self, session: str, transition: Transition, at: float) -> None:
        """Adds a step of an alert to a session."""
        entry = TransitionEntry(session, transition, at)
        self._live.step(entry)
        self._write(entry)

    def call_ended(
        self, session: str, call_id: str, reason: str, duration_s: float, at: float
    ) -> None:
        """Ends a session."""
        self._live.end(session)
        self._write(CallEndedEntry(session, call_id, reason, duration_s, at))

    def _write(self, entry: Entry) -> None:
        if not len(self._memory):
            self._memory_since = self._wall_clock()
        self._memory.append(entry)
        self._delivered.clear()
        self._written.set()

    # Delivery.

    async def run(self) -> None:
        """Delivers entries and sends heartbeats until cancelled."""
        self._note_if_delivered()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._spool())
            tasks.create_task(self._scrub())
            tasks.create_task(self._availability.repeat(self._deliver))
            tasks.create_task(self._availability.repeat(self._beat))

    async def flush(self, timeout_s: float) -> bool:
        """Waits until Redis has received everything; returns False if the time was over first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._delivered.wait()
        except TimeoutError:
            log.warning("outbox_not_empty", pending_writes=self.pending)
            return False
        return True

    async def close(self) -> None:
        """Stores on disk what is still in memory, and closes the outbox."""
        rest = [*self._spooling, *self._memory.take(len(self._memory))]
        loop = asyncio.get_running_loop()
        with self._disk:
            try:
                await loop.run_in_executor(self._disk, self._outbox.append, rest)
            except sqlite3.Error as exc:
                log.error("writes_lost", writes=len(rest), problem=str(exc))
            await loop.run_in_executor(self._disk, self._outbox.close)

    async def _spool(self) -> None:
        """Moves entries from memory to the outbox until cancelled."""
        while True:
            await self._written.wait()
            self._written.clear()
            while len(self._memory):
                self._spooling_since = self._memory_since
                self._spooling = self._memory.take(SPOOL_BATCH)
                await self._on_disk(self._outbox.append, self._spooling)
                self._spooling = []
                self._spooled.set()

    async def _scrub(self) -> None:
        """Removes delivered entries from the files, once a round of heartbeats, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._heartbeat_s)
            with contextlib.suppress(sqlite3.Error):  # the next round tries again
                await loop.run_in_executor(self._disk, self._outbox.scrub)

    async def _deliver(self) -> None:
        """Moves one batch from the outbox to Redis, or waits until there is one."""
        self._spooled.clear()
        batch = await self._on_disk(self._outbox.peek, DELIVERY_BATCH)
        if not batch:
            self._note_if_delivered()
            await self._spooled.wait()
            return
        applied, problem = await self._script.apply([command for _, command in batch])
        if applied:
            await self._on_disk(self._outbox.delete_through, batch[applied - 1][0])
        if problem:
            if not self._patience.is_over(batch[applied][0], problem):
                raise ResponseError(problem)
            await self._on_disk(self._outbox.bury, batch[applied][0], problem)
        self._availability.replied()
        self._note_if_delivered()

    async def _beat(self) -> None:
        """Sends one round of heartbeats and sweeps, then waits until the next is due."""
        entries: list[Entry] = [
            HeartbeatEntry(start.session, start.started.call_id) for start in self._live.starts
        ] or [PROBE]
        if self._availability.up_s > self._lost_after_s:
            # Not sooner: just after an outage all instances' heartbeats are old.
            entries.append(SweepEntry(self._lost_after_s))
        beats = [serialize(entry) for entry in entries]
        while beats:
            applied, problem = await self._script.apply(beats[:DELIVERY_BATCH])
            if problem and not is_fault_of_write(problem):
                raise ResponseError(problem)
            del beats[: applied + bool(problem)]  # one that fails by itself keeps back no other
        await self._restore_lost_sessions()
        if is_embedded(self._redis):
            await self._redis.dbsize()  # fakeredis deletes expired keys only when it counts keys
        if not len(self._outbox):
            self._availability.replied()
        raise_if_cancelled()
        await asyncio.sleep(self._heartbeat_s)

    async def _restore_lost_sessions(self) -> None:
        """Writes live sessions and open alerts again that Redis has lost alone.

        It may have evicted them, or be a replica that had not received them. `WriteScript` itself
        finds out that all is lost.
        """
        sessions = [start.session for start in self._live.starts]
        known = await self._redis.mget([session_key(s) for s in sessions]) if sessions else []
        for session, call_id in zip(sessions, known, strict=True):
            if call_id is None:
                for entry in self._live.entries(session):
                    self._write(entry)
        last_steps = [] if self.pending else self._live.last_steps()
        async with self._redis.pipeline(transaction=False) as pipeline:
            for last in last_steps:
                pipeline.hget(alert_key(last.transition.alert_id), "number")
            numbers = await pipeline.execute(raise_on_error=False) if last_steps else []
        for last, number in zip(last_steps, numbers, strict=True):
            if number is None or (isinstance(number, str) and int(number) < last.transition.number):
                for entry in self._live.steps(last):
                    self._write(entry)

    async def _on_disk(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Runs `act` in the worker thread, and again while the disk fails."""
        loop = asyncio.get_running_loop()
        failures = 0

        async def attempt() -> T:
            return await loop.run_in_executor(self._disk, functools.partial(act, *args, **named))

        async def failed(failure: Exception) -> None:
            nonlocal failures
            failures += 1
            if failures == 1:
                log.error("outbox_failing", problem=str(failure))
                if self._disk_problem is None:
                    self._disk_problem = Problem(f"disk: {failure}", self._wall_clock())

        result = await endless_retry((sqlite3.Error,)).call_with_retry(attempt, failed)
        if failures:
            self._disk_problem = None
        return result

    def _note_if_delivered(self) -> None:
        if not self.pending:
            self._delivered.set()
