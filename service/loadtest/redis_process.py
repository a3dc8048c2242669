"""A Redis of its own for a load test, so that no other has its calls."""

import asyncio
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from pathlib import Path

from service.loadtest import child

ANSWERS_WITHIN_S = 10.0


def free_port() -> int:
    """Returns a TCP port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisProcess:
    """`redis-server` on a free port of loopback, which writes its commands to disk each second."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    async def start(cls, folder: Path) -> "RedisProcess | None":
        """Returns one that answers; None where none is installed or it does not start."""
        program = shutil.which("redis-server")
        if program is None:
            return None
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                while process.returncode is None:
                    if await _answers(port):
                        return cls(process, f"redis://127.0.0.1:{port}/0")
                    await asyncio.sleep(0.02)
        await child.end(process, 1)
        return None

    async def stop(self) -> None:
        """Ends the server process; returns once it has gone."""
        await child.end(self._process, 5)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
