import asyncio
import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import soundfile

from service.cli import options
from service.events import Track
from service.replay.player import CLIENTS
from tests.child import child
from tests.limits import ENOUGH_S
from tests.paths import ROOT
from tests.service.cli.command import ANGRY, KANJO, free_port, invoke, run
from tests.service.replay.native_service import NativeService, serving
from tests.service.replay.provider_service import AUTHENTICATORS, SECRET, ProviderService


def test_replay_at_a_refused_port_is_one_sentence(tone: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}/calls/native"
    ended = run("replay", tone, "--url", url)
    assert ended.returncode == 1
    assert ended.stderr == f"kanjo: no service at {url}: Connection refused\n"
    assert ended.stdout == ""


def test_replay_of_a_file_that_is_no_recording_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("[red]no sound")
    result = invoke("replay", tmp_path / "notes.txt")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"kanjo: {tmp_path}/notes.txt: ")


def test_replay_offers_every_bridge() -> None:
    assert get_args(options.Bridge) == options.BRIDGES == tuple(sorted(CLIENTS))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--encoding", "l16"], "twilio: got encoding l16, expected mulaw"),
        (["--user", "u"], "twilio: got access by user, expected secret, token, public_url or none"),
    ],
)
def test_replay_as_no_provider_calls_is_one_sentence(
    arguments: list[str], sentence: str, tone: Path
) -> None:
    result = invoke("replay", tone, "--bridge", "twilio", *arguments)
    assert result.exit_code == 1
    assert result.stderr == f"kanjo: {sentence}\n"


async def test_replay_as_a_bridge_prints_what_it_does_not_get(tone: Path) -> None:
    provider = ProviderService("telnyx", authenticator=AUTHENTICATORS["telnyx"]())
    async with provider.serving() as url:
        async with child(
            *KANJO, "replay", str(tone), "--bridge", "telnyx", "--url", url, "--speed", "50",
            "--encoding", "alaw",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "REPLAY_TOKEN": SECRET},
        ) as replaying:  # fmt: skip
            stdout, stderr = await replaying.communicate()
    assert replaying.returncode == 0, stderr
    text = stdout.decode()
    assert "this bridge gets none; see the dashboard" in text
    assert "readings" not in text
    assert len(provider.pcm(Track.CALLER)) == 80_000


