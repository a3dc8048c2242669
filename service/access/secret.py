"""Secrets that Kanjo makes: API tokens, one-time codes and sessions.

They are 256 random bits, and only their SHA-256 is kept. A slow hash would add nothing: it protects
secrets that can be guessed, such as passwords, and these can't be.
"""

import secrets
from hashlib import sha256

BYTES = 32
PREFIX = "kanjo_"  # by which scanners for leaked secrets recognise a token
SHOWN = 4  # last characters of a token that lists show


def new_secret() -> str:
    """Returns 256 random bits in characters that need no escaping in a URL, header or cookie."""
    return secrets.token_urlsafe(BYTES)


def new_token() -> str:
    """Returns the text of a new API token."""
    return PREFIX + new_secret()


def digest(secret: str) -> bytes:
    """Returns what is kept of a secret."""
    return sha256(secret.encode(errors="surrogatepass")).digest()
