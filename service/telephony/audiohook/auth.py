"""Checks AudioHook's handshake: its API key and, if the key has a secret, its signature.

The signature is an HTTP message signature as of draft-ietf-httpbis-message-signatures-11, by
HMAC-SHA-256 ("Authentication" and "Security" in the AudioHook documentation at
developer.genesys.cloud).
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.nonces import Nonces

SIGNED = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
SKEW_S = 3  # by which a client's clock may be ahead of ours
MAX_AGE_S = 10  # of a signature
MIN_NONCE_CHARS = 22  # 128 bits in base64
MAX_NONCE_CHARS = 256
MAX_NONCES = 65_536

# The part of RFC 8941 section 3 that these two headers may use.
_KEY = r"[a-z*][a-z0-9_.*-]*"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_PARAMETER = rf"; *+({_KEY})=({_STRING}|\d{{1,15}})"
_COMPONENTS = rf"\( *+((?:{_STRING}(?: +{_STRING})*)?) *\)"
_INPUT = re.compile(rf"({_KEY})={_COMPONENTS}((?:{_PARAMETER})*)")
_SIGNATURE = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]*={{0,2}}):")
_NEXT = re.compile(r"[ \t]*(?:,[ \t]*(?=[^ \t])|$)")


@dataclass(frozen=True, slots=True)
class _Input:
    """One member of Signature-Input: what a signature covers, and its parameters."""

    components: tuple[str, ...]  # as received, quoted
    parameters: Mapping[str, str]  # as received

    def __str__(self) -> str:
        parameters = "".join(f";{name}={value}" for name, value in self.parameters.items())
        return f"({' '.join(self.components)}){parameters}"

    def text(self, name: str) -> str:
        """Returns a string parameter without its quotes; "" if there is none."""
        value = self.parameters.get(name, "")
        return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else ""

    def seconds(self, name: str) -> int | None:
        """Returns an integer parameter; None if there is none."""
        value = self.parameters.get(name, "")
        return int(value) if value.isdecimal() else None


class AudioHookAuthenticator:
    """Accepts handshakes with a configured API key, signed with its secret if it has one.

    A key without a secret needs no signature. A signed handshake with such a key is refused, so
    that a secret which was set on one side only is noticed.

    Nonces are stored for as long as their signature would be accepted, to refuse replays. Only a
    correct signature stores one.

    Args:
        secrets_by_key: the secret of each API key, or None.
        max_nonces: how many nonces are stored; beyond that the oldest are dropped.
    """

    def __init__(
        self, secrets_by_key: Mapping[str, bytes | None], max_nonces: int = MAX_NONCES
    ) -> None:
        self._secrets = {key.encode(): secret for key, secret in secrets_by_key.items()}
        # Signatures of keys without a secret are compared too, so that all take the same time.
        self._placeholder_secret = secrets.token_bytes(32)
        self.nonces = Nonces(max_nonces)

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the handshake may connect; `now` is in seconds since 1970.

        Raises:
            Unauthorized: it may not. The caller should delay all refusals alike.
        """
        headers = handshake.headers
        key = headers.get("x-api-key", "").strip(" \t")
        if not key:
            raise Unauthorized("missing")
        known, secret = self._secret(key)
        if "signature" not in headers and "signature-input" not in headers:
            if not known:
                raise Unauthorized("wrong_key")
            if secret:
                raise Unauthorized("missing")
            return
        signed, signature = _signed(headers)
        if signed.text("keyid") != key:
            raise Unauthorized("wrong_key")
        nonce = signed.text("nonce")
        if not MIN_NONCE_CHARS <= len(nonce) <= MAX_NONCE_CHARS:
            raise Unauthorized("malformed")
        if "alg" in signed.parameters and signed.text("alg") != "hmac-sha256":
            raise Unauthorized("malformed")
        _check_time(signed, now)
        base = _base(signed, handshake)
        expected = hmac.digest(secret or self._placeholder_secret, base, hashlib.sha256)
        matches = hmac.compare_digest(signature, expected)
        if not known:
            raise Unauthorized("wrong_key")
        if not matches or not secret:
            raise Unauthorized("wrong_signature")
        self.nonces.use(f"{key} {nonce}", now, now + SKEW_S + MAX_AGE_S)

    def _secret(self, key: str) -> tuple[bool, bytes | None]:
        """Returns whether the key is configured, and its secret; compares all, in constant time."""
        known, found = False, None
        for candidate, secret in self._secrets.items():
            if hmac.compare_digest(candidate, key.encode(errors="replace")):
                known, found = True, secret
        return known, found


def _signed(headers: Mapping[str, str]) -> tuple[_Input, bytes]:
    """Returns the first signature, of any label, that covers all components of `SIGNED`.

    Raises:
        Unauthorized: there is none, or a header cannot be parsed.
    """
    if "signature" not in headers or "signature-input" not in headers:
        raise Unauthorized("missing")
    inputs = _members(_INPUT, headers["signature-input"])
    signatures = _members(_SIGNATURE, headers["signature"])
    required = {f'"{name}"' for name in SIGNED}
    for label, member in inputs.items():
        components = tuple(re.findall(_STRING, member[2]))
        pairs = re.findall(_PARAMETER, member[3])
        if len(set(components)) < len(components) or len(dict(pairs)) < len(pairs):
            raise Unauthorized("malformed")
        if label in signatures and required <= set(components):
            try:
                signature = base64.b64decode(signatures[label][2], validate=True)
            except binascii.Error as error:
                raise Unauthorized("malformed") from error
            return _Input(components, dict(pairs)), signature
    raise Unauthorized("missing")


def _members(pattern: re.Pattern[str], field: str) -> dict[str, re.Match[str]]:
    """Returns a dictionary's members by their keys (RFC 8941 section 3.2)."""
    field = field.strip(" ")
    members, at = {}, 0
    while at < len(field):
        member = pattern.match(field, at)
        end = member and _NEXT.match(field, member.end())
        if member is None or end is None:
            raise Unauthorized("malformed")
        members[member[1]] = member
        at = end.end()
    return members


def _check_time(signed: _Input, now: float) -> None:
    """Raises Unauthorized unless the signature is at most `MAX_AGE_S` old and not expired."""
    created, expires = signed.seconds("created"), signed.seconds("expires")
    if created is None or ("expires" in signed.parameters and expires is None):
        raise Unauthorized("malformed")
    if not -SKEW_S <= now - created <= MAX_AGE_S or (expires is not None and expires <= now):
        raise Unauthorized("stale")


def _base(signed: _Input, handshake: Handshake) -> bytes:
    """Returns the bytes that were signed, the signature base (section 2.3 of the draft)."""
    lines = [f"{name}: {_component(name[1:-1], handshake)}" for name in signed.components]
    return "\n".join((*lines, f'"@signature-params": {signed}')).encode(errors="replace")


def _component(name: str, handshake: Handshake) -> str:
    match name:
        case "@request-target":
            return handshake.target
        case "@authority":
            # Genesys connects by wss only, whose default port is 443.
            return handshake.headers.get("host", "").strip(" \t").lower().removesuffix(":443")
        case _ if name in handshake.headers:
            return handshake.headers[name].strip(" \t")
    raise Unauthorized("missing")  # a header that did not come, or an unsupported component
