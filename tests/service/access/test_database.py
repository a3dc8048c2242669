import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from service.access.database import NOTHING, AccessDatabase
from service.access.errors import AccessUnusable, BadLogin, NoSuchToken, TokenExists
from service.access.roles import Role
from service.access.secret import digest

HOUR = 3600.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> AccessDatabase:
    return AccessDatabase(tmp_path / "new folder" / "access.sqlite3", clock)


def test_reading_makes_no_file(database: AccessDatabase) -> None:
    assert database.contents() == NOTHING
    assert database.tokens() == []
    assert not database.anyone_logged_in()
    assert not database.path.parent.exists()


def test_a_token_is_listed_but_only_its_digest_is_kept(
    database: AccessDatabase, clock: Clock
) -> None:
    text = database.create_token("wall screen", Role.VIEWER, HOUR)
    assert text.startswith("kanjo_")
    assert len(text) > 43  # 256 bits in base64
    (token,) = database.tokens()
    assert (token.name, token.role, token.last) == ("wall screen", Role.VIEWER, text[-4:])
    assert (token.created_at, token.expires_at) == (clock.now, clock.now + HOUR)
    assert text.encode() not in database.path.read_bytes()
    grant = database.contents().tokens[digest(text)]
    assert grant.holds(clock.now + HOUR - 1)
    assert not grant.holds(clock.now + HOUR)


def test_only_its_owner_reads_the_file(database: AccessDatabase) -> None:
    before = os.umask(0)
    try:
        database.create_token("a", Role.VIEWER, None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600
    database.path.chmod(0o644)
    database.tokens()
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600


def test_names_are_unique_among_tokens_that_are_not_revoked(database: AccessDatabase) -> None:
    first = database.create_token("a", Role.VIEWER, None)
    with pytest.raises(TokenExists, match="got the name 'a', expected one that no token has"):
        database.create_token("a", Role.ADMIN, None)
    database.revoke("a")
    second = database.create_token("a", Role.ADMIN, None)
    assert set(database.contents().tokens) == {digest(second)} != {digest(first)}


def test_a_revoked_token_is_remembered_so_that_access_stays_closed(
    database: AccessDatabase,
) -> None:
    database.create_token("a", Role.VIEWER, None)
    database.revoke("a")
    assert database.contents().tokens == {}
    assert database.contents().ever_had_tokens
    assert database.tokens()[0].revoked_at is not None
    with pytest.raises(NoSuchToken, match="got the name 'a', expected one of: none"):
        database.revoke("a")


def test_a_code_gives_one_session(database: AccessDatabase, clock: Clock) -> None:
    code = database.create_link("ada", Role.OPERATOR, 60)
    secret, grant = database.redeem(code, HOUR)
    assert (grant.name, grant.role, grant.expires_at) == ("ada", Role.OPERATOR, clock.now + HOUR)
    assert database.contents().sessions == {digest(secret): grant}
    assert database.anyone_logged_in()
    with pytest.raises(BadLogin):
        database.redeem(code, HOUR)
    database.end_session(secret)
    assert database.contents().sessions == {}
    assert database.anyone_logged_in()


def test_codes_and_sessions_expire(database: AccessDatabase, clock: Clock) -> None:
    late, early = (
        database.create_link("a", Role.VIEWER, 60),
        database.create_link("b", Role.VIEWER, 61),
    )
    clock.now += 60
    with pytest.raises(BadLogin):
        database.redeem(late, HOUR)
    database.redeem(early, HOUR)
    clock.now += HOUR
    assert database.contents().sessions == {}
    with pytest.raises(BadLogin):
        database.redeem("no code of ours", HOUR)


def test_a_code_that_many_use_at_once_gives_one_session(database: AccessDatabase) -> None:
    code = database.create_link("ada", Role.OPERATOR, 1e9)
    outcomes = []

    def use() -> None:
        try:
            AccessDatabase(database.path, Clock()).redeem(code, HOUR)
            outcomes.append(True)
        except BadLogin:
            outcomes.append(False)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


def test_a_file_of_a_newer_version_is_refused_and_left_alone(database: AccessDatabase) -> None:
    database.create_token("a", Role.VIEWER, None)
    with sqlite3.connect(database.path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    before = database.path.read_bytes()
    with pytest.raises(AccessUnusable, match="got a file of version 7, expected at most 1"):
        database.contents()
    with pytest.raises(AccessUnusable):
        database.create_token("b", Role.VIEWER, None)
    assert database.path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(database: AccessDatabase) -> None:
    database.path.parent.mkdir()
    database.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(AccessUnusable, match="not a database"):
        database.contents()
