"""The service that is tested: one that runs somewhere, or a process that the load test starts."""

import asyncio
import os
import resource
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import httpx

from service.errors import KanjoError, ServiceUnreachable
from service.loadtest import child
from service.loadtest.probe import Probe
from service.loadtest.redis_process import RedisProcess, free_port

READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 40.0
UNLIMITED = 100_000  # calls, where the load test looks for the limit
# Settings of the environment that a service under test does not take: where it listens and who may
# call it, and whatever others would notice of its calls.
NOT_INHERITED = frozenset(
    "KANJO_" + name.upper()
    for name in (
        *("host", "port", "state_dir", "log_level", "max_calls", "max_connections"),
        *("max_connections_per_address", "public_url", "redis_url", "webhooks", "token"),
        *("audiosocket_caller_port", "audiosocket_agent_port", "proxy_user_header"),
        *("proxy_addresses", "oidc_issuer", "oidc_client_id", "oidc_client_secret"),
        *("oidc_client_secret_file", "redis_url_file", "metrics_token", "metrics_token_file"),
        "consent",
    )
)


class ServiceEnded(KanjoError):
    """The service under test could not start, or has ended by itself; the text states why."""


class Target(ABC):
    """The service under test.

    `url` is where calls connect to, `probe` reads its metrics, `pid` is its process if it is on
    this machine and known, `description` names it.
    """

    url: str
    probe: Probe
    restarts = False  # whether `start` takes how many calls are admitted
    pid: int | None = None
    description: str = ""

    @abstractmethod
    async def start(self, max_calls: int | None) -> None:
        """Starts the service, or starts it again, so that it admits so many calls; None: any.

        Does nothing where it can't be restarted.

        Raises:
            ServiceEnded: it did not get ready.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Ends the processes that `start` has started, if it started any."""


class RunningService(Target):
    """A service that runs already, here or elsewhere.

    Args:
        url: ws:// or wss://, where calls connect to.
        metrics: of its /metrics; by default of the same host and port.
    """

    def __init__(self, url: str, metrics: str | None, token: str | None) -> None:
        self.url = url
        address = urlsplit(url)
        scheme = "https" if address.scheme == "wss" else "http"
        self.probe = Probe(metrics or f"{scheme}://{address.netloc}/metrics", token)
        self.description = f"the service at {url}"

    async def start(self, max_calls: int | None) -> None:
        """Does nothing: it runs already."""

    async def stop(self) -> None:
        """Does nothing: others started it."""


class ServiceProcess(Target):
    """`kanjo serve` on a free port of loopback, with a folder and a Redis of its own.

    Settings come from the environment, but for those of `NOT_INHERITED`.

    Args:
        redis_url: of its Redis; None starts a redis-server, or where there is none leaves calls in
            the service's own memory.
        folder: for state and Redis; emptied by whoever made it.
        log: where its log goes.
    """

    restarts = True

    def __init__(
        self,
        bridge: str,
        redis_url: str | None,
        folder: Path,
        log: IO[bytes],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._bridge = bridge
        self._redis_url = redis_url
        self._folder = folder
        self._log = log
        self._environ = environ
        self._process: Process | None = None
        self._redis: RedisProcess | None = None
        self._starts = 0
        self._port = free_port()
        self.url = f"ws://127.0.0.1:{self._port}/calls/{bridge}"
        self.probe = Probe(f"http://127.0.0.1:{self._port}/metrics")

    async def start(self, max_calls: int | None) -> None:
        if self._redis_url is None and self._redis is None:
            (self._folder / "redis").mkdir()
            self._redis = await RedisProcess.start(self._folder / "redis")
        await self._end()
        self._starts += 1
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # children inherit it
        own: dict[str, object] = {
            "HOST": "127.0.0.1",
            "PORT": self._port,
            "STATE_DIR": self._folder / f"state-{self._starts}",
            "LOG_LEVEL": "warning",
            "MAX_CALLS": max_calls or UNLIMITED,
            "MAX_CONNECTIONS": UNLIMITED,
            "MAX_CONNECTIONS_PER_ADDRESS": UNLIMITED,
        }
        redis_url = self._redis.url if self._redis else self._redis_url
        if redis_url:
            own["REDIS_URL"] = redis_url
        if self._bridge == "vonage":  # which mixes all speakers; here the caller is the only one
            own["ANALYSE_MIX"] = True
        environ = {k: v for k, v in self._environ.items() if k not in NOT_INHERITED}
        environ |= {f"KANJO_{name}": str(value) for name, value in own.items()}
        self._process = await child.start_module(
            "service.cli", "serve", environ=environ, log=self._log
        )
        self.pid = self._process.pid
        store = "redis-server" if self._redis else "Redis" if redis_url else "its own memory"
        self.description = f"kanjo serve on this machine; calls kept in {store}"
        await self._ready(f"http://127.0.0.1:{self._port}/readyz")

    async def stop(self) -> None:
        await self._end()
        if self._redis:
            await self._redis.stop()
            self._redis = None

    async def _end(self) -> None:
        if self._process:
            await child.end(self._process, STOPPED_WITHIN_S)
            self._process = None

    async def _ready(self, url: str) -> None:
        assert self._process is not None
        deadline_s = asyncio.get_running_loop().time() + READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as client:
            while self._process.returncode is None:
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                if asyncio.get_running_loop().time() > deadline_s:
                    raise ServiceUnreachable(url, f"not ready within {READY_WITHIN_S:.0f} s")
                await asyncio.sleep(0.1)
        raise ServiceEnded("the service under test did not start; loadtest.log gives the reason")
