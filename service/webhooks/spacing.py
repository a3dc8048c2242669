"""At most one notice of a call in so many seconds."""

MOST_CALLS = 10_000  # whose last slot is remembered; then the oldest are forgotten


class Spacing:
    """Gives each notice of a call a moment, one `gap_s` after that of the notice before.

    Args:
        gap_s: seconds between two notices of a call; 0: no limit.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._last: dict[str, float] = {}  # by session

    def slot(self, session: str, now: float) -> float:
        """Returns when the next notice of a call may go, and takes that moment."""
        if not self._gap_s:
            return now
        at = max(now, self._last.pop(session, now - self._gap_s) + self._gap_s)
        self._last[session] = at
        while len(self._last) > MOST_CALLS:
            del self._last[next(iter(self._last))]
        return at

    def give_back(self, session: str) -> None:
        """Makes the last moment that a call was given free again."""
        if session in self._last:
            self._last[session] -= self._gap_s
