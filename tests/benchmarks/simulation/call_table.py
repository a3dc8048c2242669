"""The calls of a site that are live or try to connect, as arrays with a row for each."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # (n,) numbers of rows
NOWHERE = -1  # the machine of a call that has no connection
FREE = -1  # the end of a row without a call


class CallTable:
    """Rows of calls; those of calls that are gone are used again.

    `until` is the second at which the telephone call ends, `machine` where it is connected, `kind`
    its provider, `tries` how often it has tried to connect since it last was, `had` whether it ever
    was, `number` a number that no other call has.
    """

    def __init__(self, rows: int = 1024) -> None:
        self.until = np.full(rows, FREE)
        self.machine = np.full(rows, NOWHERE)
        self.kind = np.zeros(rows, np.int64)
        self.tries = np.zeros(rows, np.int64)
        self.had = np.zeros(rows, bool)
        self.number = np.full(rows, -1)
        self._free = np.arange(rows)[::-1].copy()
        self._frees = rows
        self._numbers = 0

    def add(self, until: Rows, kind: Rows) -> Rows:
        """Adds calls without a connection; returns their rows."""
        while self._frees < len(until):
            self._grow()
        self._frees -= len(until)
        rows = self._free[self._frees : self._frees + len(until)].copy()
        self.until[rows], self.kind[rows] = until, kind
        self.machine[rows], self.tries[rows], self.had[rows] = NOWHERE, 0, False
        self.number[rows] = np.arange(self._numbers, self._numbers + len(rows))
        self._numbers += len(rows)
        return rows

    def remove(self, rows: Rows) -> None:
        """Removes the calls of these rows, which may then be used again."""
        self.until[rows], self.machine[rows], self.number[rows] = FREE, NOWHERE, -1
        self._free[self._frees : self._frees + len(rows)] = rows
        self._frees += len(rows)

    def over(self, second: int) -> Rows:
        """Returns the calls that end in this second."""
        return np.flatnonzero(self.until == second)

    def on(self, machines: NDArray[np.bool_]) -> Rows:
        """Returns the calls that are connected to any of the machines that are marked."""
        return np.flatnonzero((self.machine != NOWHERE) & machines[self.machine])

    def __len__(self) -> int:
        return len(self.until) - self._frees

    def _grow(self) -> None:
        size = len(self.until)
        for name in ("until", "machine", "kind", "tries", "had", "number"):
            old = getattr(self, name)
            more = np.full(size, FREE if name in ("until", "machine", "number") else 0, old.dtype)
            setattr(self, name, np.concatenate((old, more)))
        free = np.zeros(2 * size, np.int64)
        free[: self._frees] = self._free[: self._frees]
        free[self._frees : self._frees + size] = np.arange(size, 2 * size)
        self._free, self._frees = free, self._frees + size
