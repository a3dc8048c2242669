import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.child import child
from tests.limits import ENOUGH_S
from tests.service.cli.command import KANJO, free_port, invoke


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "20,10"], "got '20,10', expected ascending numbers: 10,20,40"),
        (["--steps", "ten"], "got 'ten', expected ascending numbers"),
        (["--steps", "0,1"], "got '0,1', expected ascending numbers"),
        (["--arrivals", "many"], "got 'many', expected all or calls a second"),
        (["--arrivals", "-1"], "got '-1', expected all or calls a second"),
        (["--talk", "1.5"], "Invalid value for '--talk'"),
        (["--frame-ms", "5"], "Invalid value for '--frame-ms'"),
        (["--factor", "1"], "Invalid value for '--factor'"),
        (["--bridge", "teams"], "'teams' is not one of"),
    ],
)
def test_bad_arguments_are_a_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    result = invoke("loadtest", *arguments, "--out", tmp_path / "out", TERMINAL_WIDTH=200)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_a_service_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    port = free_port()
    result = invoke("loadtest", "--url", f"ws://127.0.0.1:{port}/calls/native", "--out", tmp_path)
    assert result.exit_code == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"kanjo: no service at http://127.0.0.1:{port}/metrics: ")


async def test_ctrl_c_keeps_what_was_measured(service: str, tmp_path: Path) -> None:
    url = service.replace("http:", "ws:") + "/calls/native"
    out = tmp_path / "out"
    async with asyncio.timeout(ENOUGH_S):
        async with child(
            *KANJO, "loadtest", "--url", url, "--steps", "1,2", "--hold", "1", "--settle", "0",
            "--arrivals", "all", "--bound", "60", "--out", str(out),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ),
        ) as testing:  # fmt: skip
            while not (out / "result.json").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            testing.send_signal(signal.SIGINT)
            stdout, stderr = await testing.communicate()
    kept = json.loads((out / "result.json").read_text())
    assert len(kept["steps"]) >= 1
    assert kept["interrupted"], stderr
    assert testing.returncode == 130
    assert b"Interrupted: what was measured until then." in stdout
    assert b"Traceback" not in stderr
