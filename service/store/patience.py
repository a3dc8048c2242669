"""Whether to wait with a write that Redis did not apply, or to give it up."""

import re

# Redis's own state: every write fails so, whatever is in it. Versions before 7 put the script's
# name before the code.
STATE_OF_REDIS = re.compile(
    r"\b(OOM|READONLY|LOADING|MISCONF|NOREPLICAS|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|NOSCRIPT"
    r"|CLUSTERDOWN|CROSSSLOT|MOVED|ASK|TRYAGAIN)\b|can't run this command|[Uu]nknown Redis command"
)

# The write's own fault. WRONGTYPE: a key holds data of another program. BADENTRY: write.lua refuses
# it. The rest: write.lua came upon a value that it did not expect.
FAULT_OF_WRITE = re.compile(
    r"\b(WRONGTYPE|BADENTRY)\b|user_script|Lua redis |wrong number of arg|not a valid float"
    r"|not an integer"
)

ATTEMPTS = 20  # of a write that fails for an unknown reason: about a minute and a half


def is_fault_of_write(problem: str) -> bool:
    """Returns whether a write failed for its own fault: others can pass."""
    return not STATE_OF_REDIS.search(problem) and bool(FAULT_OF_WRITE.search(problem))


class Patience:
    """Decides on one write after the other, so that none can hold up the others for ever.

    Redis's state is waited for without end. A write whose own fault it is is given up at once, and
    one that fails for a reason unknown here after `attempts`.
    """

    def __init__(self, attempts: int = ATTEMPTS) -> None:
        self._attempts = attempts
        self._id: int | None = None
        self._failures = 0

    def is_over(self, id: int, problem: str) -> bool:
        """Returns whether to give up the write `id`, which just failed with `problem`."""
        if STATE_OF_REDIS.search(problem):
            return False
        if is_fault_of_write(problem):
            return True
        self._failures = self._failures + 1 if id == self._id else 1
        self._id = id
        return self._failures >= self._attempts
