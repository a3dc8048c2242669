"""Defines the option `kanjo --version`, which prints the name and version of what is installed."""

from importlib.metadata import version

import typer


def print_version(given: bool) -> None:
    """Prints the name and the version of the installed distribution, and ends the command."""
    if given:
        typer.echo(f"kanjo {version('kanjo')}")
        raise typer.Exit
