"""Tokens, one-time codes and sessions in a small SQLite file, which service and commands share.

Every method waits for the disk, so the service calls them in a thread. Secrets are not in the file,
only their digests.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.access.errors import AccessUnusable, BadLogin, NoSuchToken, TokenExists
from service.access.roles import Role
from service.access.secret import SHOWN, digest, new_secret, new_token

FILE = "access.sqlite3"  # in the state folder
VERSION = 1
MODE = 0o600
BUSY_S = 5.0  # how long one process waits for another's write

SCHEMA = """
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
    last TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL, revoked_at REAL
);
CREATE UNIQUE INDEX token_names ON tokens (name) WHERE revoked_at IS NULL;
CREATE TABLE links (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created_at REAL NOT NULL,
    expires_at REAL NOT NULL, used_at REAL
);
CREATE TABLE sessions (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, created_at REAL NOT NULL,
    expires_at REAL NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as it is listed; times are in seconds since 1970."""

    name: str
    role: Role
    last: str  # characters of its text
    created_at: float
    expires_at: float | None  # None: never
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Grant:
    """Who holds a secret, what they may do and until when."""

    name: str
    role: Role
    expires_at: float | None  # None: never

    def holds(self, now: float) -> bool:
        """Returns whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Contents:
    """What a service must know of the file to decide about a request: grants by digest."""

    tokens: dict[bytes, Grant]
    sessions: dict[bytes, Grant]
    ever_had_tokens: bool  # also those that were revoked or have expired


NOTHING = Contents({}, {}, ever_had_tokens=False)


class AccessDatabase:
    """The file; it is made by the first write.

    Raises (all methods):
        AccessUnusable: the file can't be used; it may be of a newer version.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock

    # Tokens.

    def create_token(self, name: str, role: Role, valid_s: float | None) -> str:
        """Stores a new token and returns its text, which can't be had again.

        Raises:
            TokenExists: a token has this name.
        """
        text, now = new_token(), self._clock()
        row = (name, role, digest(text), text[-SHOWN:], now, valid_s and now + valid_s)
        with self._writing() as db:
            try:
                db.execute(
                    "INSERT INTO tokens (name, role, digest, last, created_at, expires_at) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    row,
                )
            except sqlite3.IntegrityError:
                raise TokenExists(name) from None
        return text

    def tokens(self) -> list[Token]:
        """Returns all tokens, the oldest first."""
        rows = self._read(
            "SELECT name, role, last, created_at, expires_at, revoked_at FROM tokens ORDER BY id"
        )
        return [Token(name, Role(role), *more) for name, role, *more in rows]

    def revoke(self, name: str) -> None:
        """Revokes the token of this name; a running service refuses it within a second.

        Raises:
            NoSuchToken: no token that is not revoked has this name.
        """
        with self._writing() as db:
            revoked = db.execute(
                "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
                (self._clock(), name),
            ).rowcount
            if not revoked:
                names = db.execute("SELECT name FROM tokens WHERE revoked_at IS NULL ORDER BY id")
                raise NoSuchToken(name, tuple(name for (name,) in names))

    # Logins.

    def create_link(self, name: str, role: Role, valid_s: float) -> str:
        """Stores a one-time code and returns it."""
        code, now = new_secret(), self._clock()
        with self._writing() as db:
            db.execute("DELETE FROM links WHERE used_at IS NULL AND expires_at <= ?", (now,))
            db.execute(
                "INSERT INTO links VALUES (?, ?, ?, ?, ?, NULL)",
                (digest(code), name, role, now, now + valid_s),
            )
        return code

    def redeem(self, code: str, session_s: float) -> tuple[str, Grant]:
        """Uses a one-time code up; returns the secret of a new session and what it grants.

        Raises:
            BadLogin: the code was used, has expired or never was.
        """
        now = self._clock()
        with self._writing() as db:
            found = db.execute(
                "UPDATE links SET used_at = ? "
                "WHERE digest = ? AND used_at IS NULL AND expires_at > ? RETURNING name, role",
                (now, digest(code), now),
            ).fetchone()
            if found is None:
                raise BadLogin
            return _insert_session(db, found[0], Role(found[1]), now, session_s)

    def create_session(self, name: str, role: Role, session_s: float) -> tuple[str, Grant]:
        """Begins a session of someone who has proved who they are in another way.

        Returns the session's secret and what it grants.
        """
        with self._writing() as db:
            return _insert_session(db, name, role, self._clock(), session_s)

    def end_session(self, secret: str) -> None:
        """Ends a session, if there is one with this secret."""
        with self._writing() as db:
            db.execute("DELETE FROM sessions WHERE digest = ?", (digest(secret),))

    def anyone_logged_in(self) -> bool:
        """Returns whether a one-time code was ever used, or another session is there."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM links WHERE used_at IS NOT NULL) "
            "OR EXISTS (SELECT 1 FROM sessions)"
        )
        rows = self._read(query)
        return bool(rows and rows[0][0])

    def contents(self) -> Contents:
        """Returns what decides about requests; nothing if there is no file."""
        if not self.path.exists():
            return NOTHING
        with self._opened() as db:
            db.execute("BEGIN")  # one state of the file for all three
            tokens = db.execute(
                "SELECT digest, name, role, expires_at FROM tokens WHERE revoked_at IS NULL"
            ).fetchall()
            sessions = db.execute(
                "SELECT digest, name, role, expires_at FROM sessions WHERE expires_at > ?",
                (self._clock(),),
            ).fetchall()
            (ever,) = db.execute("SELECT EXISTS (SELECT 1 FROM tokens)").fetchone()
        return Contents(_grants(tokens), _grants(sessions), ever_had_tokens=bool(ever))

    # The file.

    def _read(self, query: str) -> list[Any]:
        if not self.path.exists():
            return []
        with self._opened() as db:
            return db.execute(query).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._make_file()
            db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                self._prepare(db)
                yield db
            finally:
                db.close()
        except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: an unknown role
            raise AccessUnusable(self.path, str(error)) from error

    def _make_file(self) -> None:
        """Makes an empty file that only its owner reads; SQLite's own would follow the umask."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, MODE)
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                os.fchmod(descriptor, MODE)
        finally:
            os.close(descriptor)

    def _prepare(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise AccessUnusable(
                self.path,
                f"got a file of version {version}, expected at most {VERSION}: "
                "a newer Kanjo wrote it",
            )
        db.execute("PRAGMA secure_delete = ON")
        if version == 0:
            db.execute("BEGIN IMMEDIATE")  # one of two processes that find it empty makes it
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")


def _insert_session(
    db: sqlite3.Connection, name: str, role: Role, now: float, session_s: float
) -> tuple[str, Grant]:
    secret, expires_at = new_secret(), now + session_s
    db.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (digest(secret), name, role, now, expires_at)
    )
    return secret, Grant(name, role, expires_at)


def _grants(rows: list[tuple[bytes, str, str, float | None]]) -> dict[bytes, Grant]:
    return {digest: Grant(name, Role(role), until) for digest, name, role, until in rows}
