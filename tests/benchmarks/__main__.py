"""Runs every benchmark but long ones, or those that are named: `python -m tests.benchmarks page`.

Ratios are taken within one run, so nothing else should run at the same time.
"""

import sys
from importlib import import_module

from rich.console import Console

NAMES = "features bridges scoring encoder lateness gate page memory redis training".split()
LONG = ["capacity", "fleet"]  # take half an hour, and minutes: only where they are named


def main() -> None:
    console = Console(width=150)
    names = sys.argv[1:] or NAMES
    if unknown := set(names) - {*NAMES, *LONG}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(NAMES + LONG)}")
    for name in names:
        for table in import_module(f"tests.benchmarks.{name}").tables():
            console.print(table)


if __name__ == "__main__":
    main()
