"""Authenticators check a websocket's opening handshake and either return or raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import parse_qsl

from service.errors import KanjoError

Reason = Literal[
    "missing",  # a required credential did not come
    "malformed",  # it can't be parsed
    "wrong_key",
    "wrong_password",
    "wrong_signature",
    "stale",  # signed too long ago, or for a time in the future
    "replayed",  # it was used before
    "no_credentials",  # none are configured, so none can be right
]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The opening request of a websocket.

    A header that came more than once is one value, joined with ", ".
    """

    target: str  # path and query as on the request line
    headers: Mapping[str, str]  # names in lower case

    @property
    def query(self) -> dict[str, str]:
        """The decoded parameters of the query; of one that came more than once, the last."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


class Unauthorized(KanjoError):
    """A client may not connect.

    The text names the reason and shows nothing of what the client sent.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason

    def __str__(self) -> str:
        return f"got no valid credentials ({self.reason})"


class Authenticator(Protocol):
    """One way in which clients prove who they are."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Returns if the client may connect; `now` is in seconds since 1970.

        Raises:
            Unauthorized: the client may not connect.
        """
