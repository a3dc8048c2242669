"""Plivo's signature (V3) of the address that it was told to call, and of a nonce.

As Plivo's SDKs check it ("Validating requests from Plivo"; for streams as a GET of the https
address). Never tried against Plivo itself.
"""

import hashlib
import hmac
from base64 import b64encode
from collections import OrderedDict

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.twilio.auth import spellings

SIGNATURE = "x-plivo-signature-v3"
NONCE = "x-plivo-signature-v3-nonce"
MAX_SIGNATURES = 8  # in one header; more than one while an auth token is being replaced
MAX_NONCE_CHARS = 128


def sign(auth_token: str, url: str, nonce: str) -> str:
    """What Plivo sends when it connects to this URL."""
    digest = hmac.digest(auth_token.encode(), f"{url}.{nonce}".encode(), hashlib.sha256)
    return b64encode(digest).decode()


class PlivoAuthenticator:
    """Lets in who can sign `url`, the public address as the XML has it, without a query.

    No nonce is let in twice, as far as the last `max_nonces` are remembered; what is older is
    forgotten, since no time is signed that could tell it is too old.
    """

    def __init__(self, url: str, auth_token: str, max_nonces: int = 10_000) -> None:
        assert "?" not in url, "a query is signed in another way"
        # Plivo's documentation is silent on the scheme; its SDK for streams checks https.
        schemes = {"wss": ("https", "wss"), "ws": ("http", "ws")}
        scheme, _, rest = url.partition("://")
        self._urls = [
            spelling
            for scheme in schemes.get(scheme, (scheme,))
            for spelling in spellings(f"{scheme}://{rest}")
        ]
        self._auth_token = auth_token
        self._max_nonces = max_nonces
        self._nonces: OrderedDict[str, None] = OrderedDict()

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning; Plivo signs no time, so `now` does not matter.

        Raises:
            Unauthorized: it does not.
        """
        signatures = handshake.headers.get(SIGNATURE)
        nonce = handshake.headers.get(NONCE)
        if not signatures or not nonce:
            raise Unauthorized("missing")
        if len(nonce) > MAX_NONCE_CHARS or signatures.count(",") >= MAX_SIGNATURES:
            raise Unauthorized("malformed")
        fits = [
            hmac.compare_digest(one.strip().encode(errors="replace"), signed.encode())
            for signed in [sign(self._auth_token, url, nonce) for url in self._urls]
            for one in signatures.split(",")
        ]
        if not any(fits):
            raise Unauthorized("wrong_signature")
        if nonce in self._nonces:
            raise Unauthorized("replayed")
        self._nonces[nonce] = None
        if len(self._nonces) > self._max_nonces:
            self._nonces.popitem(last=False)
