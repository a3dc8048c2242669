"""Authenticators of bridges that have no credentials for the handshake."""

from service.telephony.shared.authenticator import Handshake, Unauthorized


class AcceptAll:
    """Accepts every client."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Always returns."""


class RejectAll:
    """Rejects every client."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Always raises.

        Raises:
            Unauthorized: no_credentials.
        """
        raise Unauthorized("no_credentials")


class CheckedAtStart:
    """Accepts every handshake, because the bridge checks a credential in its start message."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Always returns."""
