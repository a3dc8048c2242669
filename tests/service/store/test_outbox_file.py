"""The outbox's file: older and newer versions, files that are no outbox, and what it leaves."""

import os
import random
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from service.store.entries import TransitionEntry, serialize
from service.store.errors import OutboxInUse, OutboxUnusable
from service.store.outbox import Outbox
from service.store.outbox_file import VERSION
from tests.service.store.facts import NOW, PENDING, transition

NUMBER = "+49301234567"  # a phone number, as providers' metadata have them


def entry(number: int = 1) -> TransitionEntry:
    step = transition(1, PENDING, alert_id=f"{NUMBER}-{number}", call_id=NUMBER)
    return TransitionEntry("s1", step, NOW)


def beside(path: Path) -> list[str]:
    """Returns the names of the files in the outbox's folder without its own."""
    own = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    return sorted(file.name for file in path.parent.iterdir() if file.name not in own)


def bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()))


def version_0(path: Path, entries: int) -> None:
    """Writes a file as the first version did, of which half was delivered and deleted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA secure_delete = OFF")  # SQLite's default, but not every build's
        db.execute(
            "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, "
            "kind TEXT NOT NULL, body TEXT NOT NULL, droppable INTEGER NOT NULL)"
        )
        db.execute("CREATE INDEX IF NOT EXISTS droppable ON entries (id) WHERE droppable")
        for n in range(2 * entries):
            name = "delivered" if n < entries else "waiting"
            body = f'["alert_id", "{name}-{NUMBER}-{n}"]'
            db.execute("INSERT INTO entries VALUES (NULL, 'transition', ?, 0)", (body,))
        db.execute("DELETE FROM entries WHERE id <= ?", (entries,))


def test_a_file_of_version_0_is_migrated_in_place_with_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    version_0(path, 300)
    assert f"delivered-{NUMBER}".encode() in path.read_bytes()
    outbox = Outbox(path, 1000, wall_clock=lambda: NOW)
    assert [id for id, _ in outbox.peek(1000)] == list(range(301, 601))
    assert all(kind == "transition" for _, (kind, _) in outbox.peek(1000))
    assert outbox.oldest_at == pytest.approx(NOW, abs=3600)
    outbox.append([entry()])
    assert outbox.peek(1000)[-1][0] == 601
    outbox.close()
    assert beside(path) == []
    # What version 0 had delivered long ago is gone from the file too.
    assert b"delivered" not in bytes_of(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def newer(path: Path) -> None:
    Outbox(path, 10).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE of_the_future (x)")
        db.execute(f"PRAGMA user_version = {VERSION + 7}")


def text(path: Path) -> None:
    path.write_text("not a database, but long enough to be taken for one at first sight" * 20)


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")


def other_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE entries (id INTEGER PRIMARY KEY, words TEXT)")


def negative_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = -1")


def cut_off(path: Path) -> None:
    outbox = Outbox(path, 1000)
    outbox.append([entry(n) for n in range(500)])
    outbox.close()
    os.truncate(path, path.stat().st_size // 2)


def header_only(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(4096))


def folder(path: Path) -> None:
    path.mkdir()
    (path / "something").touch()


UNFIT: dict[Callable[[Path], None], str] = {
    newer: f"newer-version-{VERSION + 7}",
    text: "not-a-database",
    other_program: "not-an-outbox",
    other_columns: "not-an-outbox",
    negative_version: "not-an-outbox",
    cut_off: "damaged",
    header_only: "not-a-database",
    folder: "folder",
}


@pytest.mark.parametrize("make", UNFIT, ids=lambda make: make.__name__)
def test_a_file_that_is_no_outbox_of_this_version_is_set_aside_and_replaced(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "outbox.sqlite3"
    make(path)
    with pytest.raises(OutboxUnusable):
        Outbox(path, 1000, replace=False)
    assert beside(path) == []
    original = None if path.is_dir() else path.read_bytes()
    outbox = Outbox(path, 1000)
    outbox.append([entry()])
    assert [command for _, command in outbox.peek(1000)][-1] == serialize(entry())
    [aside] = outbox.set_aside
    assert aside.path.parent == tmp_path
    assert aside.path.name.startswith(f"{path.name}.{UNFIT[make]}-")
    assert original is None or aside.path.read_bytes() == original
    outbox.close()
    assert capsys.readouterr().out.count("outbox_set_aside") == 1
    # It is told of until somebody removes the file; it happens once.
    again = Outbox(path, 1000)
    assert again.set_aside == (aside,)
    again.close()
    assert "outbox_set_aside" not in capsys.readouterr().out


def test_files_of_the_same_second_are_set_aside_under_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    for _ in range(3):
        text(path)
        Outbox(path, 10, wall_clock=lambda: NOW).close()
        path.unlink()
    assert len(beside(path)) == 3


def test_a_file_in_use_is_never_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    first = Outbox(path, 10)
    with pytest.raises(OutboxInUse):
        Outbox(path, 10)
    first.append([entry()])
    assert len(first.peek(10)) == 1
    first.close()
    assert beside(path) == []


def test_what_can_be_read_of_a_damaged_file_is_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(path, 10_000)
    outbox.append([entry(n) for n in range(2000)])
    outbox.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(random.Random(1).randbytes(4096))
    outbox = Outbox(path, 10_000)
    commands = [serialize(entry(n)) for n in range(2000)]
    found = [command for _, command in outbox.peek(10_000)]
    assert 1900 <= len(found) < 2000
    assert found == [command for command in commands if command in found]
    outbox.close()


def test_a_file_that_is_damaged_while_it_is_used_is_replaced_without_a_restart(
    tmp_path: Path,
) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(path, 10_000)
    outbox.append([entry(n) for n in range(2000)])
    outbox.scrub()
    outbox.delete_through(outbox.peek(1)[-1][0])
    outbox.scrub()
    last = outbox.peek(10_000)[-1][0]
    outbox._db.execute("PRAGMA cache_size = 0")
    outbox._db.execute("PRAGMA shrink_memory")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(path.stat().st_size - 4096))
    outbox.append([entry(2000)])
    batch = outbox.peek(10_000)
    assert batch[-1][1] == serialize(entry(2000))
    assert batch[-1][0] > last  # so that a deletion by an id read before spares it
    assert len(outbox) == len(batch)
    assert len(outbox.set_aside) == 1
    outbox.close()


def test_delivered_entries_leave_nothing_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    outbox = Outbox(path, 10_000)
    for _ in range(20):
        outbox.append([entry(n) for n in range(100)])
        outbox.delete_through(outbox.peek(70)[-1][0])
    while batch := outbox.peek(32):
        outbox.delete_through(batch[-1][0])
    assert NUMBER.encode() in bytes_of(tmp_path)  # not each deletion waits for it
    outbox.scrub()
    assert NUMBER.encode() not in bytes_of(tmp_path)
    outbox.append([entry()])
    outbox.bury(outbox.peek(1)[0][0], "of no use")
    outbox.drop_dead_letters([1])
    outbox.close()
    assert NUMBER.encode() not in bytes_of(tmp_path)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_only_the_owner_can_read_the_files(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "outbox.sqlite3"
    usual = os.umask(umask)
    try:
        version_0(tmp_path / "old.sqlite3", 10)  # was made for everybody
        outboxes = [Outbox(path, 10), Outbox(tmp_path / "old.sqlite3", 100)]
        for outbox in outboxes:
            outbox.append([entry()])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert "outbox.sqlite3-wal" in modes
        assert set(modes.values()) == {0o600}
    finally:
        os.umask(usual)
    for outbox in outboxes:
        outbox.close()
