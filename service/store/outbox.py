"""The entries that are not yet in Redis: a bounded queue on disk, first in, first out.

Every method waits for the disk, so the writer calls them in one worker thread, never on the event
loop. The properties may be read anywhere.
"""

import contextlib
import functools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from service.errors import KanjoError
from service.store.entries import (
    KINDS,
    BadEntry,
    Command,
    Entry,
    RefusedEntry,
    deserialize,
    serialize,
)
from service.store.outbox_file import (
    DAMAGED,
    SetAside,
    files_set_aside,
    is_damage,
    open_file,
    open_in_memory,
    replace_file,
    set_aside,
)

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

FILE_NAME = "outbox.sqlite3"  # in the state folder
DEAD_LETTERS_LIMIT = 1_000
LAST_ID = 2**63 - 1  # that SQLite can give


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An entry that can never be applied, without its body."""

    id: int
    kind: str
    problem: str  # holds nothing of the body
    at: float  # wall clock, epoch seconds, when it was found


def _renewing(
    act: "Callable[Concatenate[Outbox, P], T]",
) -> "Callable[Concatenate[Outbox, P], T]":
    """Returns `act`, repeated on a new file if the present one turns out to be damaged."""

    @functools.wraps(act)
    def repeated(outbox: "Outbox", /, *args: P.args, **named: P.kwargs) -> T:
        if not outbox.is_open:
            outbox.renew()
        try:
            return act(outbox, *args, **named)
        except sqlite3.DatabaseError as exc:
            if outbox.path is None or not is_damage(exc):
                raise
            outbox.renew()
            return act(outbox, *args, **named)

    return repeated


class Outbox:
    """Holds at most `limit` entries; what has been appended survives kill -9 and a loss of power.

    When full, the oldest droppable entries make room (`dropped` counts them); if there are none,
    the newest entries are discarded (`rejected`). Entries that can never be applied become dead
    letters, of which the latest `dead_letters_limit` are kept. Without a path the queue is in
    memory and lasts as long as the process.

    A file of another version, a damaged one or one that is no outbox is set aside and replaced;
    with `replace` off it is refused.

    Raises:
        OutboxInUse: another process has the file open.
        OutboxUnusable: the disk refuses, or `replace` is off.
    """

    def __init__(
        self,
        path: Path | None,
        limit: int,
        *,
        replace: bool = True,
        dead_letters_limit: int = DEAD_LETTERS_LIMIT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if limit < 1:
            raise ValueError(f"got an outbox of {limit} entries, expected room for 1 or more")
        self.path = path
        self.limit = limit
        self.dropped = 0
        self.rejected = 0
        self._aside: SetAside | None = None  # a damaged file that has no successor yet
        self.set_aside: tuple[SetAside, ...] = ()  # files beside this one, which were renamed
        self._dead_letters_limit = dead_letters_limit
        self._wall_clock = wall_clock
        self._deleted = False  # since the last `scrub`
        self._dead_letters: tuple[DeadLetter, ...] = ()
        self._length = self._last_id = 0
        self._oldest_at: float | None = None
        if path is None:
            self._db = open_in_memory()
        else:
            self._db = open_file(path, replace=replace, wall_clock=wall_clock)
        self._read()

    def __len__(self) -> int:
        return self._length

    @property
    def is_open(self) -> bool:
        """Whether there is a file; False between a damaged one and its successor."""
        return self._aside is None

    @property
    def oldest_at(self) -> float | None:
        """When the oldest entry was appended, in epoch seconds; None if the queue is empty."""
        return self._oldest_at

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The entries that can never be applied, oldest first."""
        return self._dead_letters

    @property
    def last_id(self) -> int:
        """The id of the entry that was appended last; later ones have greater ids."""
        return self._last_id

    @_renewing
    def append(self, entries: Sequence[Entry]) -> range:
        """Serialises the entries and stores them in one transaction; on return they are on disk.

        Returns their ids; where there was no room, those of the entries from the first on.
        """
        now = self._wall_clock()
        rows = [(*_row(entry), now) for entry in entries]
        dropped = rejected = 0
        with self._transaction():
            self._db.executemany(
                "INSERT INTO entries (kind, body, droppable, at) VALUES (?, ?, ?, ?)", rows
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
        ids = range(self._last_id + 1, self._last_id + 1 + len(rows) - rejected)
        self._last_id += len(rows)
        self._length += len(rows) - dropped - rejected
        self.dropped += dropped
        self.rejected += rejected
        if dropped or self._oldest_at is None:
            self._find_oldest()
        return ids

    @_renewing
    def peek(
        self, count: int, *, after: int = 0, through: int = LAST_ID
    ) -> list[tuple[int, Command]]:
        """Returns the oldest `count` entries with their ids and leaves them in the queue.

        Only entries with ids after `after` and up to `through` are returned. Those that cannot be
        read become dead letters.
        """
        batch: list[tuple[int, Command]] = []
        while not batch:
            rows = self._db.execute(
                "SELECT id, CAST(kind AS BLOB), CAST(body AS BLOB) FROM entries "
                "WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
                (after, through, count),
            ).fetchall()
            if not rows:
                break
            bad: list[tuple[int, str]] = []
            for id, kind, body in rows:
                try:
                    batch.append((id, deserialize(kind, body)))
                except BadEntry as exc:
                    bad.append((id, str(exc)))
            self._bury(bad)
        return batch

    @_renewing
    def delete_through(self, id: int) -> None:
        """Deletes the entry `id` and all before it."""
        self._length -= self._db.execute("DELETE FROM entries WHERE id <= ?", (id,)).rowcount
        self._deleted = True
        self._find_oldest()

    @_renewing
    def bury(self, id: int, problem: str) -> None:
        """Makes the entry `id` a dead letter; `problem` must hold nothing of its body."""
        self._bury([(id, problem)])

    @_renewing
    def add_dead_letter(self, command: Command, droppable: bool, problem: str) -> None:
        """Makes a dead letter of an entry that may not be in the queue."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO dead_letters (kind, body, droppable, problem, at) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    command.kind,
                    json.dumps(command.arguments),
                    droppable,
                    problem,
                    self._wall_clock(),
                ),
            )
        self._buried(1, problem)

    def _bury(self, entries: Sequence[tuple[int, str]]) -> None:
        if not entries:
            return
        with self._transaction():
            for id, problem in entries:
                self._db.execute(
                    "INSERT INTO dead_letters (kind, body, droppable, problem, at) "
                    "SELECT kind, body, droppable, ?, ? FROM entries WHERE id = ?",
                    (problem, self._wall_clock(), id),
                )
                self._db.execute("DELETE FROM entries WHERE id = ?", (id,))
        self._buried(len(entries), entries[0][1])

    def _buried(self, letters: int, problem: str) -> None:
        """Counts and logs new dead letters, and deletes the oldest above the limit."""
        self._db.execute(
            "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - ?",
            (self._dead_letters_limit,),
        )
        self.rejected += letters
        self._deleted = True
        self._read()
        log.error(
            "write_rejected",
            writes=letters,
            kinds=" ".join(sorted({letter.kind for letter in self._dead_letters[-letters:]})),
            problem=problem,
            note="kept as a dead letter: see `kanjo outbox`",
        )

    def dead_letter_rows(self) -> list[tuple[object, ...]]:
        """Returns the dead letters with their bodies, for another outbox."""
        return self._db.execute(
            "SELECT kind, body, droppable, problem, at FROM dead_letters ORDER BY id"
        ).fetchall()

    def add_dead_letter_rows(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Adds dead letters of another outbox."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO dead_letters (kind, body, droppable, problem, at) "
                "VALUES (?, ?, ?, ?, ?)",
                rows,
            )
        self._read()

    def probe(self) -> None:
        """Writes to the disk and leaves the queue as it is."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO entries (kind, body, droppable, at) VALUES ('probe', '[]', 1, 0)"
            )
            self._db.execute("DELETE FROM entries WHERE kind = 'probe'")
        self._last_id += 1

    def drop_dead_letters(self, ids: Sequence[int]) -> int:
        """Deletes dead letters; returns how many there were."""
        with self._transaction():
            dropped = sum(
                self._db.execute("DELETE FROM dead_letters WHERE id = ?", (id,)).rowcount
                for id in ids
            )
        self._deleted = True
        self._read()
        return dropped

    def retry_dead_letters(self, ids: Sequence[int]) -> int:
        """Appends dead letters to the queue again; returns how many there were."""
        with self._transaction():
            for id in ids:
                self._db.execute(
                    "INSERT INTO entries (kind, body, droppable, at) "
                    "SELECT coalesce(kind, ''), coalesce(body, ''), droppable, ? "
                    "FROM dead_letters WHERE id = ?",
                    (self._wall_clock(), id),
                )
            retried = sum(
                self._db.execute("DELETE FROM dead_letters WHERE id = ?", (id,)).rowcount
                for id in ids
            )
        self._read()
        return retried

    @_renewing
    def delete_session(self, session: str) -> None:
        """Deletes a session's entries, but a refusal, and dead letters, and from the files too."""
        named = json.dumps(session)
        with self._transaction():
            for rows in ("entries", "dead_letters"):
                self._db.execute(
                    f"DELETE FROM {rows} WHERE instr(body, ?) AND kind != ?",
                    (named, RefusedEntry.kind),
                )
        self._deleted = True
        self._read()
        self.scrub()

    def checkpoint(self) -> None:
        """Moves what is in the WAL to the file and gives the WAL's room back."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def scrub(self) -> None:
        """Removes from the files what has been deleted; costs two waits for the disk."""
        if self._deleted:
            self.checkpoint()
            self._deleted = False

    def renew(self) -> None:
        """Sets a damaged file aside and goes on with a new one and what could be salvaged.

        Raises:
            sqlite3.OperationalError: the disk refuses; it can be tried again.
        """
        assert self.path is not None
        try:
            if self._aside is None:
                self._aside = set_aside(self.path, DAMAGED, self._wall_clock())
                self._db.close()
            self._db = replace_file(self.path, self._aside)
        except KanjoError as exc:
            raise sqlite3.OperationalError(str(exc)) from exc
        self._aside = None
        # Ids go on from the old file's: the writer may still delete by those that it has read.
        self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'entries'")
        self._db.execute("INSERT INTO sqlite_sequence VALUES ('entries', ?)", (self._last_id,))
        self._read()

    def close(self) -> None:
        """Closes the file; another process may open it then."""
        with contextlib.suppress(sqlite3.Error):  # what is left there is deleted at the next start
            self.scrub()
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _read(self) -> None:
        """Reads what the properties return."""
        (self._length,) = self._db.execute("SELECT count(*) FROM entries").fetchone()
        sequence = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entries'")
        self._last_id = (sequence.fetchone() or (0,))[0]
        self._dead_letters = tuple(
            DeadLetter(id, kind.decode() if kind in KNOWN else "unknown", problem, at)
            for id, kind, problem, at in self._db.execute(
                "SELECT id, CAST(kind AS BLOB), problem, at FROM dead_letters ORDER BY id"
            )
        )
        self.set_aside = files_set_aside(self.path) if self.path else ()
        self._find_oldest()

    def _find_oldest(self) -> None:
        row = self._db.execute("SELECT at FROM entries ORDER BY id LIMIT 1").fetchone()
        self._oldest_at = row and row[0]


KNOWN = {kind.encode() for kind in KINDS}


def _row(entry: Entry) -> tuple[str, str, bool]:
    kind, arguments = serialize(entry)
    return kind, json.dumps(arguments), entry.droppable
