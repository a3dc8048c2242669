"""What is decided but not yet delivered: a bounded queue on disk, first in, first out.

Every call waits for the disk, so it is used from one worker thread, never from the event loop.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import KanjoError


class OutboxInUse(KanjoError):
    """Another process delivers from this file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"outbox {self.path} is in use, expected a file of this process's own"


class OutboxUnusable(KanjoError):
    """A file that cannot be this queue."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"outbox {self.path}: {self.problem}, expected a writable SQLite file or none yet"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to deliver."""

    kind: str
    body: str
    droppable: bool = False


class Outbox:
    """At most `limit` entries; what has been appended survives kill -9 and a loss of power.

    When full, the oldest droppable entries go first (`dropped` counts them); where none are left,
    the newest entry is not taken (`refused`). Without a path the queue is in memory and lasts as
    long as the process.
    """

    def __init__(self, path: Path | None, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"got an outbox of {limit} entries, expected room for 1 or more")
        self.limit = limit
        self.dropped = 0
        self.refused = 0
        self._db = _open(path)
        self._length: int = self._db.execute("SELECT count(*) FROM entries").fetchone()[0]

    def __len__(self) -> int:
        return self._length

    def append(self, entries: Sequence[Entry]) -> None:
        """All of them in one transaction: on disk when this returns."""
        dropped = refused = 0
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO entries (kind, body, droppable) VALUES (?, ?, ?)",
                [(entry.kind, entry.body, entry.droppable) for entry in entries],
            )
            if (excess := self._length + len(entries) - self.limit) > 0:
                dropped = self._db.execute(
                    "DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries WHERE droppable ORDER BY id LIMIT ?)",
                    (excess,),
                ).rowcount
                refused = self._db.execute(
                    "DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries ORDER BY id DESC LIMIT ?)",
                    (excess - dropped,),
                ).rowcount
        self._length += len(entries) - dropped - refused
        self.dropped += dropped
        self.refused += refused

    def peek(self, count: int) -> list[tuple[int, Entry]]:
        """The oldest `count` entries with their ids; they stay."""
        rows = self._db.execute(
            "SELECT id, kind, body, droppable FROM entries ORDER BY id LIMIT ?", (count,)
        )
        return [(id, Entry(kind, body, bool(droppable))) for id, kind, body, droppable in rows]

    def delete_through(self, id: int) -> None:
        """Forgets the entry `id` and all before it."""
        with self._db:
            self._length -= self._db.execute("DELETE FROM entries WHERE id <= ?", (id,)).rowcount

    def close(self) -> None:
        self._db.close()


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        _prepare(db)
        return db
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=0, check_same_thread=False, isolation_level=None)
    except (OSError, sqlite3.Error) as exc:
        raise OutboxUnusable(path, str(exc)) from exc
    try:
        _prepare(db)
    except sqlite3.Error as exc:
        db.close()
        if exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OutboxInUse(path) from exc
        raise OutboxUnusable(path, str(exc)) from exc
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # before WAL: keeps a second process out for good
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # AUTOINCREMENT: an id is never used twice, so deleting through a peeked id hits no newer entry.
    db.execute(
        "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "kind TEXT NOT NULL, body TEXT NOT NULL, droppable INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX IF NOT EXISTS droppable ON entries (id) WHERE droppable")
    db.execute("BEGIN EXCLUSIVE")
    db.execute("COMMIT")
