"""The outbox's file: its format and migrations, and what becomes of a file that is no outbox.

A file that this version can't use must not keep the service from its start: it is renamed, in its
folder, to a name with the reason, and a new one takes its place.
"""

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from service.store.errors import OutboxInUse, OutboxUnusable

log = structlog.get_logger()

# MIGRATIONS[n] makes a file of version n one of version n + 1; an empty file is one of version 0.
# AUTOINCREMENT: an id is never used twice, so a deletion by id never hits a newer entry.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "kind TEXT NOT NULL, body TEXT NOT NULL, droppable INTEGER NOT NULL)",
        "CREATE INDEX IF NOT EXISTS droppable ON entries (id) WHERE droppable",
        # When the entry was written; of the entries of version 0: when they were migrated.
        "ALTER TABLE entries ADD COLUMN at REAL NOT NULL DEFAULT 0",
        "UPDATE entries SET at = CAST(strftime('%s', 'now') AS REAL)",
        "CREATE TABLE dead_letters (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, "
        "droppable INTEGER NOT NULL, problem TEXT NOT NULL, at REAL NOT NULL)",
    ),
)
VERSION = len(MIGRATIONS)

COMPANIONS = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside the database
IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
DAMAGED = "damaged"  # the reason of a file from which entries may be salvaged


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that was renamed because it is no outbox of this version."""

    path: Path  # its new name
    at: float  # wall clock, epoch seconds


class Unfit(Exception):
    """A file cannot be used as an outbox; `reason` becomes part of its name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def words(self) -> str:
        return self.reason.replace("-", " ")


def is_damage(failure: sqlite3.Error) -> bool:
    """Returns whether the file's content is at fault, not the disk."""
    return _code(failure) in CORRUPT


def open_in_memory() -> sqlite3.Connection:
    """Returns an empty outbox that lasts as long as the connection."""
    db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    _migrate(db)
    return db


def open_file(
    path: Path, *, replace: bool = True, wall_clock: Callable[[], float] = time.time
) -> sqlite3.Connection:
    """Opens the outbox at `path`, which no other process can open until it is closed.

    A file that is no outbox of this version is set aside, and a new one is made; with `replace`
    off it is left as it is and refused.

    Raises:
        OutboxInUse: another process has the file open.
        OutboxUnusable: the disk refuses, or `replace` is off.
    """
    try:
        return _open(path)
    except Unfit as exc:
        if not replace:
            raise OutboxUnusable(path, exc.words) from exc
        return replace_file(path, set_aside(path, exc.reason, wall_clock()))


def replace_file(path: Path, aside: SetAside) -> sqlite3.Connection:
    """Opens a new outbox in place of one that was set aside, with what can be read of that.

    Raises:
        OutboxInUse, OutboxUnusable: as `open_file` does.
    """
    try:
        db = _open(path)
    except Unfit as exc:
        raise OutboxUnusable(path, exc.words) from exc
    log.error(
        "outbox_set_aside",
        kept_as=str(aside.path),
        salvaged_writes=_salvage(aside.path, db),
        note="other writes in it do not reach Redis; the service goes on with a new outbox",
    )
    return db


def files_set_aside(path: Path) -> tuple[SetAside, ...]:
    """Returns the files beside the outbox that were set aside and not yet removed by anybody."""
    names = re.compile(re.escape(path.name) + r"\.[a-z0-9-]+-\d{8}T\d{6}Z(-\d+)?")
    try:
        found = [file for file in path.parent.iterdir() if names.fullmatch(file.name)]
        return tuple(SetAside(file, file.stat().st_ctime) for file in sorted(found))
    except OSError:
        return ()  # the disk tells so elsewhere


