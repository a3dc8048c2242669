"""The latest values of a track, by their number since the last reset."""

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


class Recent(Generic[T]):
    """The latest frames or samples of a track, in a buffer of fixed size.

    Args:
        least: values that are always kept, before those that come in.
        spare: values that may come in at once, at most.
        shape: of one value.
    """

    def __init__(self, least: int, spare: int, shape: tuple[int, ...], dtype: type[T]) -> None:
        self._least = least
        self._values: NDArray[T] = np.empty((2 * least + spare, *shape), dtype)
        self._first = 0  # the number of the first value here
        self._count = 0

    def extend(self, values: NDArray[Any]) -> None:
        """Takes the next values (n, ...)."""
        if self._count + len(values) > len(self._values):
            kept = min(self._least, self._count)
            self._values[:kept] = self._values[self._count - kept : self._count]
            self._first += self._count - kept
            self._count = kept
        assert self._count + len(values) <= len(self._values), (self._count, len(values))
        self._values[self._count : self._count + len(values)] = values
        self._count += len(values)

    def between(self, first: int, last: int) -> NDArray[T]:
        """Returns a copy of the values [first, last)."""
        assert self._first <= first < last <= self._first + self._count, (first, last)
        return self._values[first - self._first : last - self._first].copy()
