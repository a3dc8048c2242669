"""Shows the progress of long loops on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

PLAIN_INTERVAL_S = 30.0  # without a terminal, shortest time from one line to the next


class ProgressBar:
    """The progress of one loop, shown while the context is open."""

    def __init__(
        self,
        name: str,
        total: int,
        completed: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._console = Console(stderr=True, highlight=False)
        self._plain = not self._console.is_terminal
        self._clock = clock
        self._printed_at_s = clock()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=self._console,
            disable=self._plain,
            redirect_stdout=sys.stdout.isatty(),  # else it would get to stderr, past a pipe
            get_time=clock,
        )
        self._task = self._bars.add_task(name, total=total, completed=completed, note="")

    def __enter__(self) -> "ProgressBar":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._plain:
            self._print_line()
        else:
            self._bars.stop()

    def update(self, completed: int, *, total: int | None = None, note: str = "") -> None:
        """Sets the number of completed items, and the total where it has changed."""
        self._bars.update(self._task, completed=completed, total=total, note=note)
        if self._plain and self._clock() - self._printed_at_s >= PLAIN_INTERVAL_S:
            self._print_line()

    def advance(self, note: str = "") -> None:
        """Adds one completed item."""
        self.update(int(self._bars.tasks[0].completed) + 1, note=note)

    def _print_line(self) -> None:
        task = self._bars.tasks[0]
        note = f", {task.fields['note']}" if task.fields["note"] else ""
        line = f"{self._name}: {task.completed:.0f} of {task.total:.0f}{note}"
        self._console.print(line, markup=False, soft_wrap=True)
        self._printed_at_s = self._clock()


def track(items: Iterable[T], name: str, total: int, completed: int = 0) -> Iterator[T]:
    """Yields the items and shows how many of `total` were consumed, `completed` of them before."""
    with ProgressBar(name, total, completed) as bar:
        for item in items:
            yield item
            bar.advance()
