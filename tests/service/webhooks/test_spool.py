import sqlite3
import stat
from pathlib import Path

import pytest

from service.api.numbers import hidden
from service.webhooks.delivery import Delivery
from service.webhooks.errors import WebhooksUnusable
from service.webhooks.notice import Notice
from service.webhooks.spool import FILE, Spool
from tests.service.webhooks.http_receiver import FACTS, transition


def delivery(id: int, alert: str = "s1-caller-1") -> Delivery:
    notice = Notice.of("s1", "twilio", FACTS, transition(alert), 1_800_000_000.0, hidden)
    return Delivery(id, "one", notice)


def test_what_is_written_is_there_after_the_file_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "state" / FILE
    spool = Spool(path)
    first, second = delivery(1), delivery(2, "s2-caller-1")
    second.attempts, second.problem, second.dead_at = 3, "got HTTP 400, expected 2xx", 7.0
    spool.write({1: first, 2: second})
    spool.close()
    spool = Spool(path)
    kept = spool.load()
    assert [(each.id, each.notice, each.attempts) for each in kept] == [
        (1, first.notice, 0),
        (2, second.notice, 3),
    ]
    assert [each.problem for each in kept] == [None, "got HTTP 400, expected 2xx"]
    spool.write({1: None})
    assert [each.id for each in spool.load()] == [2]
    spool.close()


def test_the_file_is_made_by_the_first_delivery_and_is_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FILE)
    spool.write({1: None})
    assert list(tmp_path.iterdir()) == []
    spool.write({1: delivery(1)})
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    spool.close()


def test_what_is_removed_can_not_be_read_in_the_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FILE)
    spool.write({id: delivery(id, f"secret-{id}") for id in range(1, 50)})
    spool.write({id: None for id in range(1, 50)})
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret-" not in content
    spool.close()


@pytest.mark.parametrize(
    "content", [b"not a database" * 100, b"SQLite format 3\0" + b"x" * 5000], ids=["text", "torn"]
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    spool = Spool(tmp_path / FILE, wall_clock=lambda: 17.0)
    assert spool.load() == []
    spool.close()
    assert (tmp_path / f"{FILE}.damaged-17").read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "reason"),
    [("PRAGMA user_version = 9", "newer-version-9"), ("CREATE TABLE x (y)", "another-program")],
)
def test_a_file_of_another_version_or_program_is_set_aside(
    tmp_path: Path, statement: str, reason: str
) -> None:
    db = sqlite3.connect(tmp_path / FILE)
    db.execute(statement)
    db.commit()
    db.close()
    spool = Spool(tmp_path / FILE, wall_clock=lambda: 17.0)
    spool.write({1: delivery(1)})
    assert len(spool.load()) == 1
    spool.close()
    assert (tmp_path / f"{FILE}.{reason}-17").exists()


def test_a_file_that_another_process_has_open_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FILE)
    spool.write({1: delivery(1)})
    with pytest.raises(WebhooksUnusable, match="locked"):
        Spool(tmp_path / FILE)
    spool.close()


def test_a_row_that_can_not_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path / FILE)
    spool.write({1: delivery(1), 2: delivery(2)})
    spool.close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("UPDATE deliveries SET notice = '{}' WHERE id = 1")
    db.commit()
    db.close()
    spool = Spool(tmp_path / FILE)
    assert [each.id for each in spool.load()] == [2]
    spool.close()
