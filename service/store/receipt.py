"""A receipt for an entry: whether it is kept yet."""

from collections.abc import Callable


class Receipt:
    """Says when an entry is kept: Redis has received it, or it is on disk."""

    __slots__ = ("_callback", "_kept")

    def __init__(self) -> None:
        self._kept = False
        self._callback: Callable[[], None] | None = None

    @property
    def kept(self) -> bool:
        return self._kept

    def when_kept(self, callback: Callable[[], None]) -> None:
        """Sets the function that is called once, at the moment the entry is kept."""
        self._callback = callback

    def forget(self) -> None:
        """Removes the callback that `when_kept` has set."""
        self._callback = None

    def keep(self) -> None:
        """Records that the entry is kept; does nothing if that is known."""
        if self._kept:
            return
        self._kept = True
        callback, self._callback = self._callback, None
        if callback:
            callback()
