"""The whole service in a thread of the test: real uvicorn, real model, real sockets."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from websockets.sync.client import ClientConnection, connect

from model.audio import mulaw_encode
from model.labels import EMOTIONS
from service.api.services import Services
from service.app import create_app
from service.events import Pcm
from service.scoring import torch_scorer as scorer
from service.server import Server
from service.settings import Settings
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES

ANGRY: Pcm = soundfile.read(SAMPLES / "sounds-angry.flac", dtype="int16")[0]  # (n, 2) at 8 kHz
SPOKEN = ANGRY[:, 0][: 9 * 8000]  # the caller, with a pause

USUAL = {"batch_max": 4, "drain_s": 0, "max_speed": 1000}  # recordings are sent at once


class Running(Server):
    """A service in a thread, and clients of it."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        super().__init__(self.app, settings)
        self.config.port = 0
        self.thread = threading.Thread(target=self.run)

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    @contextmanager
    def limits(self, **limits: float) -> Iterator[None]:
        """Gives the routes other limits (fields of `Services`) within the block."""
        usual = self.services
        self.app.state.services = replace(usual, **limits)  # type: ignore[arg-type]
        try:
            yield
        finally:
            self.app.state.services = usual

    @property
    def address(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def client(self) -> httpx.Client:
        """Returns a client, which reads no certificates: that costs 30 ms each time."""
        return httpx.Client(
            base_url=f"http://{self.address}", trust_env=False, verify=False, timeout=ENOUGH_S
        )

    def get(self, path: str, **more: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **more)

    def metric(self, line: str) -> float:
        """The value of one line of /metrics, named with its labels."""
        (value,) = (
            text.removeprefix(f"{line} ")
            for text in self.get("/metrics").text.splitlines()
            if text.startswith(f"{line} ")
        )
        return float(value)

    def socket(self, path: str = "/calls/native", **more: Any) -> ClientConnection:
        options: dict[str, Any] = {"compression": None, "proxy": None, **more}
        return connect(f"ws://{self.address}{path}", **options)

    def tasks(self) -> int:
        """Returns the number of tasks in the event loop."""
        counted: list[int] = []
        done = threading.Event()

        def count() -> None:
            counted.append(len(asyncio.all_tasks()))
            done.set()

        self.servers[0].get_loop().call_soon_threadsafe(count)
        assert done.wait(ENOUGH_S)
        return counted[0]


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    with TemporaryDirectory() as state:  # so that no test sees another's tokens and logins
        usual = {**USUAL, "state_dir": state}
        server = Running(Settings.model_validate({**usual, **settings}))
        server.thread.start()
        try:
            until(lambda: server.started)
            yield server
        finally:
            server.should_exit = True
            server.thread.join()


def ready(server: Running) -> Running:
    until(lambda: server.get("/readyz").status_code == 200)
    return server


def until(condition: Callable[[], bool], within_s: float = ENOUGH_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """A service in which every call raises one alert per emotion."""
    always = {f"{emotion}_{at}": 0 for emotion in EMOTIONS[:2] for at in ("fire_at", "clear_at")}
    with running(**always, hold_s=0) as server:
        yield ready(server)


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service whose model is not warmed up."""
    warm = threading.Event()
    monkeypatch.setattr(scorer.TorchScorer, "warm_up", lambda _: warm.wait())
    with running() as server:
        try:
            yield server
        finally:
            warm.set()


def start(call_id: str, **more: Any) -> str:
    usual = {"encoding": "mulaw", "sample_rate": 8000, "tracks": ["caller"]}
    return json.dumps({"type": "start", "call_id": call_id, **usual, **more})


STOP = '{"type": "stop"}'


def speak(socket: ClientConnection, pcm: Pcm = SPOKEN) -> None:
    """Sends samples (n,) or (n, tracks) as mu-law, faster than real time."""
    for at in range(0, len(pcm), 4000):
        socket.send(mulaw_encode(np.ascontiguousarray(pcm[at : at + 4000])).tobytes())


def receive_until(socket: ClientConnection, last: str = "stopped") -> list[dict[str, Any]]:
    """Returns the messages up to the first of type `last`."""
    messages = []
    while not messages or messages[-1]["type"] != last:
        messages.append(json.loads(socket.recv(timeout=ENOUGH_S)))
    return messages


def call(server: Running, call_id: str, pcm: Pcm = SPOKEN, **more: Any) -> list[dict[str, Any]]:
    """Makes a whole call and returns all messages of the service."""
    with server.socket() as socket:
        socket.send(start(call_id, **more))
        speak(socket, pcm)
        socket.send(STOP)
        return receive_until(socket)


def readings(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == "reading"]


@pytest.fixture
def no_error_logged(service: Running, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Asserts that nothing is logged as an error, whatever a client does."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record.getMessage() for record in caplog.records] == []
