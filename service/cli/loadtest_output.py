"""What `loadtest` prints: a bar while it runs, a table at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from service.cli.console import err

if TYPE_CHECKING:
    from service.loadtest.result import Result
    from service.loadtest.run import Progress as Done

COLUMNS = (  # of HEADERS: as many as 80 characters have room for; result.md has all
    *("calls", "verdict", "p50 ms", "p95 ms", "dropped", "refused"),
    *("service CPU", "scorer", "generator"),
)
STYLES = {"held": "green", "broken": "red", "not counted": "yellow"}


@contextmanager
def progress_bar() -> Iterator[Callable[["Done"], None]]:
    """Yields what shows how far a phase is, in a line on standard error."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f} of at most {task.total:.0f} s"),
    )
    with Progress(*columns, console=err, transient=True, refresh_per_second=2) as shown:
        task = shown.add_task("starting", total=1)

        def show(done: "Done") -> None:
            shown.update(task, description=done.phase, completed=done.done_s, total=done.total_s)

        yield show


def result_table(result: "Result") -> Table:
    """Returns a table of the result, with one row for each step."""
    from service.loadtest.table import HEADERS, rows

    table = Table(box=None, pad_edge=False, title=result.target, title_justify="left")
    for header in COLUMNS:
        table.add_column(header, justify="left" if header == "verdict" else "right")
    for cells in rows(result):
        named = dict(zip(HEADERS, cells, strict=True))
        table.add_row(*(named[name] for name in COLUMNS), style=STYLES.get(named["verdict"]))
    return table
