"""Commands of Kanjo in processes of their own, forked from one that has imported what they need.

Importing torch and FastAPI takes a command 4.5 s of a core, and tests start dozens. Everything else
is as if the command were typed: environment, signals, files, exit status.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Protocol

from tests.limits import ENOUGH_S
from tests.paths import ROOT

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["service.server", "service.app", "service.cli.main"])


class Running(Protocol):
    """A running command, with what tests use of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float = ...) -> int: ...

    def send_signal(self, number: signal.Signals, /) -> None: ...

    def kill(self) -> None: ...


def typed(
    arguments: Sequence[str], environ: Mapping[str, str], out: Path, errors: Path
) -> subprocess.Popen[bytes]:
    """Starts the command as if it were typed, for what measures memory and time to start."""
    command = [sys.executable, "-m", "service.cli", *arguments]
    with out.open("ab") as of_out, errors.open("ab") as of_errors:
        return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=of_out, stderr=of_errors)


class Forked:
    """`python -m service.cli` with these arguments, with the interface of `subprocess.Popen`.

    Args:
        environ: all of its environment.
        out, errors: files to which its output and its errors are appended.
    """

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], out: Path, errors: Path
    ) -> None:
        self._process: ForkServerProcess = _FORKS.Process(
            target=_run, args=(list(arguments), dict(environ), out, errors), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float = ENOUGH_S) -> int:
        """Returns the exit status; raises TimeoutExpired after so many seconds."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired("kanjo", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: Sequence[str], environ: Mapping[str, str], out: Path, errors: Path) -> None:
    """Becomes the command, in the forked process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for number, path in ((1, out), (2, errors)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["kanjo", *arguments]
    runpy.run_module("service.cli", run_name="__main__")
