from pathlib import Path

import pytest

from service.access.book import AccessBook
from service.access.database import AccessDatabase
from service.access.errors import BadLogin
from service.access.login import Logins, may_be_forged
from service.access.roles import Role


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
    cookie = await Logins(book, 60, secure=True).begin("ada", Role.VIEWER)
    assert cookie.startswith("__Host-kanjo=")
    assert {"Secure", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "forged"),
    [
        ({"origin": "http://kanjo.local:8000"}, False),  # a foreign one was refused before
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({}, True),
    ],
)
def test_a_change_by_a_cookie_needs_an_origin(
    method: str, headers: dict[str, str], forged: bool
) -> None:
    assert may_be_forged(method, headers) is forged
    assert not may_be_forged("GET", headers)
