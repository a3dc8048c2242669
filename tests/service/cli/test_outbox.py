from pathlib import Path

import pytest

from service.store.entries import TransitionEntry
from service.store.outbox import FILE_NAME, Outbox
from tests.service.cli.command import invoke
from tests.service.store.facts import NOW, PENDING, transition

NUMBER = "+49301234567"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with two writes that wait and three dead letters."""
    outbox = Outbox(tmp_path / FILE_NAME, 100)
    steps = [transition(1, PENDING, alert_id=f"a{n}", call_id=NUMBER) for n in range(5)]
    outbox.append([TransitionEntry("s1", step, NOW) for step in steps])
    for id, _ in outbox.peek(3):
        outbox.bury(id, "WRONGTYPE of no use")
    outbox.close()
    return tmp_path


def test_dead_letters_are_listed_without_their_content(folder: Path) -> None:
    result = invoke("outbox", KANJO_STATE_DIR=folder)
    assert result.exit_code == 0
    first, *letters = result.output.splitlines()
    assert first == "2 writes wait for Redis, 3 are dead letters"
    assert [line.split()[0] for line in letters] == ["1", "2", "3"]
    assert all(line.endswith("transition: WRONGTYPE of no use") for line in letters)
    assert NUMBER not in result.output


def test_dead_letters_are_retried_and_dropped(folder: Path) -> None:
    result = invoke("outbox", "--retry", "2", KANJO_STATE_DIR=folder)
    assert "retried 1, dropped 0\n3 writes wait for Redis, 2 are dead letters" in result.output
    result = invoke("outbox", "--retry", "1", "--drop", "all", KANJO_STATE_DIR=folder)
    assert "retried 1, dropped 1\n4 writes wait for Redis, 0 are dead letters" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--drop", "9"), "got 9, expected the id of a dead letter"),
        (("--retry", "the first"), "got 'the first', expected the ids of dead letters"),
    ],
)
def test_ids_that_are_none_are_refused(
    folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = invoke("outbox", *arguments, KANJO_STATE_DIR=folder)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_file_that_is_missing_in_use_or_no_outbox_is_a_sentence(folder: Path) -> None:
    missing = invoke("outbox", KANJO_STATE_DIR=folder / "elsewhere")
    assert (missing.exit_code, "got no outbox at" in missing.stderr) == (1, True)
    outbox = Outbox(folder / FILE_NAME, 10)
    in_use = invoke("outbox", KANJO_STATE_DIR=folder)
    assert (in_use.exit_code, "is in use" in in_use.stderr) == (1, True)
    outbox.close()
    (folder / FILE_NAME).write_text("no database" * 100)
    other = invoke("outbox", KANJO_STATE_DIR=folder)
    assert (other.exit_code, "not a database" in other.stderr) == (1, True)
    assert (folder / FILE_NAME).read_text().startswith("no database")
