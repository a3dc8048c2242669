import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from service.access.database import AccessDatabase
from service.access.roles import Role
from tests.child import child
from tests.limits import ENOUGH_S
from tests.service.cli.command import KANJO, free_port


@pytest.mark.campaign
async def test_a_demo_plays_where_access_is_closed_and_prints_a_login_link(
    tmp_path: Path,
) -> None:
    AccessDatabase(tmp_path / "access.sqlite3").create_token("any", Role.VIEWER, None)
    port = free_port()
    own = {"KANJO_PORT": str(port), "KANJO_STATE_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    async with child(
        *KANJO, "demo", env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        async with asyncio.timeout(ENOUGH_S):
            lines = [(await demo.stdout.readline()).decode() for _ in range(2)]
            assert lines[1].startswith(f"http://127.0.0.1:{port}/#login="), lines
            await asyncio.sleep(0.5)  # some of the calls
            demo.send_signal(signal.SIGINT)
            stdout, stderr = await demo.communicate()
        assert demo.returncode == 0, stderr
        rows = dict(line.split(maxsplit=1) for line in stdout.decode().splitlines())
        assert 1 <= int(rows["calls"]) <= 3
        assert rows["errors"].strip() == "none"


async def test_an_interrupted_demo_hangs_up_and_prints_a_summary() -> None:
    port = free_port()
    async with child(
        *KANJO, "demo",
        env={
            **os.environ,
            "KANJO_PORT": str(port),
            "KANJO_NATIVE_TOKEN": "t" * 16,
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        async with asyncio.timeout(ENOUGH_S):
            lines = [(await demo.stdout.readline()).decode() for _ in range(2)]
            assert lines[1] == f"http://127.0.0.1:{port}/ shows the calls; Ctrl-C ends them.\n"
            await asyncio.sleep(0.5)  # some of the calls
            demo.send_signal(signal.SIGINT)
            stdout, stderr = await demo.communicate()
        assert demo.returncode == 0, stderr
        rows = dict(line.split(maxsplit=1) for line in stdout.decode().splitlines())
        assert 1 <= int(rows["calls"]) <= 3
        assert rows["errors"].strip() == "none"
        assert b"Traceback" not in stderr
