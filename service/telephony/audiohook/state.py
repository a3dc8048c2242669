"""The states of an AudioHook session and how long each may last."""

from dataclasses import dataclass
from enum import Enum


class SessionState(Enum):
    """Where a session stands, as the server sees it ("Session walkthrough")."""

    BEFORE_OPEN = "before open"
    OPENING = "open received, call not accepted yet"
    OPEN = "opened sent"
    CLOSING = "close received, closed not sent yet"
    DISCONNECTING = "disconnect sent, close not received yet"
    CLOSED = "closed sent"


@dataclass(frozen=True, slots=True)
class SessionDeadlines:
    """How many seconds a session may stay in a state, counted from when it entered it."""

    open_s: float = 10.0  # for the client to send `open`
    closed_s: float = 8.0  # for the server to send `closed`; the client gives up after 10 s
    close_s: float = 10.0  # for the client to send `close` after `disconnect`
    leave_s: float = 5.0  # for the client to end the connection after `closed`

    def of(self, state: SessionState) -> float | None:
        """Returns the deadline of `state`, or None if the state may last."""
        match state:
            case SessionState.BEFORE_OPEN:
                return self.open_s
            case SessionState.CLOSING:
                return self.closed_s
            case SessionState.DISCONNECTING:
                return self.close_s
            case SessionState.CLOSED:
                return self.leave_s
        return None


DEADLINES = SessionDeadlines()
