"""The file of undelivered notices and dead letters, `webhooks.sqlite3` in the state folder.

Every method waits for the disk, so it is called in a thread, by one caller at a time.
"""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import structlog

from service.webhooks.delivery import Delivery
from service.webhooks.errors import WebhooksUnusable
from service.webhooks.notice import Notice

log = structlog.get_logger()

FILE = "webhooks.sqlite3"  # in the state folder
VERSION = 1
MODE = 0o600
COMPANIONS = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside the database
UNFIT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
SCHEMA = """
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, receiver TEXT NOT NULL, notice TEXT NOT NULL,
    attempts INTEGER NOT NULL, problem TEXT, dead_at REAL
);
"""


class _Unfit(Exception):
    """A file can't be used by this version; the message becomes part of its name."""


class Spool:
    """Keeps deliveries on disk; the file is made by the first of them.

    A file that is damaged, of a newer version or of another program is renamed in its folder and
    replaced. What is removed is overwritten with zeros. How many deliveries it holds is bounded by
    its owner.

    Args:
        path: of the file.
        wall_clock: epoch seconds, for the name of a file that is set aside.

    Raises:
        WebhooksUnusable: the disk refuses, or another process has the file open.
    """

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall_clock = wall_clock
        self._db: sqlite3.Connection | None = None
        if path.exists():
            self._db = self._open()

    def load(self) -> list[Delivery]:
        """Returns all deliveries, oldest first; those that can't be read are removed."""
        if self._db is None:
            return []
        found: list[Delivery] = []
        rows = self._db.execute(
            "SELECT id, receiver, notice, attempts, problem, dead_at FROM deliveries ORDER BY id"
        ).fetchall()
        for id, receiver, notice, *rest in rows:
            try:
                found.append(Delivery(id, receiver, Notice(**json.loads(notice)), *rest))
            except (ValueError, TypeError) as failure:
                log.error("webhook_unreadable", id=id, problem=type(failure).__name__)
                self._db.execute("DELETE FROM deliveries WHERE id = ?", (id,))
        return found

    def write(self, changes: Mapping[int, Delivery | None]) -> None:
        """Stores deliveries as they are now, or removes those that are None, in one transaction.

        Raises:
            sqlite3.Error, WebhooksUnusable: the disk refuses; nothing was changed.
        """
        if self._db is None:
            if not any(changes.values()):
                return
            self._db = self._open()
        with self._transaction(self._db) as db:
            for id, delivery in changes.items():
                if delivery is None:
                    db.execute("DELETE FROM deliveries WHERE id = ?", (id,))
                else:
                    db.execute(
                        "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, ?, ?)",
                        (
                            id,
                            delivery.receiver,
                            json.dumps(delivery.notice.fields(), ensure_ascii=False),
                            delivery.attempts,
                            delivery.problem,
                            delivery.dead_at,
                        ),
                    )
        if not all(changes.values()):
            # Else what was deleted could still be read in the WAL.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @staticmethod
    @contextlib.contextmanager
    def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        try:
            try:
                return self._connect()
            except _Unfit as unfit:
                self._set_aside(str(unfit))
                return self._connect()
        except _Unfit as unfit:
            raise WebhooksUnusable(self._path, [f"is {unfit}"]) from unfit
        except (OSError, sqlite3.Error) as failure:
            raise WebhooksUnusable(self._path, [str(failure)]) from failure

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, MODE))
        for name in (self._path, *self._companions(self._path)):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                name.chmod(MODE)
        db = sqlite3.connect(self._path, timeout=1, check_same_thread=False, isolation_level=None)
        try:
            # Before WAL: in this order the lock keeps a second process out until it is closed.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA temp_store = MEMORY")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise _Unfit("damaged")
            self._migrate(db)
        except sqlite3.Error as failure:
            db.close()
            if getattr(failure, "sqlite_errorcode", 0) & 0xFF in UNFIT:
                raise _Unfit("damaged") from failure
            raise
        except _Unfit:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        with self._transaction(db):
            (version,) = db.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
            if version == 0 and not tables:
                db.execute(SCHEMA)
                db.execute(f"PRAGMA user_version = {VERSION}")
            elif version > VERSION:
                raise _Unfit(f"newer-version-{version}")
            elif version != VERSION or tables != {"deliveries"}:
                raise _Unfit("another-program")

    def _set_aside(self, reason: str) -> None:
        new = self._path.with_name(f"{self._path.name}.{reason}-{int(self._wall_clock())}")
        for old, name in zip(self._companions(self._path), self._companions(new), strict=True):
            with contextlib.suppress(FileNotFoundError):
                old.rename(name)
        self._path.rename(new)
        log.error("webhooks_set_aside", kept_as=str(new), note="its notices are not delivered")

    @staticmethod
    def _companions(path: Path) -> list[Path]:
        return [path.with_name(f"{path.name}{companion}") for companion in COMPANIONS]
