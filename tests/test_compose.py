"""The containers as an operator starts them: built, healthy, with alerts in Redis, stopped."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT, SAMPLES

pytestmark = pytest.mark.docker

COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
# What the shell sets for a service of its own would steer this one too.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("KANJO_")}


def run(*command: str, timeout_s: float, **environ: str) -> str:
    """The command's output; its failure is the test's."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRON | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Stack:
    """The services of docker-compose.yml, under a project name of their own."""

    port: int

    def compose(self, *command: str, timeout_s: float = 60) -> str:
        return run(
            *COMPOSE,
            "--project-name",
            "kanjo-test",
            *command,
            timeout_s=timeout_s,
            KANJO_PORT=str(self.port),
            DOCKER_BUILDKIT=os.environ.get("DOCKER_BUILDKIT", "0"),
        )

    def inspect(self, service: str, what: str) -> str:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        return run("docker", "inspect", "--format", what, container, timeout_s=20).strip()

    def transitions(self) -> list[dict[str, str]]:
        """What the alert stream holds, oldest first."""
        entries = self.compose(
            "exec", "-T", "redis", "redis-cli", "--json", "XRANGE", "kanjo:alerts", "-", "+"
        )
        return [
            dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in json.loads(entries)
        ]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        stack = Stack(free.getsockname()[1])
    stack.compose("down", "--volumes")
    try:
        stack.compose("build", "kanjo", timeout_s=900)
        stack.compose("up", "--detach", "redis", "kanjo", timeout_s=120)
        deadline = time.monotonic() + 180
        while (health := stack.inspect("kanjo", "{{.State.Health.Status}}")) != "healthy":
            assert health == "starting", stack.compose("logs", "--no-color")
            assert time.monotonic() < deadline, stack.compose("logs", "--no-color")
            time.sleep(1)
        yield stack
    finally:
        stack.compose("down", "--volumes", timeout_s=120)


@pytest.fixture(autouse=True)
def logs(stack: Stack) -> Iterator[None]:
    """Printed after each test; pytest shows them where it failed."""
    yield
    sys.stdout.write(stack.compose("logs", "--no-color"))


def test_an_angry_call_reaches_the_redis_of_the_compose_file(stack: Stack) -> None:
    recordings = sorted(SAMPLES.glob("*ang*.flac"))
    assert recordings, "no sample call that sounds angry in service/replay/samples"
    kanjo = str(Path(sys.executable).with_name("kanjo"))
    calls = ["--calls", str(len(recordings)), *map(str, recordings)]
    run(
        kanjo, "replay", "--url", f"ws://127.0.0.1:{stack.port}/calls/native", *calls, timeout_s=300
    )

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        steps = [(step["emotion"], step["state"]) for step in stack.transitions()]
        if ("anger", "firing") in steps:
            break
        time.sleep(0.5)
    assert ("anger", "firing") in steps


def test_the_service_runs_without_root_from_the_installed_copy_alone(stack: Stack) -> None:
    where = "import os, service; print(os.getuid(), service.__file__)"
    uid, path = stack.compose("exec", "-T", "kanjo", "python", "-c", where).split()
    assert uid != "0"
    assert path.startswith("/opt/kanjo/")


def test_a_stop_is_graceful(stack: Stack) -> None:
    stack.compose("stop", "kanjo")
    assert stack.inspect("kanjo", "{{.State.ExitCode}}") in {"0", "143"}  # 137 is a kill
