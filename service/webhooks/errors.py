"""The errors of webhooks; each names what came and what was expected, and never an address."""

from collections.abc import Sequence
from pathlib import Path

from service.errors import KanjoError


class WebhooksUnusable(KanjoError):
    """The file of receivers, or the one of undelivered notices, can't be used."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.path}: " + "; ".join(self.problems)


class AddressRefused(KanjoError):
    """A receiver's host has an address that is not public, and that was not allowed."""

    def __str__(self) -> str:
        return (
            "got a host with an address in a private, loopback or link-local network, expected "
            "public ones, or allow_private = true"
        )


class NoSuchDeadLetter(KanjoError):
    """A dead letter was asked for by an id that none has."""

    def __init__(self, id: int) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"got dead letter {self.id}, expected one of GET /v1/webhooks"


class ReceiverStopped(KanjoError):
    """A dead letter can't be sent again, because its receiver is stopped or no longer there."""

    def __init__(self, receiver: str) -> None:
        super().__init__(receiver)
        self.receiver = receiver

    def __str__(self) -> str:
        return (
            f"got a dead letter for {self.receiver!r}, which answered 410 or is no longer in the "
            "file of receivers, expected a receiver that is at work"
        )
