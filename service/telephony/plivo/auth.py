"""Plivo's signature (V3) of the public address that it connects to, and of a nonce.

It is checked as Plivo's SDKs do ("Validating requests from Plivo"; for streams as a GET of the
https address). Not tested with Plivo itself.
"""

import hashlib
import hmac
from base64 import b64encode

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.nonces import Nonces
from service.telephony.shared.public_url import spellings

SIGNATURE = "x-plivo-signature-v3"
NONCE = "x-plivo-signature-v3-nonce"
MAX_SIGNATURES = 8  # in one header; more than one while an auth token is being replaced
MAX_NONCE_CHARS = 128


def sign(auth_token: str, url: str, nonce: str) -> str:
    """Returns the signature that Plivo sends when it connects to this URL."""
    digest = hmac.digest(auth_token.encode(), f"{url}.{nonce}".encode(), hashlib.sha256)
    return b64encode(digest).decode()


class PlivoAuthenticator:
    """Accepts clients that sign `url`, the public address as the XML has it, without a query.

    A nonce is accepted once. Only the last `max_nonces` are kept: no time is signed, so there is
    no age after which a nonce could be rejected.
    """

    def __init__(self, url: str, auth_token: str, max_nonces: int = 10_000) -> None:
        assert "?" not in url, "a query is signed in another way"
        # Plivo's documentation does not specify the scheme; its SDK for streams checks https.
        schemes = {"wss": ("https", "wss"), "ws": ("http", "ws")}
        scheme, _, rest = url.partition("://")
        self._urls = [
            spelling
            for scheme in schemes.get(scheme, (scheme,))
            for spelling in spellings(f"{scheme}://{rest}")
        ]
        self._auth_token = auth_token
        self.nonces = Nonces(max_nonces)

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; Plivo signs no time, so a nonce does not expire.

        Raises:
            Unauthorized: missing, malformed, wrong_signature or replayed.
        """
        signatures = handshake.headers.get(SIGNATURE)
        nonce = handshake.headers.get(NONCE)
        if not signatures or not nonce:
            raise Unauthorized("missing")
        if len(nonce) > MAX_NONCE_CHARS or signatures.count(",") >= MAX_SIGNATURES:
            raise Unauthorized("malformed")
        expected = [sign(self._auth_token, url, nonce).encode() for url in self._urls]
        matches = [
            hmac.compare_digest(signature.strip().encode(errors="replace"), expected_signature)
            for expected_signature in expected
            for signature in signatures.split(",")
        ]
        if not any(matches):
            raise Unauthorized("wrong_signature")
        self.nonces.use(nonce, now)
