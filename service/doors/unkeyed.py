"""Bridges without credentials: open where only those who are trusted reach them, else to nobody."""

from service.doors.door import Handshake, Unauthorized


class OpenDoor:
    """Lets everybody pass."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning."""


class ClosedDoor:
    """Lets nobody pass."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Does not.

        Raises:
            Unauthorized: no_credentials.
        """
        raise Unauthorized("no_credentials")
