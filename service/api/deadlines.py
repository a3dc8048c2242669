"""When a connection must act if no message arrives before, and why."""

from enum import Enum, auto


class Cause(Enum):
    """Why a connection stopped waiting for a message."""

    END_REQUESTED = auto()  # the service ends the connection
    STAGE = auto()  # the bridge's own deadline for its present stage
    START = auto()  # no call has started
    IDLE = auto()  # no message for too long


def next_deadline(
    now_s: float,
    *,
    end_requested: bool,
    stage_by_s: float,
    start_by_s: float,
    idle_s: float,
) -> tuple[float, Cause]:
    """Returns the earliest deadline and its cause; it has passed if it is not after `now_s`.

    Where two fall together, the earlier one in `Cause` counts. All times but `idle_s` are on the
    clock of `now_s`; a deadline that does not apply is infinity.

    Args:
        now_s: when the connection begins to wait for the next message.
        end_requested: the connection is to end now.
        stage_by_s: the bridge's deadline for its present stage.
        start_by_s: by when a call must have started.
        idle_s: seconds without a message after which the client is given up.
    """
    if end_requested:
        return now_s, Cause.END_REQUESTED
    by_s, cause = now_s + idle_s, Cause.IDLE
    if start_by_s <= by_s:
        by_s, cause = start_by_s, Cause.START
    if stage_by_s <= by_s:
        by_s, cause = stage_by_s, Cause.STAGE
    return by_s, cause
