import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, get_args, get_type_hints

import httpx
import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from model.labels import EMOTIONS
from service.classification import Classification
from service.cli import main as cli
from service.cli.main import app, summary_table
from service.events import Track
from service.replay.demo import SAMPLES
from service.replay.player import CLIENTS, ReplaySummary
from service.store.outbox import Outbox
from service.telephony.shared.client import Feedback
from tests.service.replay.test_player import DOORS, SECRET, Edge, Listener, at_work
from training import checkpoint, commands
from training.train import RECIPES

KANJO = [sys.executable, "-m", "service.cli"]
COMMANDS = [
    "serve", "classify", "replay", "demo", "evaluate-alerts",
    "corpus", "train", "study", "report", "export",
]  # fmt: skip
ANGRY = str(SAMPLES[0])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def told_by(*arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
    """What the command says, in a process of its own."""
    return subprocess.run(
        [*KANJO, *map(str, arguments)],
        env={**os.environ, **{name: str(value) for name, value in environ.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    samples = 9000 * np.sin(2 * np.pi * 300 * np.arange(80_000) / 8000)
    soundfile.write(path, samples.astype(np.int16), 8000)
    return path


# Help.


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_told_without_torch_or_training(command: str | None) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    script = (
        "import sys\n"
        "from service.cli.main import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'fastapi', 'websockets'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "Usage" in told.stdout
    for name in COMMANDS if command is None else ["Options"]:
        assert name in told.stdout


# kanjo serve


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service at work, started and interrupted as a person would."""
    log = tmp_path_factory.mktemp("service") / "log"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        serving = subprocess.Popen(
            [*KANJO, "serve", "--port", str(port)],
            env={**os.environ, "KANJO_BATCH_MAX": "1", "KANJO_LOG_FORMAT": "json"},
            stderr=file,
        )
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
        assert serving.wait(30) == 0, log.read_text()
        said = [json.loads(line)["event"] for line in log.read_text().splitlines()]
        assert "ready" in said
    finally:
        serving.kill()
        serving.wait()


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"KANJO_PORT": "eighty"}, "kanjo: KANJO_PORT: got 'eighty': "),
        ({"KANJO_PROT": "80"}, "kanjo: KANJO_PROT: no such setting"),
        ({"KANJO_HOP_S": "0", "KANJO_GATE": "maybe"}, "kanjo: KANJO_GATE: got 'maybe': "),
        ({"KANJO_ANGER_FIRE_AT": "0.5"}, "kanjo: KANJO_ANGER_CLEAR_AT: got None and "),
        (
            {"KANJO_ANGER_FIRE_AT": "0.5", "KANJO_ANGER_CLEAR_AT": "0.6"},
            "kanjo: KANJO_ANGER_CLEAR_AT: got 0.6, expected ",
        ),
    ],
)
def test_an_impossible_setting_stops_the_start(environ: Mapping[str, str], sentence: str) -> None:
    result = CliRunner().invoke(app, ["serve"], env=environ)
    assert result.exit_code == 2
    assert sentence in result.stderr
    lines = result.stderr.splitlines()
    assert all(line.startswith("kanjo: ") for line in lines)
    assert "Value error" not in result.stderr


def test_an_option_goes_before_its_variable() -> None:
    result = CliRunner().invoke(app, ["serve", "--port", "0"], env={"KANJO_PORT": "8000"})
    assert result.exit_code == 2
    assert "KANJO_PORT: got '0': " in result.stderr


def test_a_file_that_is_no_model_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"nothing of the kind")
    told = told_by("serve", KANJO_PORT=free_port(), KANJO_MODEL=tmp_path / "model.pt")
    assert told.returncode == 1
    assert told.stderr.startswith(f"kanjo: model {tmp_path}/model.pt: found ")
    assert "expected a whole TorchScript file" in told.stderr
    assert told.stderr.count("\n") == 1


def test_a_state_folder_of_another_service_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    other = Outbox(path, 10)
    told = told_by(
        "serve",
        KANJO_PORT=free_port(),
        KANJO_STATE_DIR=tmp_path,
        KANJO_REDIS_URL="redis://127.0.0.1:1",
    )
    other.close()
    assert told.returncode == 1
    expected = "expected a file of this process's own"
    assert told.stderr == f"kanjo: outbox {path} is in use, {expected}\n"


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_port_in_use_stops_the_start(command: str, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        environ = {"KANJO_HOST": host, "KANJO_PORT": str(port)}
        result = CliRunner().invoke(app, [command], env=environ)
    assert result.exit_code == 1
    reached = "127.0.0.1" if host == "0.0.0.0" else host  # for want of credentials
    assert f"{reached}:{port}: Address already in use" in result.stderr


# kanjo classify


def test_a_sample_call_is_heard_here_as_by_a_service(service: str) -> None:
    here = CliRunner().invoke(app, ["classify", ANGRY, "--channel", "0", "--json"])
    there = CliRunner().invoke(
        app, ["classify", ANGRY, "--channel", "0", "--json", "--url", service]
    )
    assert (here.exit_code, there.exit_code) == (0, 0), here.output + there.output
    one, other = map(Classification.model_validate_json, (here.stdout, there.stdout))
    assert one.probabilities
    assert other.probabilities
    assert one.emotion == other.emotion
    assert [one.probabilities[e] for e in EMOTIONS] == pytest.approx(
        [other.probabilities[e] for e in EMOTIONS], abs=1e-4
    )
    assert [(w.start_s, w.end_s) for w in one.windows] == [
        (w.start_s, w.end_s) for w in other.windows
    ]
    assert one.speech_s > 20
    assert one.model == other.model


@pytest.mark.parametrize("at_service", [False, True])
def test_each_channel_is_another_voice(at_service: bool, service: str) -> None:
    url = ["--url", service] if at_service else []
    speech_s = {}
    for channel in ("0", "1", "mix"):
        result = CliRunner().invoke(app, ["classify", ANGRY, "--channel", channel, "--json", *url])
        speech_s[channel] = json.loads(result.stdout)["speech_s"]
    assert speech_s["1"] < speech_s["0"] < speech_s["mix"]


def test_classify_shows_a_table_and_a_ribbon() -> None:
    result = CliRunner().invoke(app, ["classify", ANGRY, "--channel", "0"])
    assert result.exit_code == 0, result.output
    assert "emotion   sounds " in result.output
    assert "duration  " in result.output
    assert "0:00" in result.output
    assert "A angry   H happy   · neither" in result.output


def test_a_recording_in_which_nobody_speaks_has_no_emotion(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(40_000, np.int16), 8000)
    told = CliRunner().invoke(app, ["classify", str(tmp_path / "quiet.wav"), "--json"])
    answer = json.loads(told.stdout)
    assert (answer["emotion"], answer["probabilities"], answer["style"]) == (None, None, None)
    shown = CliRunner().invoke(app, ["classify", str(tmp_path / "quiet.wav")])
    assert "no speech heard" in shown.output


@pytest.mark.parametrize("at_service", [False, True])
@pytest.mark.parametrize(
    ("name", "channel", "sentence"),
    [
        ("absent.wav", "mix", "No such file or directory"),
        ("text.wav", "mix", "got unreadable audio"),
        ("tone.wav", "1", "got channel 1 of 1"),
    ],
)
def test_what_cannot_be_classified_is_a_sentence(
    at_service: bool, name: str, channel: str, sentence: str, tone: Path, service: str
) -> None:
    (tone.parent / "text.wav").write_text("[red]no sound at all")
    url = ["--url", service] if at_service else []
    arguments = ["classify", str(tone.parent / name), "--channel", channel, *url]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("kanjo: ")
    assert sentence in result.stderr


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Something else than a service, which answers every POST so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (502, b"bad gateway", "HTTP 502: bad gateway"),
        (500, b"", "HTTP 500: no reason given"),
        (200, b"<html>", "the answer is no classification: it: Invalid JSON"),
        (200, b'{"emotion": "bored"}', "the answer is no classification: emotion: Input should be"),
    ],
)
def test_an_answer_that_is_no_classification_is_a_sentence(
    tone: Path, status: int, body: bytes, sentence: str
) -> None:
    with answering(status, body) as url:
        result = CliRunner().invoke(app, ["classify", str(tone), "--url", url])
    assert result.exit_code == 1
    assert result.stderr.startswith("kanjo: ")
    assert sentence in result.stderr


def test_classify_where_no_service_is_is_a_sentence(tone: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = CliRunner().invoke(app, ["classify", str(tone), "--url", url])
    assert result.exit_code == 1
    assert f"no service at {url}/classify: " in result.stderr


# kanjo replay


def test_replay_at_a_refused_port_is_one_sentence(tone: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/calls/native"
    told = subprocess.run([*KANJO, "replay", tone, "--url", url], capture_output=True, text=True)
    assert told.returncode == 1
    assert told.stderr == f"kanjo: no service at {url}: Connection refused\n"
    assert told.stdout == ""


def test_replay_of_a_file_that_is_no_recording_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("[red]no sound")
    result = CliRunner().invoke(app, ["replay", str(tmp_path / "notes.txt")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"kanjo: {tmp_path}/notes.txt: ")


def test_replay_offers_every_bridge() -> None:
    assert get_args(cli.Bridge) == tuple(CLIENTS)


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
    result = CliRunner().invoke(app, ["replay", str(tone), "--bridge", "twilio", *arguments])
    assert result.exit_code == 1
    assert result.stderr == f"kanjo: {sentence}\n"


async def test_replay_as_a_bridge_says_what_it_is_not_told(tone: Path) -> None:
    edge = Edge("telnyx", door=DOORS["telnyx"]())
    async with edge.open() as url:
        told = await asyncio.create_subprocess_exec(
            *KANJO, "replay", str(tone), "--bridge", "telnyx", "--url", url, "--speed", "50",
            "--encoding", "alaw",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "REPLAY_TOKEN": SECRET},
        )  # fmt: skip
        stdout, stderr = await told.communicate()
    assert told.returncode == 0, stderr
    text = stdout.decode()
    assert "this bridge gets none; see the dashboard" in text
    assert "readings" not in text
    assert len(edge.pcm(Track.CALLER)) == 80_000


def test_replay_calls_the_path_of_its_bridge_unless_told_another(
    tone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    async def played(recordings: object, url: str, **_: object) -> None:
        called.append(url)  # where port 8000 leads is not for a test to try

    monkeypatch.setattr("service.replay.player.replay", played)
    for arguments in ([], ["--bridge", "plivo"], ["--url", "ws://kanjo.example.com/"]):
        result = CliRunner().invoke(app, ["replay", str(tone), *arguments])
        assert result.exit_code == 0, result.output
    assert called == [
        "ws://127.0.0.1:8000/calls/native",
        "ws://127.0.0.1:8000/calls/plivo",
        "ws://kanjo.example.com/",
    ]


async def test_replay_tells_alerts_and_sums_up(tone: Path) -> None:
    async with at_work(Listener(fires=True)) as url:
        told = await asyncio.create_subprocess_exec(
            *KANJO, "replay", str(tone), "--url", url, "--calls", "2", "--speed", "50",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        stdout, stderr = await told.communicate()
    assert told.returncode == 0, stderr
    text = stdout.decode()
    assert text.count("firing    sounds angry (0.83)") == 2
    assert "anger 2" in text
    assert "lateness p99" in text


async def test_replay_interrupted_hangs_up_and_sums_up(tone: Path) -> None:
    listener = Listener(halt_after=2)
    async with at_work(listener) as url, asyncio.timeout(60):
        told = await asyncio.create_subprocess_exec(
            *KANJO, "replay", str(tone), "--url", url, "--repeat",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        await listener.halt.wait()
        told.send_signal(signal.SIGINT)
        stdout, stderr = await told.communicate()
    assert told.returncode == 0, stderr
    assert listener.stops == 1
    assert "lateness p50" in stdout.decode()
    assert b"Traceback" not in stderr


async def test_replay_that_met_errors_exits_so(tone: Path) -> None:
    async with at_work(Listener(hangs_up=True)) as url:
        told = await asyncio.create_subprocess_exec(
            *KANJO, "replay", str(tone), "--url", url,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        stdout, _ = await told.communicate()
    assert told.returncode == 1
    assert "error closed" in stdout.decode()


async def test_replay_at_a_service_brings_readings_in_time(service: str, tmp_path: Path) -> None:
    voice, rate = soundfile.read(ANGRY, frames=24_000, dtype="int16")
    soundfile.write(tmp_path / "call.wav", voice, rate)
    url = service.replace("http", "ws") + "/calls/native"
    told = await asyncio.create_subprocess_exec(
        *KANJO, "replay", str(tmp_path / "call.wav"), "--url", url,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    stdout, stderr = await told.communicate()
    assert told.returncode == 0, stderr
    rows = dict(line.split("  ", 1) for line in stdout.decode().splitlines() if "  " in line)
    assert rows["audio"].strip() == "3.0 s"
    assert int(rows["readings"]) >= 1
    assert rows["errors"].strip() == "none"


# kanjo demo


async def test_an_interrupted_demo_hangs_up_and_sums_up() -> None:
    port = free_port()
    demo = await asyncio.create_subprocess_exec(
        *KANJO, "demo",
        env={
            **os.environ,
            "KANJO_PORT": str(port),
            "KANJO_NATIVE_TOKEN": "t",
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert demo.stdout is not None
    async with asyncio.timeout(60):
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


# kanjo train


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """One corpus of noises: five speakers, each emotion once."""
    folder = tmp_path / "corpora" / "noise"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    lines = ["path,corpus,style,language,speaker,emotion,duration_s"]
    for speaker in range(5):
        for emotion in EMOTIONS:
            name = f"{speaker}-{emotion}.flac"
            soundfile.write(folder / name, rng.integers(-9000, 9000, 8000, np.int16), 8000)
            lines.append(f"{name},noise,acted,none,s{speaker},{emotion},1.0")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder.parent


async def test_an_interrupted_training_says_where_it_goes_on(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    training = await asyncio.create_subprocess_exec(
        *KANJO, "train", "--corpora", str(corpora), "--out", str(out),
        "--cache", str(tmp_path / "cache"), "--system", "mtl", "--epochs", "1000",
        "--test-fold", "2", "--seed", "5", "--threads", "1",
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert training.stderr is not None
    async with asyncio.timeout(60):
        said = b""
        while not (out / "last.pt").exists():
            said += await training.stderr.read(1)
            assert training.returncode is None, said
        training.send_signal(signal.SIGINT)
        said += await training.stderr.read()
        assert await training.wait() == 130, said
    last = said.decode().splitlines()[-1]
    assert last == f"kanjo: interrupted; the same command goes on from {out}/last.pt"
    config = checkpoint.load(out / "last.pt")["config"]
    chosen = ("epochs", "test_fold", "seed", "ser_weight", "selective", "learning_rate")
    assert [config[name] for name in chosen] == [
        1000, 2, 5, 0.8, False, RECIPES["kanjo"].learning_rate
    ]  # fmt: skip


def test_train_offers_every_recipe() -> None:
    offered = get_args(get_args(get_type_hints(commands.train, include_extras=True)["recipe"])[0])
    assert set(offered) == set(RECIPES)


def test_train_takes_no_more_threads_than_it_is_given(tmp_path: Path) -> None:
    arguments = ["train", "--corpora", str(tmp_path), "--threads", "1"]
    script = (
        "import contextlib\n"
        "from service.cli.main import app\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    app({arguments!r})\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout == "1\n", told.stderr


def test_train_without_corpora_is_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--corpora", str(tmp_path)])
    assert result.exit_code == 1
    assert f"kanjo: {tmp_path}: found no CORPUS/manifest.csv" in result.stderr


# The summary of a replay.


def printed(renderable: Any) -> str:
    console = Console(width=100, record=True, file=open(os.devnull, "w"))
    with console.file:
        console.print(renderable)
    return console.export_text()


def test_a_summary_tells_what_came_and_how_late() -> None:
    summary = ReplaySummary(calls=3, played_s=12.0, readings=4, behind_s=0.0042)
    summary.late_s.extend([0.1, 0.2, 0.3, 0.4])
    summary.fired.update({"anger": 2, "happiness": 0})
    summary.failed("overloaded", "try [again] later")
    summary.failed("overloaded", "another reason")
    text = printed(summary_table(summary))
    for part in ("250 ms", "397 ms", "anger 2", "2, the first: try [again] later", "4 ms"):
        assert part in text
    assert "happiness" not in text
    assert "none" in printed(summary_table(ReplaySummary()))


def test_a_summary_of_a_bridge_says_what_it_is_not_told() -> None:
    alerts, nothing = (
        printed(summary_table(ReplaySummary(ear=ear)))
        for ear in (Feedback.ALERTS, Feedback.NOTHING)
    )
    assert "this bridge gets none; see the dashboard" in alerts
    assert "alerts fired" in alerts
    assert "alerts fired" not in nothing
    assert "lateness" not in alerts + nothing


# kanjo export


def test_export_refuses_a_threshold_that_clears_above_firing(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(b"none")
    arguments = ["--name", "n", "--version", "1", "--licence", "l", "--commit", "c"]
    result = CliRunner().invoke(
        app, ["export", str(checkpoint), "model.pt", *arguments, "--anger", "0.5", "0.7"]
    )
    assert result.exit_code == 2
    assert "expected 0 <= CLEAR <= FIRE <= 1" in result.stderr


def test_export_of_an_unreadable_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(b"none")
    arguments = ["--name", "n", "--version", "1", "--licence", "l", "--commit", "c"]
    result = CliRunner().invoke(
        app, ["export", str(checkpoint), str(tmp_path / "model.pt"), *arguments]
    )
    assert result.exit_code == 1
    assert "best.pt" in result.stderr
    assert not (tmp_path / "model.pt").exists()
