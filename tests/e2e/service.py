"""The real service as a child process: started, queried, stopped, killed."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.forked import Forked, Running
from tests.limits import ENOUGH_S

STOPPED_WITHIN_S = 35.0  # drain_s is 20


async def until(condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Returns as soon as the condition holds; raises TimeoutError after `within_s`."""
    async with asyncio.timeout(within_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


class Service:
    """`kanjo serve` on a free port with these settings; every start uses the same state folder.

    At the end of a block without an error it is stopped as by a supervisor, and its log must have
    no traceback.
    """

    begin: Callable[..., Running] = Forked

    def __init__(self, state: Path, **settings: object) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}/calls/native"
        # Recordings may be sent at any speed, and small batches are warm soon.
        usual = {"max_speed": 1000, "batch_max": 8}
        own = {"port": self.port, "state_dir": state / "var", **usual, **settings}
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("KANJO_")}
        self._environ |= {f"KANJO_{name.upper()}": str(value) for name, value in own.items()}
        # Beyond loopback only who has a token reads the metrics.
        token = settings.get("metrics_token")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._log = state / "service.log"
        self._process: Running | None = None

    def start(self, until: str = "/readyz") -> None:
        """Starts the process and returns when GET `until` responds with 200."""
        assert self._process is None, "already started"
        self._process = self.begin(["serve"], self._environ, self._log, self._log)
        deadline = time.monotonic() + ENOUGH_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if self._status_of(until) == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the service did not start:\n{self.log}")

    def _status_of(self, path: str) -> int:
        # Without `verify=False` each request would read all certificates, which takes 30 ms.
        answer = httpx.get(self.url + path, trust_env=False, verify=False, timeout=5)
        return answer.status_code

    def stop(self, within_s: float = STOPPED_WITHIN_S) -> None:
        """Stops the process as a supervisor does; asserts that it ends in time without an error."""
        self.signal(signal.SIGTERM)
        self.stopped(within_s)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stopped(self, within_s: float = STOPPED_WITHIN_S) -> None:
        """Asserts that the process, signalled before, ends in time without an error."""
        assert self._process is not None
        try:
            code = self._process.wait(within_s)
        finally:
            self.kill()
        assert code == 0, f"the service ended with exit code {code}:\n{self.log}"
        assert "Traceback" not in self.log, self.log

    def kill(self) -> None:
        """Kills the process, as a power failure does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._process is not None:
                self.stop()
        finally:
            self.kill()
            print(self.log)  # pytest shows it where a test failed  # noqa: T201

    # What it reports.

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, headers=self._headers, trust_env=False, verify=False, timeout=30
        )

    async def metric(self, name: str) -> float:
        """Returns the sum over all labels; 0 if nothing was counted yet."""
        async with self.client() as client:
            text = (await client.get("/metrics")).text
        assert f"# TYPE {name.removesuffix('_total')}" in text, f"got no {name} in:\n{text}"
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.replace("{", " ").split()[0] == name
        )

    async def labelled(self, line: str) -> float:
        """Returns the value of one line of /metrics; 0 if nothing was counted yet."""
        async with self.client() as client:
            text = (await client.get("/metrics")).text
        (value,) = [
            found.removeprefix(line) for found in text.splitlines() if found.startswith(line)
        ] or ["0"]
        return float(value)

    async def live(self) -> list[str]:
        """Returns the ids of the calls that are live in the store."""
        async with self.client() as client:
            page = (await client.get("/v1/calls", params={"limit": 1000})).json()
        return [call["call_id"] for call in page["calls"] if call["state"] == "live"]

    async def ready(self) -> bool:
        async with self.client() as client:
            return (await client.get("/readyz")).status_code == 200

    async def degraded(self) -> list[str]:
        """Returns what /readyz says is wrong."""
        async with self.client() as client:
            return [problem["what"] for problem in (await client.get("/readyz")).json()["degraded"]]

    # What it costs.

    def _status(self, name: str) -> int:
        assert self._process is not None
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise AssertionError(f"got no {name}")

    @property
    def rss_mb(self) -> float:
        return self._status("VmRSS") / 1024

    @property
    def cpu_s(self) -> float:
        """Returns the seconds that its threads have computed since its start."""
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")  # of user and system

    @property
    def threads(self) -> int:
        return self._status("Threads")

    @property
    def files(self) -> int:
        """Returns the number of open files, sockets included."""
        assert self._process is not None
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))
