from pathlib import Path

import pytest

from service.access.database import AccessDatabase
from service.access.roles import Role
from service.access.secret import digest
from tests.service.cli.command import invoke


@pytest.fixture
def database(tmp_path: Path) -> AccessDatabase:
    return AccessDatabase(tmp_path / "access.sqlite3")


def test_a_token_is_printed_once_and_listed_without_its_text(
    tmp_path: Path, database: AccessDatabase
) -> None:
    made = invoke("token", "create", "wall screen", "--role", "viewer", KANJO_STATE_DIR=tmp_path)
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    grant = database.contents().tokens[digest(text)]
    assert (grant.name, grant.role) == ("wall screen", Role.VIEWER)
    assert "not shown again" in made.stderr
    listed = invoke("token", "list", KANJO_STATE_DIR=tmp_path, COLUMNS=200)
    assert listed.exit_code == 0
    (row,) = [line for line in listed.stdout.splitlines() if line.startswith("wall screen")]
    assert text not in listed.output
    assert row.split()[2:4] == ["viewer", text[-4:]]
    assert row.endswith("valid")


@pytest.mark.parametrize(
    ("expires", "valid_s"), [("90d", 7_776_000), ("1h", 3_600), ("2w", 1_209_600), ("never", None)]
)
def test_a_token_expires_when_it_is_told(
    tmp_path: Path, database: AccessDatabase, expires: str, valid_s: float | None
) -> None:
    options = ("--role", "bridge", "--expires", expires)
    assert invoke("token", "create", "a", *options, KANJO_STATE_DIR=tmp_path).exit_code == 0
    (token,) = database.tokens()
    if valid_s is None:
        assert token.expires_at is None
    else:
        assert token.expires_at == pytest.approx(token.created_at + valid_s)


def test_a_revoked_token_is_listed_as_such(tmp_path: Path, database: AccessDatabase) -> None:
    database.create_token("a", Role.ADMIN, None)
    assert invoke("token", "revoke", "a", KANJO_STATE_DIR=tmp_path).stdout == "Revoked: a\n"
    assert database.contents().tokens == {}
    assert "revoked" in invoke("token", "list", KANJO_STATE_DIR=tmp_path, COLUMNS=200).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("create", "a", "--role", "viewer"), 1, "got the name 'a', expected one that no token"),
        (("revoke", "b"), 1, "got the name 'b', expected one of: a"),
        (
            ("create", "b", "--role", "viewer", "--expires", "3y"),
            2,
            "--expires: got '3y', expected a number with h, d or w, as 90d, or never",
        ),
        (("create", "b\n", "--role", "viewer"), 2, "printable characters"),
        (("create", " ", "--role", "viewer"), 2, "printable characters"),
        (("create", "b", "--role", "king"), 2, "king"),
        (("create", "b"), 2, "--role"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    tmp_path: Path,
    database: AccessDatabase,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    database.create_token("a", Role.VIEWER, None)
    result = invoke("token", *arguments, KANJO_STATE_DIR=tmp_path, COLUMNS=200)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert len(database.tokens()) == 1


def test_a_file_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "access.sqlite3").write_text("no database" * 100)
    for arguments in (("list",), ("revoke", "a"), ("create", "a", "--role", "viewer")):
        result = invoke("token", *arguments, KANJO_STATE_DIR=tmp_path)
        assert result.exit_code == 1
        assert "access.sqlite3: file is not a database" in result.stderr


def test_no_tokens_are_told_with_where_they_would_be(tmp_path: Path) -> None:
    result = invoke("token", "list", KANJO_STATE_DIR=tmp_path, COLUMNS=200)
    assert str(tmp_path) in result.stdout.replace("\n", "")
    assert list(tmp_path.iterdir()) == []
