"""Twilio's signature of the address that it was told to call.

Twilio's documentation: "Secure webhooks" (HMAC-SHA1 with the account's auth token) and "Sign
webhooks with shared keys" (HMAC-SHA256 with a key of one's own).
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from service.telephony.shared.authenticator import Handshake, Unauthorized

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
DIGESTS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}


def sign(secret: str, url: str, algorithm: str = "HMAC_SHA1") -> str:
    """What Twilio sends when it connects to this URL."""
    digest = hmac.digest(secret.encode(), url.encode(), DIGESTS[algorithm])
    return b64encode(digest).decode()


def spellings(url: str) -> list[str]:
    """The ways of writing one address: with and without the port 443 and the last slash."""
    parts = urlsplit(url)
    host = parts.netloc.removesuffix(":443")
    hosts = (host, f"{host}:443") if parts.port in (None, 443) else (host,)
    path = parts.path.rstrip("/")
    return [
        urlunsplit(parts._replace(netloc=netloc, path=path + slash))
        for netloc in hosts
        for slash in ("", "/")
    ]


class TwilioAuthenticator:
    """Lets in who can sign `url`, the public address as the TwiML has it, scheme wss.

    The address is the configured one and not the handshake's, which a proxy may have changed.
    Nothing in a signature changes from call to call: whoever saw one can send it again. The
    bridge's token is against that. `shared_keys` are secrets by their SharedKey's name.
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
        """Lets pass by returning; Twilio signs no time, so `now` does not matter.

        Raises:
            Unauthorized: it does not.
        """
        signature = handshake.headers.get(SIGNATURE)
        if not signature:
            raise Unauthorized("missing")
        secret, algorithm = self._secret(handshake.headers.get(SETTINGS))
        got = signature.encode(errors="replace")
        # All of them, always: how long it takes tells nothing.
        fits = [
            hmac.compare_digest(got, sign(secret, url, algorithm).encode()) for url in self._urls
        ]
        if not any(fits):
            raise Unauthorized("wrong_signature")

    def _secret(self, settings: str | None) -> tuple[str, str]:
        if settings is None:
            if self._auth_token is None:
                raise Unauthorized("wrong_key")
            return self._auth_token, "HMAC_SHA1"
        pairs = (pair.partition("=") for pair in settings.split(","))
        named = {name.strip(): value.strip() for name, _, value in pairs}
        if "key" not in named or named.get("algorithm") not in DIGESTS:
            raise Unauthorized("malformed")
        if named["key"] not in self._shared_keys:
            raise Unauthorized("wrong_key")
        return self._shared_keys[named["key"]], named["algorithm"]
