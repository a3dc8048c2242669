import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.forked import Forked
from tests.limits import ENOUGH_S
from tests.service.cli.command import free_port


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A mono recording of 10 s without speech."""
    path = tmp_path / "tone.wav"
    samples = 9000 * np.sin(2 * np.pi * 300 * np.arange(80_000) / 8000)
    soundfile.write(path, samples.astype(np.int16), 8000)
    return path


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service, started and interrupted as a person would."""
    log = tmp_path_factory.mktemp("service") / "log"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"KANJO_BATCH_MAX": "1", "KANJO_LOG_FORMAT": "json"}
    serving = Forked(["serve", "--port", str(port)], {**os.environ, **settings}, log, log)
    try:
        for _ in range(600):
            if _status(f"{url}/readyz") == 200:
                break
            assert serving.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            pytest.fail(f"not ready:\n{log.read_text()}")
        yield url
        serving.send_signal(signal.SIGINT)
        assert serving.wait(ENOUGH_S) == 0, log.read_text()
        events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        running = next(n for n, event in enumerate(events) if "running on" in event)
        assert events.index("ready") > running
    finally:
        serving.kill()
        serving.wait()


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False, verify=False).status_code
    except httpx.TransportError:
        return None
