"""The entries that are not yet in Redis: a bounded queue on disk, first in, first out.

Every method waits for the disk, so the writer calls them in one worker thread, never on the event
loop.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from service.store.entries import Command, Entry, serialize
from service.store.errors import OutboxInUse, OutboxUnusable


class Outbox:
    """Holds at most `limit` entries; what has been appended survives kill -9 and a loss of power.

    When full, the oldest droppable entries make room (`dropped` counts them); if there are none,
    the newest entries are discarded (`rejected`). Without a path the queue is in memory and lasts
    as long as the process.

    Raises:
        OutboxInUse: another process has the file open.
        OutboxUnusable: the file cannot be opened as an outbox.
    """

    def __init__(self, path: Path | None, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"got an outbox of {limit} entries, expected room for 1 or more")
        self.limit = limit
        self.dropped = 0
        self.rejected = 0
        self._db = _open(path)
        self._length: int = self._db.execute("SELECT count(*) FROM entries").fetchone()[0]

    def __len__(self) -> int:
        return self._length

    def append(self, entries: Sequence[Entry]) -> None:
        """Serialises the entries and stores them in one transaction; on return they are on disk."""
        rows = [_row(entry) for entry in entries]
        dropped = rejected = 0
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO entries (kind, body, droppable) VALUES (?, ?, ?)", rows
            )
            if (excess := self._length + len(rows) - self.limit) > 0:
                dropped = self._db.execute(
                    "DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries WHERE droppable ORDER BY id LIMIT ?)",
                    (excess,),
                ).rowcount
                rejected = self._db.execute(
                    "DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries ORDER BY id DESC LIMIT ?)",
                    (excess - dropped,),
                ).rowcount
        self._length += len(rows) - dropped - rejected
        self.dropped += dropped
        self.rejected += rejected

    def peek(self, count: int) -> list[tuple[int, Command]]:
        """Returns the oldest `count` entries with their ids and leaves them in the queue."""
        rows = self._db.execute("SELECT id, kind, body FROM entries ORDER BY id LIMIT ?", (count,))
        return [(id, Command(kind, json.loads(body))) for id, kind, body in rows]

    def delete_through(self, id: int) -> None:
        """Deletes the entry `id` and all before it."""
        with self._db:
            self._length -= self._db.execute("DELETE FROM entries WHERE id <= ?", (id,)).rowcount

    def close(self) -> None:
        """Closes the file; another process may open it then."""
        self._db.close()


def _row(entry: Entry) -> tuple[str, str, bool]:
    kind, arguments = serialize(entry)
    return kind, json.dumps(arguments), entry.droppable


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
    # Before WAL: in this order the lock keeps a second process out until the file is closed.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # AUTOINCREMENT: an id is never used twice, so delete_through never hits a newer entry.
    db.execute(
        "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "kind TEXT NOT NULL, body TEXT NOT NULL, droppable INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX IF NOT EXISTS droppable ON entries (id) WHERE droppable")
    db.execute("BEGIN EXCLUSIVE")
    db.execute("COMMIT")
