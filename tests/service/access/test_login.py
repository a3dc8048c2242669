from pathlib import Path

import pytest

from service.access.book import AccessBook
from service.access.database import AccessDatabase
from service.access.errors import BadLogin
from service.access.login import Logins, comes_from_elsewhere
from service.access.roles import Role

HERE = {"host": "kanjo.local:8000"}
PUBLIC = "https://kanjo.example.com/"


@pytest.fixture
def book(tmp_path: Path) -> AccessBook:
    return AccessBook(AccessDatabase(tmp_path / "access.sqlite3"))


async def test_a_session_begins_at_once_and_ends_at_once(book: AccessBook) -> None:
    logins = Logins(book, session_s=3600)
    code = book.database.create_link("ada", Role.VIEWER, 60)
    cookie = await logins.redeem(code)
    assert cookie.startswith("kanjo_session=")
    attributes = cookie.split("; ")
    assert set(attributes[1:]) == {"HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Strict"}
    assert len(book.contents.sessions) == 1
    with pytest.raises(BadLogin):
        await logins.redeem(code)
    ended = await logins.end({"kanjo_session": attributes[0].partition("=")[2]})
    assert "Max-Age=0" in ended
    assert book.contents.sessions == {}


async def test_over_tls_the_cookie_is_of_this_host_alone(book: AccessBook) -> None:
    cookie = await Logins(book, 60, PUBLIC).begin("ada", Role.VIEWER)
    assert cookie.startswith("__Host-kanjo=")
    assert {"Secure", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({"origin": "http://kanjo.local:8000"}, False),
        ({"origin": "https://kanjo.local:8000"}, False),  # a proxy may end TLS
        ({"origin": "https://kanjo.example.com"}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"origin": "http://kanjo.local:9000"}, True),  # the same site, another port
        ({"origin": "http://other.kanjo.local:8000"}, True),
        ({"origin": "http://kanjo.example.com"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://["}, True),
        ({"origin": "http://evil", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({}, True),
    ],
)
def test_what_changes_something_must_come_from_our_own_page(
    headers: dict[str, str], elsewhere: bool
) -> None:
    assert comes_from_elsewhere("POST", HERE | headers, PUBLIC) is elsewhere
    assert not comes_from_elsewhere("GET", HERE | headers, PUBLIC)


def test_an_origin_of_no_host_is_never_ours() -> None:
    assert comes_from_elsewhere("POST", {"origin": "null"}, None)
    assert comes_from_elsewhere("DELETE", {"origin": "", "host": ""}, None)
