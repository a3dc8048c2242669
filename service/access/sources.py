"""The sources of identities that Kanjo has by itself: API tokens, sessions, a token for metrics."""

import hmac

from service.access.book import AccessBook
from service.access.identity import SESSION, Identity, Presented
from service.access.roles import Role
from service.access.secret import digest, new_token


def bearer(presented: Presented) -> str | None:
    """Returns the token of `Authorization: Bearer` (RFC 6750), if there is one."""
    scheme, _, token = presented.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class ApiTokens:
    """Knows the tokens of `kanjo token create`."""

    def __init__(self, book: AccessBook) -> None:
        self._book = book

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns the token's identity if it is known, not revoked and not expired."""
        token = bearer(presented)
        grant = self._book.contents.tokens.get(digest(token)) if token else None
        if grant is None or not grant.holds(now):
            return None
        return Identity(grant.name, grant.role, "token")


class Sessions:
    """Knows the cookies of those who have logged in."""

    def __init__(self, book: AccessBook, cookie: str) -> None:
        self._book = book
        self._cookie = cookie

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns who has logged in, if the session has not ended."""
        secret = presented.cookies.get(self._cookie)
        grant = self._book.contents.sessions.get(digest(secret)) if secret else None
        if grant is None or not grant.holds(now):
            return None
        return Identity(grant.name, grant.role, SESSION)


class FixedToken:
    """Knows one token that is in no file, such as that of KANJO_METRICS_TOKEN."""

    def __init__(self, name: str, role: Role, token: str) -> None:
        self._identity = Identity(name, role, "token")
        self._digest = digest(token)

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns the identity if the token came; the comparison takes constant time."""
        token = bearer(presented)
        if token and hmac.compare_digest(digest(token), self._digest):
            return self._identity
        return None


class ProcessTokens:
    """Knows tokens for parts of this process, such as the demo's calls; they end with it."""

    def __init__(self) -> None:
        self._tokens: list[FixedToken] = []

    def issue(self, name: str, role: Role) -> str:
        """Returns the text of a new token."""
        text = new_token()
        self._tokens.append(FixedToken(name, role, text))
        return text

    def identify(self, presented: Presented, now: float) -> Identity | None:
        """Returns the identity of one of the tokens."""
        found = (token.identify(presented, now) for token in self._tokens)
        return next((identity for identity in found if identity), None)
