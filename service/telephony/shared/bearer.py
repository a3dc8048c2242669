"""Bearer tokens (RFC 6750), which some providers send in a header of their own or in the query."""

import hmac
from collections.abc import Collection
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from service.telephony.shared.authenticator import Handshake, Unauthorized

PARAMETER = "token"
MAX_PARAMETERS = 64


class BearerAuthenticator:
    """Accepts clients that send one of the tokens; several allow a token to be replaced.

    With `query`, the parameter `token` is accepted from clients that can't set headers. Addresses
    end up in logs, so such a token should be changed often. With `header`, that header, whose name
    is in lower case, may carry the bare token; if it came, no other place is looked at.
    """

    def __init__(
        self, tokens: Collection[str], *, query: bool = False, header: str | None = None
    ) -> None:
        if "" in tokens:
            raise ValueError("got an empty token, expected at least a character")
        self._digests = tuple(_digest(token) for token in tokens)
        self._query = query
        self._header = header

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; `now` is not used.

        Raises:
            Unauthorized: missing, malformed or wrong_key.
        """
        digest = _digest(self._token(handshake))
        if not any([hmac.compare_digest(digest, known) for known in self._digests]):
            raise Unauthorized("wrong_key")

    def _token(self, handshake: Handshake) -> str:
        bare = None if self._header is None else handshake.headers.get(self._header)
        if bare is not None:
            if not bare.strip():
                raise Unauthorized("malformed")
            return bare.strip()
        header = handshake.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise Unauthorized("malformed")
            return token.strip()
        tokens = _query_tokens(handshake.target) if self._query else []
        if not tokens:
            raise Unauthorized("missing")
        if len(tokens) > 1:
            raise Unauthorized("malformed")
        return tokens[0]


def bearer_authenticator(
    token: SecretStr | None, header: str | None = None
) -> BearerAuthenticator | None:
    """Returns an authenticator for one token, or None if it is not set."""
    return BearerAuthenticator((token.get_secret_value(),), header=header) if token else None


def _query_tokens(target: str) -> list[str]:
    try:
        query = urlsplit(target).query
        return parse_qs(query, max_num_fields=MAX_PARAMETERS).get(PARAMETER, [])
    except ValueError:
        raise Unauthorized("malformed") from None


def _digest(secret: str) -> bytes:
    # Comparing digests, all of one length, does not reveal the length of the secret.
    return sha256(secret.encode(errors="surrogatepass")).digest()
