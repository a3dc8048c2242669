"""Writes what calls produce: entries go to memory, and from there to Redis and to disk at once.

An entry is kept as soon as either has it. So a call never waits, Redis or the disk may be away, and
kill -9 loses nothing that is kept: an entry that Redis receives twice changes nothing (write.lua).
All entries are delivered in their order: first those that are on disk alone, then those in memory.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import ResponseError

from service.events import CallStarted, Consent, Reading, Transition
from service.store.availability import Availability
from service.store.disk import Disk
from service.store.entries import (
    CallEndedEntry,
    CallJoinedEntry,
    CallStartedEntry,
    ConsentEntry,
    Entry,
    HeartbeatEntry,
    ReadingEntry,
    RefusedEntry,
    SweepEntry,
    TransitionEntry,
    serialize,
)
from service.store.erasure import Eraser
from service.store.keys import alert_key, session_key
from service.store.live import LiveCalls
from service.store.outbox import DeadLetter
from service.store.patience import Patience, is_fault_of_write
from service.store.problems import Problem
from service.store.receipt import Receipt
from service.store.redis_client import RedisClient, is_embedded, raise_if_cancelled
from service.store.spool import Spool
from service.store.views import ReadingView
from service.store.write_script import WriteScript

log = structlog.get_logger()

MEMORY_LIMIT = 10_000  # entries in memory
HEARTBEAT_S = 5.0
LOST_AFTER_S = 30.0
DELIVERY_BATCH = 32  # entries a script applies at once; Redis does nothing else meanwhile
PROBE = HeartbeatEntry("", "")  # of no session: changes nothing, and fails where any write would
WATCH_S = 0.25  # how often it is looked whether entries are kept anywhere
UNKEPT_AFTER_S = 1.0  # so that a Redis that has yet to reply at the start is no outage
UNREADABLE_RETRY_S = 1.0  # until entries on a disk that can't be read are tried again


class Writer:
    """Accepts writes without waiting or failing; `run` delivers them.

    `run` also sends heartbeats of this process's live calls, and ends calls whose process stopped
    sending them. `close` is called after `run` has ended.
    """

    def __init__(
        self,
        redis: RedisClient,
        disk: Disk,
        script: WriteScript,
        live: LiveCalls,
        availability: Availability,
        eraser: Eraser,
        *,
        memory_limit: int = MEMORY_LIMIT,
        heartbeat_s: float = HEARTBEAT_S,
        lost_after_s: float = LOST_AFTER_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._disk = disk
        self._script = script
        self._availability = availability
        self._heartbeat_s = heartbeat_s
        self._lost_after_s = lost_after_s
        self._wall_clock = wall_clock
        self._patience = Patience()
        self._spool = Spool(disk, memory_limit, tidy_s=heartbeat_s, wall_clock=wall_clock)
        self._live = live
        self._eraser = eraser
        self.on_erased: Callable[[str], None] = lambda session: None  # a live session was erased
        self._delivered = asyncio.Event()
        self._unkept_since: float | None = None  # since when neither Redis nor the disk works

    @property
    def in_memory(self) -> int:
        """Entries that are not known to be on disk."""
        return self._spool.in_memory

    @property
    def pending(self) -> int:
        """Entries that Redis has not received."""
        return self._spool.pending

    @property
    def oldest_pending_s(self) -> float:
        """How long the oldest of these entries has waited; 0 if there is none."""
        at = self._spool.oldest_at
        return 0.0 if at is None else max(0.0, self._wall_clock() - at)

    @property
    def outbox_problems(self) -> list[Problem]:
        """What is wrong with the outbox though the disk works."""
        problems = [
            Problem(f"outbox: a file was set aside as {aside.path.name}", aside.at)
            for aside in self._disk.set_aside
        ]
        if letters := self._disk.dead_letters:
            what = f"outbox: {len(letters)} writes can never be applied; `kanjo outbox` lists them"
            problems.append(Problem(what, letters[0].at))
        return problems

    @property
    def dropped(self) -> int:
        """Readings discarded because memory or outbox were full."""
        return self._spool.dropped

    @property
    def rejected(self) -> int:
        """Other entries discarded: there was no room, or Redis can never apply them."""
        return self._spool.rejected

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The entries that Redis can never apply."""
        return self._spool.dead_letters

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the ways of entries now; empty if nothing is."""
        problems = [self._disk.problem] if self._disk.problem else []
        if self._unkept_since is not None:
            what = "disk and Redis: neither works, and new alerts are in memory alone"
            problems.append(Problem(what, self._unkept_since))
        return problems

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

    def transition(
        self,
        session: str,
        transition: Transition,
        at: float,
        *,
        queue: str | None = None,
        policy_until: float | None = None,
    ) -> Receipt:
        """Adds a step of an alert to a session; returns a receipt that tells when it is kept.

        `queue` is the call's, `policy_until` until when the policy file mutes the alert.
        """
        entry = TransitionEntry(session, transition, at, queue, policy_until)
        receipt = Receipt()
        self._live.step(entry)
        self._write(entry, receipt)
        return receipt

    def call_ended(
        self, session: str, call_id: str, reason: str, duration_s: float, at: float
    ) -> None:
        """Ends a session."""
        self._live.end(session)
        self._write(CallEndedEntry(session, call_id, reason, duration_s, at))

    def consent(self, session: str, call_id: str, consent: Consent) -> None:
        """Stores what the caller of a live session agreed to."""
        self._live.consent(session, consent)
        self._write(ConsentEntry(session, call_id, consent))

    def refused(self, session: str, call_id: str, name: str) -> None:
        """Stores that a session must be erased; `name` is who refused."""
        self._live.end(session)
        self._write(RefusedEntry(session, call_id, name))

    async def forget(self, session: str) -> None:
        """Removes what is kept of a session in this process, and takes no more of it.

        Raises:
            DiskFailed: the disk fails; it can be tried again.
        """
        self._live.end(session)
        self._script.forget(session)
        await self._spool.forget(session)

    def _write(self, entry: Entry, receipt: Receipt | None = None) -> None:
        self._spool.append(entry, receipt)
        self._delivered.clear()

    # Delivery.

    async def run(self) -> None:
        """Delivers entries and sends heartbeats until cancelled."""
        self._note_if_delivered()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._spool.run())
            tasks.create_task(self._watch())
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
        if lost := await self._spool.close():
            log.error("writes_lost", writes=lost)

    async def _deliver(self) -> None:
        """Delivers one batch to Redis, or waits until there is one."""
        batch = await self._spool.next_batch(DELIVERY_BATCH)
        if not batch.commands:
            self._note_if_delivered()
            await self._spool.wait(UNREADABLE_RETRY_S)
            return
        applied, problem = await self._script.apply(batch.commands)
        self._spool.delivered(batch, applied)
        if problem:
            if not self._patience.is_over(batch.key(applied), problem):
                raise ResponseError(problem)
            self._spool.never_deliverable(batch, applied, problem)
            self._live.give_up(batch.commands[applied])
        self._availability.replied()
        self._note_if_delivered()

    async def _watch(self) -> None:
        """Says it when neither Redis nor the disk takes entries, and when that ends."""
        since: float | None = None
        while True:
            if not self._disk.failing or self._availability.up or not self._spool.in_memory:
                since = None
            elif since is None:
                since = self._wall_clock()
            unkept = since is not None and self._wall_clock() - since >= UNKEPT_AFTER_S
            if unkept and self._unkept_since is None:
                self._unkept_since = since
                log.error(
                    "writes_in_memory_alone",
                    writes=self._spool.in_memory,
                    note="neither Redis nor the disk works: what is written now is lost if this "
                    "process ends",
                )
            elif not unkept and self._unkept_since is not None:
                unkept_s = round(self._wall_clock() - self._unkept_since, 1)
                log.warning("writes_kept_again", unkept_s=unkept_s)
                self._unkept_since = None
            await asyncio.sleep(WATCH_S)

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
        if not self.pending:
            self._availability.replied()
        raise_if_cancelled()
        await asyncio.sleep(self._heartbeat_s)

    async def _restore_lost_sessions(self) -> None:
        """Writes live sessions and open alerts again that Redis has lost alone.

        It may have evicted them, or be a replica that had not received them. `WriteScript` itself
        finds out that all is lost.
        """
        if self.pending:
            return  # what Redis lacks may be on its way
        sessions = self._live.restorable
        known = await self._redis.mget([session_key(s) for s in sessions]) if sessions else []
        lacking = [s for s, call_id in zip(sessions, known, strict=True) if call_id is None]
        erased = await self._eraser.marked(lacking) if lacking else set()
        for session in lacking:
            if session in erased:  # by another process, whose event was missed
                self.on_erased(session)
            else:
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

    def _note_if_delivered(self) -> None:
        if not self.pending and (self._disk.failing or not self._spool.unburied):
            self._delivered.set()
