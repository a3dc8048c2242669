"""Runs the command `kanjo` in this process or in one of its own."""

import os
import socket
import subprocess
import sys
from typing import Any

from rich.console import Console
from typer.testing import CliRunner, Result

from service.cli.main import app
from service.replay.demo import SAMPLES
from tests.limits import ENOUGH_S

KANJO = [sys.executable, "-m", "service.cli"]
ANGRY = str(SAMPLES[0])


def invoke(*arguments: object, **environ: object) -> Result:
    """Runs the command in this process."""
    env = {name: str(value) for name, value in environ.items()}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def run(*arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return subprocess.run(
        [*KANJO, *map(str, arguments)],
        env={**os.environ, **{name: str(value) for name, value in environ.items()}},
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def printed(renderable: Any) -> str:
    """Returns what rich prints, 100 columns wide, without colours."""
    console = Console(width=100, record=True, file=open(os.devnull, "w"))
    with console.file:
        console.print(renderable)
    return console.export_text()
