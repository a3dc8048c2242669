"""Child processes that never outlive the test that starts them, also where it fails."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from typing import Any


@contextlib.asynccontextmanager
async def child(*command: str, **options: Any) -> AsyncIterator[Process]:
    """Starts a command, and kills it at the end of the block if it is still running.

    Args:
        command: the program and its arguments.
        options: those of `asyncio.create_subprocess_exec`.
    """
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()  # closes the pipes too
