import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.entries import Command, Entry, serialize
from service.store.errors import OutboxInUse, OutboxUnusable
from service.store.outbox import Outbox


@dataclass(frozen=True)
class NumberedEntry:
    number: int
    kind: str = "transition"
    droppable: bool = False

    def arguments(self) -> Mapping[str, object]:
        return {"number": self.number}


KEPT = [NumberedEntry(n) for n in range(10)]
READINGS = [NumberedEntry(n, "reading", droppable=True) for n in range(10)]


@pytest.fixture(params=["disk", "memory"])
def path(request, tmp_path: Path) -> Path | None:
    return tmp_path / "outbox.sqlite" if request.param == "disk" else None


def queued(outbox: Outbox) -> list[Command]:
    return [command for _, command in outbox.peek(1000)]


def serialized(*entries: Entry) -> list[Command]:
    return [serialize(entry) for entry in entries]


def test_what_goes_in_first_comes_out_first(path: Path | None) -> None:
    outbox = Outbox(path, 100)
    outbox.append([KEPT[0], READINGS[0]])
    outbox.append([KEPT[1]])
    assert queued(outbox) == serialized(KEPT[0], READINGS[0], KEPT[1])
    assert [command for _, command in outbox.peek(2)] == serialized(KEPT[0], READINGS[0])
    assert len(outbox) == 3
    outbox.close()


def test_deleting_through_an_entry_leaves_what_came_after(path: Path | None) -> None:
    outbox = Outbox(path, 100)
    outbox.append(KEPT[:5])
    outbox.delete_through(outbox.peek(3)[-1][0])
    assert queued(outbox) == serialized(*KEPT[3:5])
    assert len(outbox) == 2
    outbox.close()


def test_an_id_is_not_used_again_after_its_entry_is_gone(path: Path | None) -> None:
    outbox = Outbox(path, 100)
    outbox.append(KEPT[:3])
    last = outbox.peek(3)[-1][0]
    outbox.delete_through(last)
    outbox.append(KEPT[3:4])
    assert outbox.peek(1)[0][0] > last
    outbox.close()


def test_when_full_the_oldest_readings_go_first(path: Path | None) -> None:
    outbox = Outbox(path, 4)
    outbox.append([READINGS[0], KEPT[0], READINGS[1], READINGS[2]])
    outbox.append([KEPT[1], READINGS[3]])
    assert queued(outbox) == serialized(KEPT[0], READINGS[2], KEPT[1], READINGS[3])
    assert (len(outbox), outbox.dropped, outbox.rejected) == (4, 2, 0)
    outbox.close()


def test_when_no_reading_is_left_to_drop_the_newest_entry_is_rejected(path: Path | None) -> None:
    outbox = Outbox(path, 3)
    outbox.append([*KEPT[:3], READINGS[0], *KEPT[3:5]])
    assert queued(outbox) == serialized(*KEPT[:3])
    assert (len(outbox), outbox.dropped, outbox.rejected) == (3, 1, 2)
    outbox.close()


@given(st.integers(1, 6), st.lists(st.lists(st.booleans(), max_size=5), max_size=8))
def test_it_never_exceeds_its_limit_and_counts_all_that_it_discards(limit, batches) -> None:
    outbox = Outbox(None, limit)
    given: list[NumberedEntry] = []
    for batch in batches:
        new = [NumberedEntry(len(given) + n, droppable=d) for n, d in enumerate(batch)]
        given += new
        outbox.append(new)
    left = [given[int(arguments[1])] for _, arguments in queued(outbox)]
    assert len(left) == len(outbox) <= limit
    assert len(left) + outbox.dropped + outbox.rejected == len(given)
    assert left == sorted(left, key=lambda entry: entry.number)
    kept = [entry for entry in given if not entry.droppable]
    assert [entry for entry in left if not entry.droppable] == kept[: len(kept) - outbox.rejected]
    outbox.close()


def test_it_continues_where_the_last_process_stopped(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "o", 3)
    first.append(KEPT[:3])
    first.delete_through(first.peek(1)[0][0])
    first.close()
    second = Outbox(tmp_path / "o", 3)
    assert queued(second) == serialized(*KEPT[1:3])
    second.append(KEPT[3:5])
    assert (len(second), second.rejected) == (3, 1)
    second.close()


def test_a_batch_goes_in_whole_or_not_at_all(path: Path | None) -> None:
    outbox = Outbox(path, 100)
    outbox.append(KEPT[:1])
    with pytest.raises(sqlite3.IntegrityError):
        outbox.append([KEPT[1], NumberedEntry(2, None)])  # type: ignore[arg-type]
    assert queued(outbox) == serialized(*KEPT[:1])
    assert len(outbox) == 1
    outbox.close()


WRITER = """
import sys, time
from pathlib import Path
from service.store.entries import HeartbeatEntry
from service.store.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), 1_000_000)
n = 0
while True:
    outbox.append([HeartbeatEntry(str(n), "call-1"), HeartbeatEntry(str(n + 1), "call-1")])
    n += 2
    print(n, flush=True)
"""


def started_writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )


def test_what_was_appended_survives_kill_9_whole_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with started_writer(path) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 50:
            pass
        os.kill(writer.pid, signal.SIGKILL)
        appended = [int(line) for line in writer.stdout if line.endswith("\n")]
    outbox = Outbox(path, 1_000_000)
    sessions = [int(arguments[1]) for _, (_, arguments) in outbox.peek(1_000_000)]
    assert sessions == list(range(len(sessions)))
    assert len(sessions) >= max(appended, default=50)
    assert len(sessions) % 2 == 0  # a batch is there whole or not at all
    outbox.close()


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    with started_writer(path) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(OutboxInUse, match="is in use, expected a file of this process's own"):
            Outbox(path, 10)
        os.kill(writer.pid, signal.SIGKILL)
    Outbox(path, 10).close()


def test_a_second_opener_in_the_same_process_is_kept_out_too(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "o", 10)
    with pytest.raises(OutboxInUse):
        Outbox(tmp_path / "o", 10)
    first.close()


def test_a_path_that_cannot_be_written_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a file, no folder")
    with pytest.raises(OutboxUnusable, match=r"below-a-file: .*expected a writable SQLite file"):
        Outbox(tmp_path / "notes.txt" / "below-a-file", 10)


def test_an_outbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="got an outbox of 0 entries"):
        Outbox(None, 0)
