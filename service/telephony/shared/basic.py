"""HTTP Basic (RFC 7617): what FreeSWITCH, jambonz and Asterisk can say on their own."""

import hmac
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256

from service.telephony.shared.authenticator import Handshake, Unauthorized


class BasicAuthenticator:
    """Lets pass who knows a user's password. How long a refusal takes tells nothing."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        for user, password in passwords.items():
            if not user or ":" in user or not password:
                raise ValueError("expected users without ':' and passwords, none of them empty")
        self._credentials = tuple(
            _digest(f"{user}:{password}".encode()) for user, password in passwords.items()
        )

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning.

        Raises:
            Unauthorized: it does not: missing, malformed, wrong_password.
        """
        header = handshake.headers.get("authorization")
        if header is None:
            raise Unauthorized("missing")
        scheme, _, encoded = header.partition(" ")
        try:
            credentials = b64decode(encoded.strip(), validate=True)
        except ValueError:
            raise Unauthorized("malformed") from None
        if scheme.lower() != "basic" or b":" not in credentials:
            raise Unauthorized("malformed")
        said = _digest(credentials)
        if not any([hmac.compare_digest(said, known) for known in self._credentials]):
            raise Unauthorized("wrong_password")


def _digest(secret: bytes) -> bytes:
    # Of one length whatever the secret's, which a comparison would tell.
    return sha256(secret).digest()
