"""Twilio's signature of the public address that it connects to.

Twilio's documentation: "Secure webhooks" (HMAC-SHA1 with the account's auth token) and "Sign
webhooks with shared keys" (HMAC-SHA256 with a key of one's own).
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.public_url import spellings

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
DIGESTS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def sign(secret: str, url: str, algorithm: str = "HMAC_SHA1") -> str:
    """Returns the signature that Twilio sends when it connects to this URL."""
    digest = hmac.digest(secret.encode(), url.encode(), DIGESTS[algorithm])
    return b64encode(digest).decode()


class TwilioAuthenticator:
    """Accepts clients that sign `url`, the public address as the TwiML has it, scheme wss.

    The configured address is checked and not the handshake's, which a proxy may have changed. A
    signature is the same for every call, so a copy of it is accepted too; the bridge's token
    protects against that.

    Args:
        url: the public address.
        auth_token: of the account.
        shared_keys: secrets by the name of their SharedKey.
    """

    def __init__(
        self,
        url: str,
        auth_token: str | None = None,
        shared_keys: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        assert auth_token or shared_keys, "no secret to check signatures with"
        self._urls = spellings(url)
        self._auth_token = auth_token
        self._shared_keys = dict(shared_keys)

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; Twilio signs no time, so `now` is not used.

        Raises:
            Unauthorized: missing, malformed, wrong_key or wrong_signature.
        """
        signature = handshake.headers.get(SIGNATURE)
        if not signature:
            raise Unauthorized("missing")
        secret, algorithm = self._secret(handshake.headers.get(SETTINGS))
        received = signature.encode(errors="replace")
        # All spellings are compared, so that the duration does not show which one matched.
        matches = [
            hmac.compare_digest(received, sign(secret, url, algorithm).encode())
            for url in self._urls
        ]
        if not any(matches):
            raise Unauthorized("wrong_signature")

    def _secret(self, settings: str | None) -> tuple[str, str]:
        """Returns the secret and the algorithm that the header with settings asks for."""
        if settings is None:
            if self._auth_token is None:
                raise Unauthorized("wrong_key")
            return self._auth_token, "HMAC_SHA1"
        pairs = (pair.partition("=") for pair in settings.split(","))
        values = {name.strip(): value.strip() for name, _, value in pairs}
        if "key" not in values or values.get("algorithm") not in DIGESTS:
            raise Unauthorized("malformed")
        if values["key"] not in self._shared_keys:
            raise Unauthorized("wrong_key")
        return self._shared_keys[values["key"]], values["algorithm"]
