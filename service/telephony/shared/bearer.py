"""A static token (RFC 6750): in `Authorization: Bearer`, or in the query where that is allowed."""

import hmac
from collections.abc import Collection
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from service.telephony.shared.authenticator import Handshake, Unauthorized

PARAMETER = "token"
MAX_PARAMETERS = 64


class BearerAuthenticator:
    """Lets pass who knows one of the tokens; several, so that one can follow on another.

    `query` also takes the token of a client that can't set headers. Addresses end up in logs: a
    token that came so is better changed often.
    """

    def __init__(self, tokens: Collection[str], *, query: bool = False) -> None:
        if "" in tokens:
            raise ValueError("got an empty token, expected at least a character")
        self._tokens = tuple(_digest(token) for token in tokens)
        self._query = query

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning.

        Raises:
            Unauthorized: it does not: missing, malformed, wrong_key.
        """
        said = _digest(self._token(handshake))
        if not any([hmac.compare_digest(said, known) for known in self._tokens]):
            raise Unauthorized("wrong_key")

    def _token(self, handshake: Handshake) -> str:
        header = handshake.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("malformed")
            return token.strip()
        found = _parameter(handshake.target) if self._query else []
        if not found:
            raise Unauthorized("missing")
        if len(found) > 1:
            raise Unauthorized("malformed")
        return found[0]


def _parameter(target: str) -> list[str]:
    try:
        query = urlsplit(target).query
        return parse_qs(query, max_num_fields=MAX_PARAMETERS).get(PARAMETER, [])
    except ValueError:
        raise Unauthorized("malformed") from None


def _digest(secret: str) -> bytes:
    # Of one length whatever the secret's, which a comparison would tell.
    return sha256(secret.encode(errors="surrogatepass")).digest()
