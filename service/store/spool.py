"""The entries that Redis has not received: in memory, and on disk beside it."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from service.store.disk import Disk
from service.store.entries import Command, Entry, ReadingEntry, serialize
from service.store.errors import DiskFailed
from service.store.memory import MemoryQueue, Record
from service.store.outbox import DeadLetter, Outbox
from service.store.receipt import Receipt
from service.store.redis_client import endless_retry

SPOOL_BATCH = 1_000  # entries in one transaction on disk
LARGE_BYTES = 8_000_000  # an outbox that needed more gives its room back when it is empty
FORGOTTEN_LIMIT = 1_000  # sessions whose late entries are still known
DEAD_LIMIT = 1_000  # dead letters that wait for the disk


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries to deliver next, in their order."""

    commands: list[Command]
    ids: list[int]  # in the outbox, of entries that are on disk alone; else empty
    records: list[Record]  # of entries in memory; else empty
    in_turn: bool  # False: the disk holds earlier entries and can't be read

    def key(self, i: int) -> int:
        """Returns a number that stands for the entry while it waits."""
        return self.ids[i] if self.ids else -id(self.records[i])


class Spool:
    """Takes entries without waiting, and gives them out in their order until they are delivered.

    `run` stores on disk what is not delivered sooner, and deletes there what was. A disk that fails
    is tried again and again; meanwhile entries are in memory alone. Entries on disk that can't be
    read are delivered when they can: later ones do not wait for them.
    """

    def __init__(
        self,
        disk: Disk,
        memory_limit: int,
        tidy_s: float,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._disk = disk
        self._tidy_s = tidy_s
        self._memory = MemoryQueue(memory_limit, wall_clock)
        self._dead: deque[tuple[Command, bool, str]] = deque()  # dead letters for the disk
        self._dead_dropped = 0
        self._forgotten: dict[str, None] = {}  # sessions, the oldest first
        self._delivered_through = 0  # ids up to here are delivered, or never will be
        self._deleted_through = 0
        self._undeleted = 0  # entries on disk that are delivered
        self._writing = asyncio.Lock()  # of what must not change while entries are stored
        self._appended = asyncio.Event()  # there may be something to store
        self._waiting = asyncio.Event()  # there may be something to deliver

    @property
    def in_memory(self) -> int:
        """Entries that are not known to be on disk."""
        return self._memory.not_on_disk

    @property
    def pending(self) -> int:
        """Entries that Redis has not received."""
        return len(self._memory) + self._backlog

    @property
    def dropped(self) -> int:
        """Readings discarded because memory or outbox were full."""
        return self._memory.dropped + self._disk.dropped

    @property
    def rejected(self) -> int:
        """Other entries discarded: there was no room, or Redis can never apply them."""
        dead = len(self._dead) + self._dead_dropped
        return self._memory.rejected + self._disk.rejected + dead

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The entries that Redis can never apply, as far as they are on disk."""
        return self._disk.dead_letters

    @property
    def unburied(self) -> int:
        """Dead letters that are not yet on disk."""
        return len(self._dead)

    @property
    def oldest_at(self) -> float | None:
        """When the oldest entry that Redis has not received was written, in epoch seconds."""
        return self._disk.oldest_at if self._backlog else self._memory.oldest_at

    @property
    def _backlog_through(self) -> int:
        """The id of the last entry that is on disk alone, if `_delivered_through` is smaller."""
        return max(self._memory.released_through, self._disk.backlog_through)

    @property
    def _backlog(self) -> int:
        """Entries that are on disk alone."""
        if self._backlog_through <= self._delivered_through:
            return 0
        return max(1, len(self._disk) - self._memory.on_disk - self._undeleted)

    def append(self, entry: Entry, receipt: Receipt | None = None) -> None:
        """Adds an entry, unless its session was forgotten; `receipt` tells when it is kept."""
        if getattr(entry, "session", None) in self._forgotten:
            return
        self._memory.append(entry, receipt)
        self._appended.set()
        self._waiting.set()

    async def forget(self, session: str) -> None:
        """Removes the entries and dead letters of a session, and takes no more of it.

        Raises:
            DiskFailed: the disk fails; it can be tried again.
        """
        self._forgotten[session] = None
        if len(self._forgotten) > FORGOTTEN_LIMIT:
            del self._forgotten[next(iter(self._forgotten))]
        self._memory.forget(session)
        async with self._writing:
            self._memory.forget(session)  # those that were being stored
            self._dead = deque(one for one in self._dead if session not in one[0].arguments)
            await self._tidy(self._disk.write)
            await self._disk.write(lambda outbox: outbox.delete_session(session))

    # Delivery.

    async def next_batch(self, count: int) -> Batch:
        """Returns at most `count` entries to deliver next; none if all are delivered."""
        self._waiting.clear()
        unread = False
        if self._backlog:
            after, through = self._delivered_through, self._backlog_through
            try:
                rows = await self._disk.read(
                    lambda outbox: outbox.peek(count, after=after, through=through)
                )
            except DiskFailed:
                unread = True
            else:
                if rows:
                    ids, commands = zip(*rows, strict=True)
                    return Batch(list(commands), list(ids), [], in_turn=True)
                self._delivered_through = max(self._delivered_through, through)
        records = self._memory.first(count)
        return Batch([serialize(r.entry) for r in records], [], records, in_turn=not unread)

    async def wait(self, timeout_s: float) -> None:
        """Waits until there may be something to deliver, at most `timeout_s` if some is on disk."""
        if not self._backlog:
            await self._waiting.wait()
            return
        waiting = asyncio.create_task(self._waiting.wait())
        try:
            await asyncio.wait((waiting,), timeout=timeout_s)
        finally:
            waiting.cancel()

    def delivered(self, batch: Batch, count: int) -> None:
        """Records that Redis has received the first `count` entries of a batch."""
        if batch.ids and count:
            self._delivered(batch.ids[count - 1], in_turn=True, entries=count)
        records = batch.records[:count]
        self._memory.delivered(records)
        for record in records:
            record.in_turn = batch.in_turn
            record.kept()
            if record.id is not None:
                self._delivered(record.id, batch.in_turn)

    def never_deliverable(self, batch: Batch, i: int, problem: str) -> None:
        """Makes entry `i` of a batch a dead letter; those before it must be delivered."""
        command = batch.commands[i]
        if self._forgotten.keys().isdisjoint(command.arguments):
            self._dead.append((command, command.kind == ReadingEntry.kind, problem))
        if len(self._dead) > DEAD_LIMIT:
            self._dead.popleft()
            self._dead_dropped += 1
        if batch.ids:
            self._delivered(batch.ids[i], in_turn=True)
        else:
            self.delivered(Batch([command], [], [batch.records[i]], batch.in_turn), 1)
        self._appended.set()

    def _delivered(self, id: int, in_turn: bool, entries: int = 1) -> None:
        if in_turn:
            self._delivered_through = max(self._delivered_through, id)
            self._undeleted += entries
        else:  # it stays on disk behind what can't be read; to deliver it again changes nothing
            self._memory.released_through = max(self._memory.released_through, id)

    # The disk.

    async def run(self) -> NoReturn:
        """Stores entries on disk, and deletes what is delivered, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat_tidy())
            if self._disk.failing:
                self._appended.set()  # finds out when it works, though there is nothing to store
            while True:
                await self._appended.wait()
                self._appended.clear()
                await endless_retry((DiskFailed,)).call_with_retry(self._store, self._recover)
        raise AssertionError("unreachable")

    async def close(self) -> int:
        """Stores on disk what is not there, and closes it; returns how many entries are lost."""
        records = self._memory.first_not_on_disk(self._memory.not_on_disk)
        entries = [record.entry for record in records]
        through, dead = self._delivered_through, list(self._dead)

        def last(outbox: Outbox) -> None:
            if entries:
                outbox.append(entries)
            for letter in dead:
                outbox.add_dead_letter(*letter)
            outbox.delete_through(through)

        try:
            await self._disk.close(last)
        except DiskFailed:
            return len(entries)
        return 0

    async def _store(self) -> None:
        """Stores on disk what is in memory alone; finds out whether a failing disk works again."""
        async with self._writing:
            while records := self._memory.first_not_on_disk(SPOOL_BATCH):
                entries = [record.entry for record in records]
                ids = await self._disk.write(lambda outbox: outbox.append(entries))  # noqa: B023
                self._memory.stored(records, ids)
                for record in records:
                    if record.delivered and record.id is not None:
                        self._delivered(record.id, record.in_turn)
            while self._dead:
                letter = self._dead[0]
                await self._disk.write(lambda outbox: outbox.add_dead_letter(*letter))  # noqa: B023
                self._dead.popleft()
            if self._disk.failing:
                await self._disk.write(Outbox.probe)
            self._waiting.set()  # for what is on disk alone

    async def _repeat_tidy(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._tidy_s)
            if self._disk.failing:
                continue  # `_recover` does so
            try:
                async with self._writing:
                    await self._tidy(self._disk.write)
                    if self._all_delivered and await self._disk.read(_is_large):
                        await self._start_over()
            except DiskFailed:
                self._appended.set()

    async def _tidy(self, run: Callable[[Callable[[Outbox], None]], Awaitable[None]]) -> None:
        """Deletes from the disk what is delivered, and removes it from the files."""
        through, undeleted = self._delivered_through, self._undeleted
        if through > self._deleted_through:
            await run(lambda outbox: outbox.delete_through(through))
            self._deleted_through = through
            self._undeleted -= undeleted
        await run(Outbox.scrub)

    async def _recover(self, failure: Exception) -> None:
        """Frees room on a disk that failed; where the file may be broken it is opened anew."""
        async with self._writing:
            with contextlib.suppress(DiskFailed):  # the next attempt comes
                if self._all_delivered:
                    await self._start_over()
                    return
                if isinstance(failure, DiskFailed) and failure.broken:
                    await self._disk.reopen()
                await self._disk.repair(Outbox.checkpoint)
                await self._tidy(self._disk.repair)

    @property
    def _all_delivered(self) -> bool:
        return not self._memory.on_disk and not self._backlog

    async def _start_over(self) -> None:
        await self._disk.start_over()
        self._delivered_through = self._deleted_through = self._undeleted = 0
        self._memory.released_through = self._disk.backlog_through = 0


def _is_large(outbox: Outbox) -> bool:
    return outbox.path is not None and outbox.path.stat().st_size > LARGE_BYTES
