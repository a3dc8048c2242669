"""Keeps the nonces of accepted handshakes on disk, so that none is accepted after a restart."""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import structlog

from service.telephony.shared.nonces import Nonces, UsedNonce

log = structlog.get_logger()

FILE = "nonces.sqlite3"  # in the state folder
VERSION = 1
MODE = 0o600
RETRY_S = 1.0
SCHEMA = """
CREATE TABLE nonces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bridge TEXT NOT NULL, digest BLOB NOT NULL,
    until REAL NOT NULL
);
CREATE INDEX nonces_of_a_bridge ON nonces (bridge, id);
"""


class _Entry(NamedTuple):
    bridge: str
    nonce: UsedNonce


class KeptNonces:
    """Follows the nonces of several bridges, and gives them those of earlier runs at the start.

    Only `run` waits for the disk, in a thread. While the disk fails, which is logged, nonces are
    remembered in memory and calls are accepted all the same. A file that can't be read is set
    aside.

    Args:
        path: of the file. It is read now, before the service takes calls, and made by the first
            nonce that is used.
        nonces: of each bridge.
        settle_within_s: the longest that a handshake waits for the disk.
        retry_s: how long after a failure the disk is tried again.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        nonces: Mapping[str, Nonces],
        *,
        settle_within_s: float = 1.0,
        retry_s: float = RETRY_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._most = {bridge: own.most for bridge, own in nonces.items()}
        self._settle_within_s = settle_within_s
        self._retry_s = retry_s
        self._clock = clock
        self._pending: deque[_Entry] = deque(maxlen=max(1, sum(self._most.values())))
        self._used = self._written = 0
        self._failing = False
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._restore(nonces)
        for bridge, own in nonces.items():
            own.on_used = self._listener(bridge)

    @property
    def failing(self) -> bool:
        """Whether the disk failed when it was last used."""
        return self._failing

    async def settle(self) -> None:
        """Returns when all nonces that were used so far are on disk, or the disk fails."""
        used = self._used
        if self._written >= used or self._failing:
            return
        try:
            async with asyncio.timeout(self._settle_within_s), self._changed:
                await self._changed.wait_for(lambda: self._written >= used or self._failing)
        except TimeoutError:
            self._fail("the disk is too slow")

    async def run(self) -> None:
        """Writes nonces as they are used, for as long as the service runs."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            used, batch = self._used, tuple(self._pending)
            self._pending.clear()
            try:
                await asyncio.to_thread(self._write, batch)
            except (OSError, sqlite3.Error) as error:
                self._fail(str(error))
                # Of too many, the oldest are dropped.
                self._pending = deque([*batch, *self._pending], maxlen=self._pending.maxlen)
                self._wake.set()
            else:
                self._written, self._failing = used, False
            async with self._changed:
                self._changed.notify_all()
            if self._failing:
                await asyncio.sleep(self._retry_s)

    def _fail(self, problem: str) -> None:
        if not self._failing:
            log.error(
                "nonces_not_kept",
                problem=problem,
                note="after a restart a handshake could be replayed",
            )
        self._failing = True

    def _listener(self, bridge: str) -> Callable[[UsedNonce], None]:
        def used(nonce: UsedNonce) -> None:
            self._pending.append(_Entry(bridge, nonce))
            self._used += 1
            self._wake.set()

        return used

    def _restore(self, nonces: Mapping[str, Nonces]) -> None:
        if not self._path.exists():
            return
        try:
            with closing(sqlite3.connect(self._path)) as db:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version != VERSION:
                    raise sqlite3.DatabaseError(f"got version {version}, expected {VERSION}")
                for bridge, own in nonces.items():
                    rows = db.execute(
                        "SELECT digest, until FROM nonces WHERE bridge = ? AND until >= ? "
                        "ORDER BY id DESC LIMIT ?",
                        (bridge, self._clock(), own.most),
                    ).fetchall()
                    own.restore(UsedNonce(*row) for row in reversed(rows))
        except sqlite3.Error as error:
            aside = self._path.with_suffix(f".{int(self._clock())}.unusable")
            log.error("nonces_unusable", problem=str(error), set_aside=aside.name)
            try:
                self._path.replace(aside)
            except OSError as failure:
                self._fail(str(failure))

    def _write(self, batch: tuple[_Entry, ...]) -> None:
        """Adds nonces, and removes those that have expired or are too many."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, MODE))
        with closing(sqlite3.connect(self._path)) as db, db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                db.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
            db.executemany(
                "INSERT INTO nonces (bridge, digest, until) VALUES (?, ?, ?)",
                [(bridge, *nonce) for bridge, nonce in batch],
            )
            db.execute("DELETE FROM nonces WHERE until < ?", (self._clock(),))
            for bridge in {entry.bridge for entry in batch}:
                db.execute(
                    "DELETE FROM nonces WHERE bridge = ? AND id <= (SELECT id FROM nonces "
                    "WHERE bridge = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (bridge, bridge, self._most[bridge]),
                )
