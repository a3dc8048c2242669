"""Python programs as child processes that a Ctrl-C of the terminal does not reach."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import service

_ROOT = str(Path(service.__file__).parents[1])
LINE_BYTES = 16 * 2**20  # of a child's output at most: a tally holds a second of all calls


async def start_module(
    name: str,
    *arguments: str,
    environ: Mapping[str, str] = os.environ,
    talks: bool = False,
    log: IO[bytes] | None = None,
) -> Process:
    """Starts `python -m NAME` with the packages of this process.

    Args:
        environ: all of its environment.
        talks: whether its standard input and output are pipes; else `log` is its output.
        log: where its errors go.
    """
    path = os.pathsep.join(filter(None, (_ROOT, environ.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", name, *arguments),
        env={**environ, "PYTHONPATH": path},
        stdin=PIPE if talks else asyncio.subprocess.DEVNULL,
        stdout=PIPE if talks else log,
        stderr=log,
        start_new_session=True,
        limit=LINE_BYTES,
    )


async def end(process: Process, within_s: float) -> None:
    """Terminates a child, and kills it if it has not ended by then.

    Its own `terminate` would reap one that has just ended, of which asyncio then warns.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