def set_aside(path: Path, reason: str, at: float) -> SetAside:
    """Renames a file and its companions to a name with the reason and the time.

    Raises:
        OutboxUnusable: it can't be renamed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    new, copies = path.with_name(f"{path.name}.{reason}-{stamp}"), 1
    while new.exists():
        copies += 1
        new = path.with_name(f"{path.name}.{reason}-{stamp}-{copies}")
    try:
        for companion in COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{companion}", f"{new}{companion}")
        path.rename(new)
    except OSError as exc:
        raise OutboxUnusable(path, f"{reason.replace('-', ' ')}, and {exc.strerror}") from exc
    return SetAside(new, at)


def _salvage(aside: Path, db: sqlite3.Connection) -> int:
    """Copies what can still be read of a damaged outbox into a new one; returns how many entries.

    It is read from both ends, because a damaged page hides what lies behind it.
    """
    if f".{DAMAGED}-" not in aside.name:
        return 0
    before = db.total_changes
    for order in ("ASC", "DESC"):
        with contextlib.closing(sqlite3.connect(aside, isolation_level=None)) as damaged:
            damaged.execute("PRAGMA locking_mode = EXCLUSIVE")
            with contextlib.suppress(sqlite3.DatabaseError):
                for row in damaged.execute(
                    "SELECT id, CAST(kind AS BLOB), CAST(body AS BLOB), droppable, at "
                    f"FROM entries ORDER BY id {order}"
                ):
                    with contextlib.suppress(sqlite3.IntegrityError):
                        db.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", row)
    return db.total_changes - before


def _open(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        raise Unfit("folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_private(path)
        db = sqlite3.connect(path, timeout=0, check_same_thread=False, isolation_level=None)
    except (OSError, sqlite3.Error) as exc:
        raise OutboxUnusable(path, str(exc)) from exc
    try:
        _prepare(db)
    except Unfit:
        db.close()
        raise
    except sqlite3.Error as exc:
        db.close()
        if _code(exc) in IN_USE:
            raise OutboxInUse(path) from exc
        if _code(exc) == sqlite3.SQLITE_NOTADB:
            raise Unfit("not-a-database") from exc
        if is_damage(exc):
            raise Unfit(DAMAGED) from exc
        raise OutboxUnusable(path, str(exc)) from exc
    return db


def _make_private(path: Path) -> None:
    """Makes the file readable by its owner alone; SQLite gives its companions the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for name in (path, *(Path(f"{path}{companion}") for companion in COMPANIONS)):
        try:
            name.chmod(0o600)
        except FileNotFoundError:
            pass
        except PermissionError as exc:
            log.warning("outbox_not_private", path=str(name), problem=exc.strerror)


def _prepare(db: sqlite3.Connection) -> None:
    # Before WAL: in this order the lock keeps a second process out until the file is closed.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # What is deleted is overwritten with zeros, in the file and, once it is truncated, the WAL.
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA temp_store = MEMORY")
    if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise Unfit(DAMAGED)
    _migrate(db)
    with contextlib.suppress(sqlite3.OperationalError):  # a full disk can still be read
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what a killed process left


def _migrate(db: sqlite3.Connection) -> None:
    """Brings a file to this version, in one transaction. Raises Unfit if it can't be done."""
    db.execute("BEGIN EXCLUSIVE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Unfit(f"newer-version-{version}")
        if not 0 <= version <= VERSION:
            raise Unfit("not-an-outbox")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        try:
            if version == 0 and not tables <= {"entries", "droppable", "sqlite_sequence"}:
                raise Unfit("not-an-outbox")
            for migration in MIGRATIONS[version:]:
                for statement in migration:
                    db.execute(statement)
            if version != VERSION:  # a full disk can still be read
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("SELECT id, kind, body, droppable, at FROM entries LIMIT 1")
            db.execute("SELECT id, kind, body, droppable, problem, at FROM dead_letters LIMIT 1")
        except sqlite3.OperationalError as exc:
            if _code(exc) == sqlite3.SQLITE_ERROR:  # a table or column is missing, or differs
                raise Unfit("not-an-outbox") from exc
            raise
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    if version == 0 and tables:
        db.execute("VACUUM")  # version 0 left what it had deleted readable in the file


def _code(failure: sqlite3.Error) -> int:
    """Returns SQLite's primary error code; 0 for an error of the Python module itself."""
    return getattr(failure, "sqlite_errorcode", 0) & 0xFF
