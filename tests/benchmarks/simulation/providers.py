"""What providers' clients do when a connection fails, is refused, or is asked to go elsewhere."""

from dataclasses import dataclass
from enum import Enum


class Failure(Enum):
    """Why a client has no connection: what happened to the one that it had or wanted."""

    DROPPED = "dropped"  # it was live and broke
    UNREACHABLE = "unreachable"  # no server answered
    REFUSED = "refused"  # the service has no room


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of client.

    Args:
        share: of all calls, assumed.
        dropped: attempts to connect again after a live connection broke.
        unreachable: further attempts if a first connection finds no server.
        refused: further attempts if the service has no room.
        first_s: from a failure to the next attempt.
        growth: of that time from one attempt to the next.
        moves: whether it connects elsewhere when a service that stops asks it to.
        source: where its behaviour was seen or read.
    """

    name: str
    share: float
    dropped: int
    unreachable: int
    refused: int
    first_s: float
    growth: float
    moves: bool
    source: str

    def attempts(self, failure: Failure, had: bool) -> int:
        """Returns how many attempts follow a failure of a call that had a connection, or none."""
        if failure is Failure.REFUSED:
            return self.refused
        return self.dropped if had or failure is Failure.DROPPED else self.unreachable


PROVIDERS = (
    # Its client waits 5 s for a pong before it takes the connection for broken.
    Provider(
        *("AudioHook", 0.25, 5, 0, 0, 5.0, 2.0, True),
        "its pages: up to 5 attempts, exponential, none after a failed upgrade; `reconnect` is "
        "experimental",
    ),
    Provider(
        *("Asterisk", 0.25, 0, 3, 3, 0.5, 1.0, False),
        "seen: three further attempts of a first connection within 1.5 s, none later",
    ),
    Provider(
        *("FreeSWITCH, jambonz", 0.25, 0, 0, 0, 0.0, 1.0, False),
        "seen: neither module connects again",
    ),
    Provider(
        *("Twilio and those like it", 0.25, 0, 0, 0, 0.0, 1.0, False),
        "their pages: a stream that broke is over",
    ),
)
