"""The terminal: where commands print, and how they fail."""

from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

INTERRUPTED = 130  # exit status after Ctrl-C, as a shell has it: 128 + SIGINT

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def report_error(problem: object) -> None:
    """Prints a problem on standard error, in one line that begins with `kanjo:`."""
    err.print(f"kanjo: {problem}", markup=False, soft_wrap=True)


def fail(problem: object, code: int = 1) -> NoReturn:
    """Prints a problem and ends the command with the exit status `code`."""
    report_error(problem)
    raise typer.Exit(code)


def shown(path: Path) -> str:
    """Returns a path as it can be printed: what is not UTF-8 in it is replaced."""
    return str(path).encode(errors="replace").decode()
