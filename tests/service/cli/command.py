"""Runs the command `kanjo` in this process or in one of its own."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from typer.testing import CliRunner, Result

from service.cli.main import app
from service.replay.demo import SAMPLES
from tests.forked import Forked

KANJO = [sys.executable, "-m", "service.cli"]
ANGRY = str(SAMPLES[0])


def invoke(*arguments: object, **environ: object) -> Result:
    """Runs the command in this process."""
    env = {name: str(value) for name, value in environ.items()}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def run(*arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    given = [str(argument) for argument in arguments]
    env = {**os.environ, **{name: str(value) for name, value in environ.items()}}
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        code = Forked(given, env, out, errors).wait()
        return subprocess.CompletedProcess(given, code, out.read_text(), errors.read_text())


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
