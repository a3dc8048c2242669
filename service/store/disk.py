"""The outbox as a part that can fail: one worker thread, late opening, and whether it works."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, TypeVar

import structlog

from service.store.errors import DiskFailed, OutboxInUse, OutboxUnusable
from service.store.outbox import DeadLetter, Outbox
from service.store.outbox_file import COMPANIONS, SetAside
from service.store.problems import Problem

T = TypeVar("T")

log = structlog.get_logger()

SLOW_S = 2.0  # a disk that takes longer counts as failing until it replies


class Access(StrEnum):
    """What the disk is asked for; a full one can still be read."""

    READ = "read"
    WRITE = "write"
    REPAIR = "repair"  # of a disk that is known to fail: no news about it


class Disk:
    """Runs the outbox's methods in a thread, one after another, and records whether they fail.

    A file that can't be opened is tried again with each access. Failures and their end are logged.

    Raises:
        OutboxInUse: another process has the file open.
    """

    def __init__(
        self,
        open_outbox: Callable[[], Outbox],
        *,
        slow_s: float = SLOW_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._open = open_outbox
        self._slow_s = slow_s
        self._wall_clock = wall_clock
        self._failures: dict[Access, Problem] = {}
        self._late: asyncio.Future[Any] | None = None  # a read for which nobody waits any more
        self._dead_rows: list[tuple[object, ...]] = []  # of a file that was replaced
        self._dropped = self._rejected = 0  # by files that were replaced
        self._found_backlog = False
        self.backlog_through = 0  # the id of the last entry that an earlier process has left
        self._outbox: Outbox | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        try:
            self._opened()
        except OutboxUnusable as exc:
            self._failed(Access.WRITE, str(exc))

    def __len__(self) -> int:
        """Entries in the outbox; 0 while it can't be opened."""
        return len(self._outbox) if self._outbox is not None else 0

    @property
    def dropped(self) -> int:
        """Readings discarded because the outbox was full."""
        return self._dropped + (self._outbox.dropped if self._outbox is not None else 0)

    @property
    def rejected(self) -> int:
        """Other entries discarded: there was no room, or Redis can never apply them."""
        return self._rejected + (self._outbox.rejected if self._outbox is not None else 0)

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The entries that Redis can never apply."""
        return self._outbox.dead_letters if self._outbox is not None else ()

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """The files beside the outbox that were renamed because they are no outbox."""
        return self._outbox.set_aside if self._outbox is not None else ()

    @property
    def oldest_at(self) -> float | None:
        """When the oldest entry of the outbox was appended, in epoch seconds."""
        return self._outbox.oldest_at if self._outbox is not None else None

    @property
    def failing(self) -> bool:
        """Whether the last write failed or takes too long."""
        return Access.WRITE in self._failures

    @property
    def problem(self) -> Problem | None:
        """What is wrong with the disk, since when; None if it works."""
        return min(self._failures.values(), key=lambda problem: problem.since, default=None)

    async def write(self, act: Callable[[Outbox], T]) -> T:
        """Runs `act` and waits for it, however long it takes. Raises DiskFailed if it fails."""
        return await self._run(Access.WRITE, act, wait=True)

    async def read(self, act: Callable[[Outbox], T]) -> T:
        """Runs `act`. Raises DiskFailed if it fails, or if a reply takes too long.

        After that it raises at once until the disk has replied.
        """
        if self._late and not self._late.done():
            raise DiskFailed("gives no answer")
        return await self._run(Access.READ, act, wait=False)

    async def start_over(self) -> None:
        """Replaces the file by an empty one, which frees all of its room; dead letters stay.

        Everything else in it must have been delivered.
        """
        await self._run(Access.REPAIR, self._delete, wait=True)

    async def repair(self, act: Callable[[Outbox], T]) -> T:
        """Runs `act`; neither its success nor its failure changes whether the disk works."""
        return await self._run(Access.REPAIR, act, wait=True)

    async def reopen(self) -> None:
        """Closes the file, so that the next access opens it again."""
        await self._run(Access.REPAIR, self._close_file, wait=True)

    async def close(self, act: Callable[[Outbox], object]) -> None:
        """Runs a last `act` and closes the file. Raises DiskFailed if `act` fails."""
        with self._thread:
            try:
                await self.write(act)
            finally:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._close_file)

    async def _run(self, access: Access, act: Callable[[Outbox], T], *, wait: bool) -> T:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, lambda: act(self._opened()))
        done, _ = await asyncio.wait((running,), timeout=self._slow_s)
        if not done:
            self._failed(access, f"gives no answer within {self._slow_s:g} s")
            if not wait:
                running.add_done_callback(lambda late: late.cancelled() or late.exception())
                self._late = running
                raise DiskFailed(f"gave no answer within {self._slow_s:g} s")
            await asyncio.wait((running,))
        try:
            result = running.result()
        except (sqlite3.Error, OSError, OutboxInUse, OutboxUnusable) as exc:
            self._failed(access, str(exc))
            raise DiskFailed(str(exc), broken=_is_broken(exc)) from exc
        self._worked(access)
        return result

    def _failed(self, access: Access, problem: str) -> None:
        if access is Access.REPAIR or access in self._failures:
            return
        self._failures[access] = Problem(f"disk: {problem}", self._wall_clock())
        log.error(
            "disk_failing",
            access=str(access),
            problem=problem,
            note="calls and alerts are kept in Redis and in memory alone",
        )

    def _worked(self, access: Access) -> None:
        if failure := self._failures.pop(access, None):
            away_s = round(self._wall_clock() - failure.since, 1)
            log.warning("disk_back", access=str(access), away_s=away_s)

    # In the thread.

    def _opened(self) -> Outbox:
        if self._outbox is None:
            outbox = self._open()
            if not self._found_backlog:
                self._found_backlog = True
                self.backlog_through = outbox.last_id if len(outbox) else 0
            self._outbox = outbox
        if self._dead_rows:
            self._outbox.add_dead_letter_rows(self._dead_rows)
            self._dead_rows = []
        return self._outbox

    def _close_file(self, _: Outbox | None = None) -> None:
        if self._outbox is not None:
            outbox, self._outbox = self._outbox, None
            self._dropped += outbox.dropped
            self._rejected += outbox.rejected
            with contextlib.suppress(sqlite3.Error):
                outbox.close()

    def _delete(self, outbox: Outbox) -> None:
        self._dead_rows += outbox.dead_letter_rows()
        self._close_file()
        if outbox.path:
            for suffix in ("", *COMPANIONS):
                outbox.path.with_name(outbox.path.name + suffix).unlink(missing_ok=True)
        self._opened()


def _is_broken(failure: Exception) -> bool:
    """Returns whether the open file itself may be of no use any more."""
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
