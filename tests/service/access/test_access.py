from pathlib import Path

import pytest

from service.access.access import Access
from service.access.book import AccessBook
from service.access.bridges import BridgeTokens
from service.access.database import AccessDatabase
from service.access.identity import ANONYMOUS, LOCAL, Identity
from service.access.roles import Role
from service.access.setup import base_url, first_link, set_up
from service.access.sources import ApiTokens, FixedToken, ProcessTokens, Sessions
from service.settings import Settings
from service.telephony.shared.authenticator import Handshake, Unauthorized


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {token}"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> AccessDatabase:
    return AccessDatabase(tmp_path / "access.sqlite3", clock)


async def test_tokens_and_sessions_are_known_until_they_end(
    database: AccessDatabase, clock: Clock
) -> None:
    book = AccessBook(database)
    access = Access([ApiTokens(book), Sessions(book, "c")], clock=clock)
    token = database.create_token("wall", Role.VIEWER, 60)
    secret, _ = database.create_session("ada", Role.ADMIN, 90)
    assert access.identify(bearer(token)) == ANONYMOUS
    await book.refresh()
    assert access.identify(bearer(token)) == Identity("wall", Role.VIEWER, "token")
    assert access.identify(bearer(token, "bEARER")).name == "wall"
    assert access.identify({}, {"c": secret}) == Identity("ada", Role.ADMIN, "session")
    for headers in ({}, bearer(token, "Basic"), bearer(""), bearer("x"), bearer(secret)):
        assert access.identify(headers, {"c": token, "d": secret}) == ANONYMOUS
    clock.now += 60
    assert access.identify(bearer(token)) == ANONYMOUS
    assert access.identify({}, {"c": secret}).name == "ada"
    clock.now += 30
    assert access.identify({}, {"c": secret}) == ANONYMOUS


def test_while_access_is_open_everybody_is_local() -> None:
    is_open = True
    access = Access([], is_open=lambda: is_open)
    assert access.open
    assert access.identify({}) == LOCAL
    is_open = False
    assert not access.open
    assert access.identify({}) == ANONYMOUS
    assert not any(ANONYMOUS.may(role) for role in Role)


def test_the_first_source_that_can_tell_decides() -> None:
    sources = [FixedToken("one", Role.VIEWER, "a"), FixedToken("two", Role.ADMIN, "a")]
    assert Access(sources).identify(bearer("a")).name == "one"


def test_tokens_of_the_process_are_known() -> None:
    tokens = ProcessTokens()
    access = Access([tokens])
    one, two = tokens.issue("demo", Role.BRIDGE), tokens.issue("other", Role.VIEWER)
    assert one != two
    assert access.identify(bearer(one)).role is Role.BRIDGE
    assert access.identify(bearer(two)).name == "other"
    assert access.identify(bearer("three")) == ANONYMOUS


async def test_access_does_not_open_again_when_the_file_is_removed(
    database: AccessDatabase,
) -> None:
    book = AccessBook(database)
    assert not book.ever_had_tokens
    database.create_token("a", Role.VIEWER, None)
    await book.refresh()
    database.path.unlink()
    await book.refresh()
    assert book.contents.tokens == {}
    assert book.ever_had_tokens


@pytest.mark.parametrize(
    ("settings", "is_open"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1", "native_token": "n" * 16}, True),
        ({"trust_network": True}, True),
        ({"host": "0.0.0.0"}, True),  # it listens on loopback, because nothing is set up
        ({"host": "0.0.0.0", "metrics_token": "m" * 16}, True),
        ({"public_url": "https://kanjo.example.com"}, False),  # a proxy is in front
        ({"host": "0.0.0.0", "native_token": "n" * 16}, False),
        ({"host": "0.0.0.0", "trust_network": True}, False),
        ({"host": "10.0.0.1", "trust_network": True}, False),
    ],
)
def test_only_loopback_is_open(tmp_path: Path, settings: dict[str, object], is_open: bool) -> None:
    made = Settings.model_validate({**settings, "state_dir": tmp_path})
    assert set_up(made).access.open is is_open
    assert not set_up(made, [FixedToken("a", Role.VIEWER, "a")]).access.open


def test_the_first_link_is_made_until_someone_logs_in(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"state_dir": tmp_path, "public_url": "http://kanjo:8000,https://kanjo.example.com"}
    )
    link = first_link(settings)
    assert link is not None
    assert link.startswith("https://kanjo.example.com/#login=")
    assert first_link(settings) not in (None, link)
    database = AccessDatabase(tmp_path / "access.sqlite3")
    _, grant = database.redeem(link.partition("=")[2], 60)
    assert grant.role is Role.ADMIN
    assert first_link(settings) is None


def test_links_lead_to_where_the_service_listens() -> None:
    assert base_url(Settings(port=9000)) == "http://127.0.0.1:9000"
    assert base_url(Settings(host="::1")) == "http://[::1]:8000"
    assert base_url(Settings(host="0.0.0.0", trust_network=True)) == "http://127.0.0.1:8000"


def test_bridges_without_credentials_need_a_token_once_access_is_closed() -> None:
    tokens = ProcessTokens()
    closed = BridgeTokens(Access([tokens]))
    closed.check(Handshake("/", bearer(tokens.issue("b", Role.BRIDGE))), 0)
    admin = bearer(tokens.issue("a", Role.ADMIN))
    for headers, reason in (
        ({}, "no_credentials"),
        (bearer("x"), "wrong_key"),
        (admin, "wrong_key"),
    ):
        with pytest.raises(Unauthorized, match=reason):
            closed.check(Handshake("/", headers), 0)
    BridgeTokens(Access([], is_open=lambda: True)).check(Handshake("/", {}), 0)