def test_replay_calls_the_path_of_its_bridge_unless_given_another(
    tone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    async def played(recordings: object, url: str, **_: object) -> None:
        called.append(url)  # a test must not connect to whatever listens at port 8000

    monkeypatch.setattr("service.replay.player.replay", played)
    monkeypatch.delenv("KANJO_PORT", raising=False)
    for arguments in ([], ["--bridge", "plivo"], ["--url", "ws://kanjo.example.com/"]):
        result = invoke("replay", tone, *arguments)
        assert result.exit_code == 0, result.output
    assert called == [
        "ws://127.0.0.1:8000/calls/native",
        "ws://127.0.0.1:8000/calls/plivo",
        "ws://kanjo.example.com/",
    ]
    monkeypatch.setenv("KANJO_PORT", "9001")
    assert invoke("replay", tone).exit_code == 0
    assert called[-1] == "ws://127.0.0.1:9001/calls/native"


async def test_replay_prints_alerts_and_a_summary(tone: Path) -> None:
    async with serving(NativeService(fires=True)) as url:
        async with child(
            *KANJO, "replay", str(tone), "--url", url, "--calls", "2", "--speed", "50",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as replaying:  # fmt: skip
            stdout, stderr = await replaying.communicate()
    assert replaying.returncode == 0, stderr
    text = stdout.decode()
    assert text.count("firing    sounds angry (0.83)") == 2
    assert "anger 2" in text
    assert "lateness p99" in text


async def test_replay_of_a_folder_plays_all_but_what_can_not_be_read(tone: Path) -> None:
    shutil.copy(tone, tone.parent / "second.wav")
    (tone.parent / "third.wav").write_bytes(b"RIFF")
    async with serving(NativeService()) as url:
        async with child(
            *KANJO, "replay", str(tone.parent), "--url", url, "--speed", "50",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as replaying:  # fmt: skip
            stdout, stderr = await replaying.communicate()
    assert replaying.returncode == 1
    assert stderr.decode().startswith(f"kanjo: {tone.parent}/third.wav: got unreadable audio")
    assert "20.0 s" in stdout.decode()


async def test_an_interrupted_replay_hangs_up_and_prints_a_summary(tone: Path) -> None:
    service = NativeService(stop_after=2)
    async with serving(service) as url, asyncio.timeout(ENOUGH_S):
        async with child(
            *KANJO, "replay", str(tone), "--url", url, "--repeat",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as replaying:  # fmt: skip
            await service.stop.wait()
            replaying.send_signal(signal.SIGINT)
            stdout, stderr = await replaying.communicate()
    assert replaying.returncode == 0, stderr
    assert service.stops == 1
    assert "lateness p50" in stdout.decode()
    assert b"Traceback" not in stderr


async def replayed(*arguments: object, cwd: Path | None = None) -> tuple[int, str, str]:
    """Returns exit status, standard output and standard error of `kanjo replay`."""
    async with child(
        *KANJO, "replay", *map(str, arguments), "--speed", "50",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as replaying:  # fmt: skip
        stdout, stderr = await replaying.communicate()
        assert replaying.returncode is not None
        return replaying.returncode, stdout.decode(), stderr.decode()


async def test_replay_appends_the_readings_to_a_table_without_formulas(
    tone: Path, tmp_path: Path
) -> None:
    name = "=SUM(1,2).wav"
    shutil.copy(tone, tmp_path / name)
    async with serving(NativeService()) as url:
        for _ in range(2):
            status, _, stderr = await replayed(
                name, "--csv", "table.csv", "--url", url, cwd=tmp_path
            )
            assert status == 0, stderr
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200  # of two calls of 10 s, each with a reading every 0.1 s
    assert len({row["call_id"] for row in rows}) == 2
    assert {row["file"] for row in rows} == {f"./{name}"}
    assert (tmp_path / rows[0]["file"]).exists()
    assert list(rows[1].values())[2:] == ["caller", "0.00", "0.20", *["0.1000"] * 3, "0.7000"]


async def test_replay_into_what_takes_no_readings_says_so_before_it_calls(
    tone: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    service = NativeService()
    async with serving(service) as url:
        status, _, stderr = await replayed(tone, "--csv", other, "--url", url)
        assert status == 1
        assert "other.csv: got a file with something else in it, expected a new one" in stderr
    assert service.started == {}
    assert other.read_text() == "a,b\n1,2\n"
    result = invoke("replay", tone, "--csv", tmp_path / "new.csv", "--bridge", "twilio")
    assert result.exit_code == 2
    assert "got --csv with the bridge twilio, expected native" in " ".join(result.stderr.split())


async def test_replay_ends_when_its_table_can_not_be_written(tone: Path, tmp_path: Path) -> None:
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)); "
        "from service.cli.main import app; app()"
    )
    async with serving(NativeService()) as url:
        async with child(
            sys.executable, "-c", code, "replay", str(tone), "--csv", str(tmp_path / "t.csv"),
            "--url", url, "--repeat", "--speed", "20",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as replaying:  # fmt: skip
            _, stderr = await replaying.communicate()
    assert replaying.returncode == 1
    assert stderr.decode() == f"kanjo: {tmp_path}/t.csv: File too large\n"


async def test_replay_that_met_errors_exits_so(tone: Path) -> None:
    async with serving(NativeService(hangs_up=True)) as url:
        async with child(
            *KANJO, "replay", str(tone), "--url", url,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as replaying:  # fmt: skip
            stdout, _ = await replaying.communicate()
    assert replaying.returncode == 1
    assert "error closed" in stdout.decode()


async def test_replay_at_a_service_brings_readings_in_time(service: str, tmp_path: Path) -> None:
    voice, rate = soundfile.read(ANGRY, frames=24_000, dtype="int16")
    soundfile.write(tmp_path / "call.wav", voice, rate)
    url = service.replace("http", "ws") + "/calls/native"
    async with child(
        *KANJO, "replay", str(tmp_path / "call.wav"), "--url", url,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as replaying:  # fmt: skip
        stdout, stderr = await replaying.communicate()
        assert replaying.returncode == 0, stderr
        rows = dict(line.split("  ", 1) for line in stdout.decode().splitlines() if "  " in line)
        assert rows["audio"].strip() == "3.0 s"
        assert int(rows["readings"]) >= 1
        assert rows["errors"].strip() == "none"
