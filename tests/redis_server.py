"""A real Redis server for tests, with its own port and folder; it can be stopped and restarted."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

START_TIMEOUT_S = 10.0


def redis_program() -> str:
    """Returns the path of redis-server, which runs Sentinels too."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("got no redis-server on PATH, expected Redis 6.2 or later installed")
    return program


def free_port() -> int:
    """Returns a port of loopback that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """Runs redis-server as a child process.

    Redis writes every command to its append-only file before it replies, so a stop loses nothing.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port: int = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [redis_program(), "--bind", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--dir", str(folder), "--save", "", "--appendonly", "yes"]
        self._command += ["--appendfsync", "always", *options]
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the server replies to PING; its data are those of the last stop."""
        assert self._process is None, "already started"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                    client.sendall(b"PING\r\n")
                    # Another reply while it loads its data, unless a password hides that.
                    if client.recv(7) in (b"+PONG\r\n", b"-NOAUTH"):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"redis-server did not start: {self._log.read_text()[-500:]}")

    def signal(self, number: signal.Signals) -> None:
        """Sends the running server a signal: SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    def stop(self) -> None:
        """Kills the server; does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
