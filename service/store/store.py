"""What calls leave behind: writes, reads and the feed of events, on one Redis."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

from service.events import CallStarted, Consent, Reading, Transition
from service.store import redis_client
from service.store.act_script import ActScript
from service.store.actions import Actions
from service.store.audit import AuditLog
from service.store.availability import Availability
from service.store.disk import Disk
from service.store.erasure import Eraser
from service.store.errors import DiskFailed, StoreUnavailable
from service.store.event_batch import EventBatch
from service.store.eviction import EvictionWatch
from service.store.feed import SUBSCRIBER_LIMIT, Feed
from service.store.live import LiveCalls
from service.store.looks import Looks
from service.store.mutes import Mutes
from service.store.outbox import DeadLetter, Outbox
from service.store.problems import Problem
from service.store.reader import READINGS_PAGE, Reader
from service.store.receipt import Receipt
from service.store.redis_client import RedisClient
from service.store.subscriber import Offer
from service.store.summary import Summaries
from service.store.views import CallDetail, CallPage
from service.store.write_script import EVENTS_LIMIT, READINGS_LIMIT, WriteScript
from service.store.writer import HEARTBEAT_S, LOST_AFTER_S, MEMORY_LIMIT, Writer

ERASE_EVERY_S = 5.0  # how often refused sessions of any service are looked for
UNFORGOTTEN_LIMIT = 10_000  # refused sessions of which entries may be left in the outbox
OUTBOX_LIMIT = 1_500_000  # entries that are not yet in Redis: two hours of 200 speaking callers


class Store:
    """Joins writer, reader and feed. Writes neither wait nor fail; reads raise StoreUnavailable.

    What people do (`actions`, `mutes`) is written at once, and raises StoreUnavailable too.

    The owner of the store runs `run` as a task, and calls `close` after it has ended.

    Args:
        outbox: opens the outbox; if its disk fails it is called again later.
        retention_s: how long ended calls and alerts are kept.
        heartbeat_s: how often the live calls of this process are confirmed.
        lost_after_s: after how long without a heartbeat any instance ends a call as lost.
        memory_limit: entries in memory; `outbox.limit` is that on disk.
        events_limit: events that subscribers can catch up with.
        readings_limit: readings kept of one call.
        subscriber_limit: events by which a subscriber may lag.
        wall_clock: epoch seconds; the clock of `at` in writes.
    """

    def __init__(
        self,
        redis: RedisClient,
        outbox: Callable[[], Outbox],
        *,
        retention_s: float,
        heartbeat_s: float = HEARTBEAT_S,
        lost_after_s: float = LOST_AFTER_S,
        memory_limit: int = MEMORY_LIMIT,
        events_limit: int = EVENTS_LIMIT,
        readings_limit: int = READINGS_LIMIT,
        subscriber_limit: int = SUBSCRIBER_LIMIT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._availability = Availability(lambda: self.pending_writes, wall_clock=wall_clock)
        live = LiveCalls()
        self._script = WriteScript(
            redis,
            live,
            retention_s=retention_s,
            events_limit=events_limit,
            readings_limit=readings_limit,
            wall_clock=wall_clock,
        )
        self.disk = Disk(outbox, wall_clock=wall_clock)
        self._eraser = Eraser(redis, retention_s)
        self._unforgotten: deque[str] = deque(maxlen=UNFORGOTTEN_LIMIT)
        self._refused = asyncio.Event()
        self._erasing = asyncio.Lock()
        self.writer = Writer(
            redis,
            self.disk,
            self._script,
            live,
            self._availability,
            self._eraser,
            memory_limit=memory_limit,
            heartbeat_s=heartbeat_s,
            lost_after_s=lost_after_s,
            wall_clock=wall_clock,
        )
        self._eviction = EvictionWatch(redis, wall_clock=wall_clock)
        self.reader = Reader(redis)
        self.audit = AuditLog(redis)
        self.looks = Looks(self.audit)
        self.summaries = Summaries(redis)
        acting = ActScript(redis, events_limit=events_limit)
        self.actions = Actions(redis, acting)
        self.mutes = Mutes(redis, acting)
        self.feed = Feed(redis, self._availability, subscriber_limit=subscriber_limit)

    @classmethod
    def connect(
        cls,
        url: str | None,
        *,
        outbox_path: Path | None,
        retention_s: float,
        outbox_limit: int = OUTBOX_LIMIT,
        wall_clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> Self:
        """Opens the outbox without waiting for Redis; `options` are those of the constructor.

        Without a URL, Redis and outbox live in this process and nothing is kept after it.

        Raises:
            UnusableRedisUrl: the URL can't be one of Redis.
            OutboxInUse: another process has the file at `outbox_path` open.
        """
        redis = redis_client.connect(url)
        path = None if url is None else outbox_path
        outbox = partial(Outbox, path, outbox_limit, wall_clock=wall_clock)
        return cls(redis, outbox, retention_s=retention_s, wall_clock=wall_clock, **options)

    @property
    def embedded(self) -> bool:
        """Whether all of it lives in this process: nothing is kept or shared."""
        return redis_client.is_embedded(self._redis)

    @property
    def redis_up(self) -> bool:
        """Whether Redis took writes last time."""
        return self._availability.up

    @property
    def keeps_writes(self) -> bool:
        """Whether a new write reaches Redis, or at least the disk."""
        return self.redis_up or not self.disk.failing

    @property
    def outbox_failing(self) -> bool:
        """Whether the outbox's disk takes no writes now."""
        return self.disk.failing

    @property
    def pending_writes(self) -> int:
        """Writes that Redis has not received."""
        return self.writer.pending

    @property
    def oldest_pending_s(self) -> float:
        """How long the oldest of these writes has waited; 0 if there is none."""
        return self.writer.oldest_pending_s

    @property
    def dropped_readings(self) -> int:
        """Readings discarded because memory or outbox were full."""
        return self.writer.dropped

    @property
    def rejected_writes(self) -> int:
        """Other writes discarded: there was no room, or Redis can never apply them."""
        return self.writer.rejected

    @property
    def superseded_readings(self) -> int:
        """Readings that another session of their call id replaced or kept from being stored."""
        return self._script.superseded_readings

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The writes that Redis can never apply, oldest first, without their content."""
        return self.writer.dead_letters

    @property
    def problems(self) -> list[Problem]:
        """What is wrong now; empty if everything works."""
        parts = [
            self._availability.problem,
            *self.writer.problems,
            *self.writer.outbox_problems,
            self._eviction.problem,
        ]
        return [problem for problem in parts if problem is not None]

    async def run(self) -> None:
        """Delivers writes and feeds subscribers until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.writer.run())
                tasks.create_task(self.feed.run())
                tasks.create_task(self._keep_erasing())
                if not self.embedded:
                    tasks.create_task(self._eviction.run())
        finally:
            self.feed.end()

    async def flush(self, timeout_s: float) -> bool:
        """Waits until Redis has received everything; returns False if the time was over first.

        Sessions that were refused are erased by then too.
        """
        flushed = await self.writer.flush(timeout_s)
        try:
            async with asyncio.timeout(timeout_s if flushed else 0):
                await self._erase_refused()
        except (TimeoutError, StoreUnavailable, DiskFailed):
            return False
        return flushed

    async def close(self) -> None:
        """Stores on disk what is still in memory, and closes the outbox and the connections."""
        await self.writer.close()
        await self._redis.aclose()

    # Writes. `at` is the wall clock in epoch seconds.

    def call_started(self, session: str, started: CallStarted, at: float) -> None:
        """Begins a session of a call id."""
        self.writer.call_started(session, started, at)

    def call_joined(self, session: str, started: CallStarted, at: float) -> None:
        """Adds tracks or metadata to a live session: `started` has all of them."""
        self.writer.call_joined(session, started, at)

    def reading(self, session: str, reading: Reading, at: float) -> None:
        """Adds a reading to a session."""
        self.writer.reading(session, reading, at)

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
        return self.writer.transition(
            session, transition, at, queue=queue, policy_until=policy_until
        )

    def call_ended(
        self, session: str, call_id: str, reason: str, duration_s: float, at: float
    ) -> None:
        """Ends a session."""
        self.writer.call_ended(session, call_id, reason, duration_s, at)

    def consent(self, session: str, call_id: str, consent: Consent) -> None:
        """Stores what the caller of a live session agreed to."""
        self.writer.consent(session, call_id, consent)

    def refused(self, session: str, call_id: str, name: str) -> None:
        """Erases a session soon, because its caller refused; `name` is who said so.

        It is written as all else is, and so survives the end of the process; whichever service
        finds it in Redis erases the session.
        """
        self.writer.refused(session, call_id, name)
        self._unforgotten.append(session)
        self._refused.set()

    async def _keep_erasing(self) -> NoReturn:
        while True:
            self._refused.clear()
            with suppress(StoreUnavailable, DiskFailed):
                await self._forget_refused()
                await self.writer.flush(ERASE_EVERY_S)
                await self._erase_refused()
            with suppress(TimeoutError):
                async with asyncio.timeout(ERASE_EVERY_S):
                    await self._refused.wait()
        raise AssertionError("unreachable")

    async def _forget_refused(self) -> None:
        async with self._erasing:
            while self._unforgotten:
                await self.writer.forget(self._unforgotten[0])
                self._unforgotten.popleft()

    async def _erase_refused(self) -> None:
        await self._forget_refused()
        async with self._erasing:
            for session, call_id, name in await self._eraser.refused():
                await self.erase(call_id, [session], name, "refused")
                await self._eraser.settle(session)

    # Erasure.

    async def sessions(self, call_id: str) -> list[str]:
        """Returns all sessions of a call id that have left anything, the latest first."""
        return await self._eraser.sessions(call_id)

    async def erase(self, call_id: str, sessions: list[str], name: str, action: str) -> None:
        """Removes every trace of these sessions, but for one entry of the audit stream.

        The owner of their calls must have stopped them: this process takes no more writes of them.
        It can be repeated.

        Args:
            name: who asked for it.
            action: why: `purged`, `refused`.

        Raises:
            StoreUnavailable: Redis is away.
            DiskFailed: the outbox's disk fails.
        """
        for session in sessions:  # first, so that a restart without Redis writes none of it
            await self.writer.forget(session)
        await self._eraser.mark(sessions)
        await self._eraser.erase(call_id, sessions)
        await self.audit.add(name, action, session=sessions[0])

    # Reads.

    async def calls(self, before: str | None, limit: int) -> CallPage:
        """Returns a page of calls: the live ones first, then the newest (`Reader.calls`)."""
        return await self.reader.calls(before, limit)

    async def call(
        self, call_id: str, before: str | None = None, limit: int = READINGS_PAGE
    ) -> CallDetail | None:
        """Returns a call with a page of its readings (`Reader.call`); None if unknown."""
        return await self.reader.call(call_id, before, limit)

    async def cursor(self) -> str:
        """Returns the id of the last event: later reads show the effect of all events up to it."""
        return await self.reader.cursor()

    def events(
        self, after: str | None, offer: Offer | None = None
    ) -> AsyncGenerator[EventBatch, None]:
        """Yields what happens from now on, or after the event `after` (`Feed.batches`)."""
        return self.feed.batches(after, offer)
