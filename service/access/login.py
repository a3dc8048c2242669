"""How people with a browser get in: a one-time link gives a session, which is a cookie."""

import asyncio
from collections.abc import Mapping
from http.cookies import SimpleCookie

from service.access.book import AccessBook
from service.access.roles import Role

LINK_VALID_S = 15 * 60
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Logins:
    """Begins and ends sessions.

    Args:
        book: of the file that holds codes and sessions.
        session_s: how long a session lasts, whatever its owner does.
        secure: whether browsers reach the service over TLS only.
    """

    def __init__(self, book: AccessBook, session_s: float, *, secure: bool = False) -> None:
        self._book = book
        self._session_s = session_s
        self._secure = secure

    @property
    def cookie(self) -> str:
        """The name of the cookie.

        `__Host-` makes browsers refuse it from another host or over plain HTTP, and works over TLS
        only.
        """
        return "__Host-kanjo" if self._secure else "kanjo_session"

    async def redeem(self, code: str) -> str:
        """Uses up a one-time code and returns the Set-Cookie header of a new session.

        Raises:
            BadLogin: the code was used, has expired or never was.
            AccessUnusable: the file can't be written.
        """
        secret, _ = await asyncio.to_thread(self._book.database.redeem, code, self._session_s)
        return await self._begin(secret)

    async def begin(self, name: str, role: Role) -> str:
        """Returns the Set-Cookie header of a new session for someone who is known otherwise.

        Raises:
            AccessUnusable: the file can't be written.
        """
        database = self._book.database
        secret, _ = await asyncio.to_thread(database.create_session, name, role, self._session_s)
        return await self._begin(secret)

    async def end(self, cookies: Mapping[str, str]) -> str:
        """Ends the session of these cookies and returns the Set-Cookie header that removes it.

        Raises:
            AccessUnusable: the file can't be written.
        """
        if secret := cookies.get(self.cookie):
            await asyncio.to_thread(self._book.database.end_session, secret)
            await self._book.refresh()
        return self._header("", 0)

    async def _begin(self, secret: str) -> str:
        await self._book.refresh()
        return self._header(secret, round(self._session_s))

    def _header(self, value: str, max_age_s: int) -> str:
        made: SimpleCookie = SimpleCookie({self.cookie: value})
        morsel = made[self.cookie]
        morsel["path"] = "/"
        morsel["max-age"] = str(max_age_s)
        morsel["httponly"] = True
        morsel["samesite"] = "Strict"
        if self._secure:
            morsel["secure"] = True
        return morsel.OutputString()


def login_url(base: str, code: str) -> str:
    """Returns the link that a browser opens.

    The code is in the fragment, which browsers send to nobody: it is in no log of a proxy, and a
    program that opens links to preview them does not use it up. The page sends it in a header.
    """
    return f"{base.rstrip('/')}/#login={code}"


def may_be_forged(method: str, headers: Mapping[str, str]) -> bool:
    """Returns whether a request that a cookie lets in may be another page's doing.

    SameSite=Strict alone would not do: pages of other ports of one host, or of other subdomains,
    count as the same site. Browsers send `Origin` with every request that changes something, and no
    script can change it; a foreign one is refused before (`service.access.origin`). So what is left
    to refuse is a change without it, which comes from no browser that is in use.
    """
    if method in SAFE_METHODS or "origin" in headers:
        return False
    return headers.get("sec-fetch-site") != "same-origin"
