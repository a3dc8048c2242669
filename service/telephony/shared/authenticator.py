"""What a door is: it looks at a handshake and lets it pass, or says why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from service.errors import KanjoError

Reason = Literal[
    "missing",  # a credential that is required did not come
    "malformed",  # it can't be read
    "wrong_key",
    "wrong_password",
    "wrong_signature",
    "stale",  # signed too long ago, or for a time to come
    "replayed",  # it came before
    "no_credentials",  # none are configured, so none can be right
]


@dataclass(frozen=True, slots=True)
class Handshake:
    """A websocket's opening request.

    A header that came more than once is one value, joined with ", ".
    """

    target: str  # path and query as on the request line
    headers: Mapping[str, str]  # names in lower case


class Unauthorized(KanjoError):
    """This client may not connect. Says why in a word, and nothing of what it came with."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason

    def __str__(self) -> str:
        return f"got no valid credentials ({self.reason})"


class Authenticator(Protocol):
    """One way of proving who connects."""

    def check(self, handshake: Handshake, now: float) -> None:
        """Lets pass by returning; `now` is in seconds since 1970.

        Raises:
            Unauthorized: it does not.
        """
