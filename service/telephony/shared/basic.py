"""HTTP Basic authentication (RFC 7617), which FreeSWITCH, jambonz, Asterisk and Exotel support."""

import hmac
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256

from pydantic import SecretStr

from service.telephony.shared.authenticator import Handshake, Unauthorized


class BasicAuthenticator:
    """Accepts clients that send a user's password, compared in constant time."""

    def __init__(self, passwords: Mapping[str, str]) -> None:
        for user, password in passwords.items():
            if not user or ":" in user or not password:
                raise ValueError("expected users without ':' and passwords, none of them empty")
        self._digests = tuple(
            _digest(f"{user}:{password}".encode()) for user, password in passwords.items()
        )

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; `now` is not used.

        Raises:
            Unauthorized: missing, malformed or wrong_password.
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
        digest = _digest(credentials)
        if not any([hmac.compare_digest(digest, known) for known in self._digests]):
            raise Unauthorized("wrong_password")


def basic_authenticator(user: str, password: SecretStr | None) -> BasicAuthenticator | None:
    """Returns an authenticator for one user, or None if no password is set."""
    return BasicAuthenticator({user: password.get_secret_value()}) if password else None


def _digest(secret: bytes) -> bytes:
    # Comparing digests, all of one length, does not reveal the length of the secret.
    return sha256(secret).digest()
