"""The containers as an operator starts them: built, healthy, with alerts in Redis, stopped."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from model import MODELS
from tests.limits import ENOUGH_S
from tests.paths import ROOT, SAMPLES

pytestmark = pytest.mark.docker

COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
# What the shell sets for a service of its own would steer this one too.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("KANJO_")}
PASSWORD = "0123456789abcdef"


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

    def compose(self, *command: str, timeout_s: float = 60, **environ: str) -> str:
        return run(
            *COMPOSE,
            "--project-name",
            "kanjo-test",
            *command,
            timeout_s=timeout_s,
            KANJO_PORT=str(self.port),
            REDIS_PASSWORD=PASSWORD,
            DOCKER_BUILDKIT=os.environ.get("DOCKER_BUILDKIT", "0"),
            **environ,
        )

    def start(self, model: str) -> None:
        """Starts the services, or the one that has another model; returns when all are ready."""
        self.compose("up", "--detach", "redis", "kanjo", timeout_s=120, KANJO_MODEL=model)
        deadline = time.monotonic() + ENOUGH_S
        while (health := self.inspect("kanjo", "{{.State.Health.Status}}")) != "healthy":
            assert health == "starting", self.compose("logs", "--no-color")
            assert time.monotonic() < deadline, self.compose("logs", "--no-color")
            time.sleep(1)
        while not self.is_ready():
            assert time.monotonic() < deadline, self.compose("logs", "--no-color")
            time.sleep(1)

    def inspect(self, service: str, what: str) -> str:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        return run("docker", "inspect", "--format", what, container, timeout_s=20).strip()

    def is_ready(self) -> bool:
        """Returns whether the service takes calls."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

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
        # Debian's Redis, which may stand in for the official image, has no folder /data of its own.
        run(
            *("docker", "run", "--rm", "--volume", "kanjo-test_redis:/data", "redis:7"),
            *("chown", "redis:", "/data"),
            timeout_s=60,
        )
        stack.compose("build", "kanjo", timeout_s=900)
        stack.start(next(iter(MODELS)))
        yield stack
    finally:
        stack.compose("down", "--volumes", timeout_s=120)


@pytest.fixture(autouse=True)
def logs(stack: Stack) -> Iterator[None]:
    """Printed after each test; pytest shows them where it failed."""
    yield
    sys.stdout.write(stack.compose("logs", "--no-color"))


@pytest.mark.parametrize("model", MODELS)
def test_an_angry_call_reaches_the_redis_of_the_compose_file(stack: Stack, model: str) -> None:
    stack.start(model)
    before = len(stack.transitions())
    recordings = sorted(SAMPLES.glob("*ang*.flac"))
    assert recordings, "no sample call that sounds angry in service/replay/samples"
    kanjo = str(Path(sys.executable).with_name("kanjo"))
    calls = ["--calls", str(len(recordings)), *map(str, recordings)]
    run(
        kanjo, "replay", "--url", f"ws://127.0.0.1:{stack.port}/calls/native", *calls, timeout_s=300
    )

    deadline = time.monotonic() + ENOUGH_S
    while time.monotonic() < deadline:
        steps = [(step["emotion"], step["state"]) for step in stack.transitions()[before:]]
        if ("anger", "firing") in steps:
            break
        time.sleep(0.5)
    assert ("anger", "firing") in steps


def test_the_service_runs_without_root_from_the_installed_copy_alone(stack: Stack) -> None:
    where = "import os, service; print(os.getuid(), service.__file__)"
    uid, path = stack.compose("exec", "-T", "kanjo", "python", "-c", where).split()
    assert uid != "0"
    assert path.startswith("/opt/kanjo/")


def test_without_a_password_nothing_starts_and_a_sentence_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)  # no .env beside it
    environ = {name: value for name, value in ENVIRON.items() if name != "REDIS_PASSWORD"}
    refused = subprocess.run(
        [*COMPOSE, "config"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )
    assert refused.returncode != 0
    assert "put a password for Redis" in refused.stderr


def test_redis_wants_the_password_and_evicts_nothing(stack: Stack) -> None:
    cli = ("exec", "-T", "redis", "redis-cli")
    strangers = ("exec", "-T", "redis", "env", "-u", "REDISCLI_AUTH", "redis-cli")
    assert "NOAUTH" in stack.compose(*strangers, "ping")
    assert stack.compose(*cli, "CONFIG", "GET", "maxmemory-policy").split()[1] == "noeviction"
    assert int(stack.compose(*cli, "CONFIG", "GET", "maxmemory").split()[1]) == 2**30
    assert stack.compose(*cli, "CONFIG", "GET", "appendonly").split()[1] == "yes"
    assert PASSWORD not in stack.inspect("redis", "{{.Config.Cmd}}")


@pytest.mark.parametrize("service", ["redis", "kanjo"])
def test_a_container_has_no_more_than_it_needs(stack: Stack, service: str) -> None:
    host = json.loads(stack.inspect(service, "{{json .HostConfig}}"))
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["MemorySwap"] == host["Memory"]
    assert host["PidsLimit"] > 0
    assert host["NanoCpus"] > 0

    status = stack.compose("exec", "-T", service, "cat", "/proc/1/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split()[0] != "0"
    assert int(fields["CapBnd"], 16) == 0
    where = "for f in / /etc /usr /opt /tmp; do test -w $f && echo $f; done; true"
    assert stack.compose("exec", "-T", service, "sh", "-c", where).split() == ["/tmp"]


def test_an_upload_that_goes_through_tmp_is_classified(stack: Stack) -> None:
    create = ("token", "create", "test", "--role", "operator")
    found = re.search(r"^kanjo_\S+$", stack.compose("exec", "-T", "kanjo", "kanjo", *create), re.M)
    assert found
    second = b"\0" * 16_000
    size = 300 * len(second)  # larger than what is kept in memory
    header = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data"
    answer = httpx.post(
        f"http://127.0.0.1:{stack.port}/classify",
        files={"file": ("quiet.wav", header + struct.pack("<I", size) + second * 300)},
        headers={"Authorization": f"Bearer {found[0]}"},
        timeout=ENOUGH_S,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["duration_s"] == 300


def test_a_stop_is_graceful(stack: Stack) -> None:
    stack.compose("stop", "kanjo")
    assert stack.inspect("kanjo", "{{.State.ExitCode}}") in {"0", "143"}  # 137 is a kill
