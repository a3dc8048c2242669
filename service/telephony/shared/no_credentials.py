"""Bridges without credentials: open where only those who are trusted reach them, else to nobody."""

from service.telephony.shared.authenticator import Handshake, Unauthorized


class AcceptAll:
    """Lets everybody pass."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning."""


class RejectAll:
    """Lets nobody pass."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Does not.

        Raises:
            Unauthorized: no_credentials.
        """
        raise Unauthorized("no_credentials")
