"""No command ends in a traceback, whatever it is given: an exit status and a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.cli.main import app
from tests.limits import ENOUGH_S
from tests.service.cli.command import ANGRY, invoke
from training.corpora import READERS

GARBAGE = {
    "empty": b"",
    "random": np.random.default_rng(0).bytes(3000),
    "wav cut off": b"RIFF\x24\x08\0\0WAVEfmt ",
    "cp1252": "Müll, aber keine Tabelle\n".encode("cp1252"),
    "json": b"{}",
    "archive": b"PK\x03\x04" + bytes(100),
    "zeros": bytes(200),
    "toml": b"name = 3\n[[systems]]\nname = 'x'\n",
    "table": b"a,b\n1,2,3\n",
    "folder": None,
    "absent": None,
    "name too long": None,
    "below a file": None,
}
# Names that a command looks for in a folder.
INSIDE = "manifest.csv labels.csv config.json a/run.json a/manifest.csv a/predictions.npz a.wav"

# Each command, with garbage at every place where a file or folder may stand.
COMMANDS = [
    "classify GARBAGE",
    "classify GARBAGE --json --channel 1",
    f"classify {ANGRY} --csv GARBAGE/answers.csv",
    f"classify {ANGRY} --model GARBAGE",
    "replay GARBAGE --url ws://127.0.0.1:1/",
    "loadtest --speech GARBAGE --url ws://127.0.0.1:1/",
    "loadtest --out GARBAGE --url ws://127.0.0.1:1/",
    "export GARBAGE out.pt --name n --version 1 --licence l --commit c",
    "train --corpora GARBAGE --out runs",
    "study GARBAGE --corpora .",
    "study SMOKE --corpora GARBAGE --out runs",
    "report GARBAGE",
    "evaluate-alerts --corpora GARBAGE",
    "evaluate-alerts --from-redis GARBAGE",
    "evaluate-alerts --corpora . --model GARBAGE --out runs",
    "check-policy GARBAGE",
    "speech-check --corpora GARBAGE --out check.npz",
    "encoder GARBAGE --out encoder.safetensors",
    "corpus callcentre . --labels GARBAGE --out corpora",
    "corpus callcentre . --backchannels GARBAGE --out corpora",
    *(f"corpus {name} GARBAGE --out corpora" for name in READERS),
]
# Commands that use files in KANJO_STATE_DIR.
STATE_COMMANDS = [
    "outbox",
    "outbox --retry all",
    "login-link",
    "token list",
    "token create n --role viewer",
    "token revoke n",
]
WITHOUT_FILES = {"serve", "demo"}  # tests/service/cli/test_serve.py has their settings
SMOKE = Path(__file__).parents[3] / "training/studies/smoke.toml"


# One of each sort in `make test`; the others take minutes, and are part of `make test-faults`.
SAMPLE = ("random", "table", "folder", "absent")
KINDS = [
    name if name in SAMPLE else pytest.param(name, marks=pytest.mark.campaign) for name in GARBAGE
]


@pytest.fixture(params=KINDS)
def garbage(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """A file of garbage, and a folder in which every file is of it."""
    data = GARBAGE[request.param]
    path = tmp_path / "garbage"
    match request.param:
        case "folder":
            path.mkdir()
        case "name too long":
            path = tmp_path / ("x" * 3000)
        case "below a file":
            (tmp_path / "file").touch()
            path = tmp_path / "file" / "garbage"
    paths = [path]
    if data is not None:
        path.write_bytes(data)
        for name in INSIDE.split():
            (tmp_path / "inside" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "inside" / name).write_bytes(data)
        paths.append(tmp_path / "inside")
    return paths


def test_every_command_that_takes_files_is_given_garbage() -> None:
    names = {command.callback.__name__.replace("_", "-") for command in app.registered_commands}  # type: ignore[union-attr]
    names |= {group.name for group in app.registered_groups if group.name}
    given = {command.split()[0] for command in (*COMMANDS, *STATE_COMMANDS)}
    assert given == names - WITHOUT_FILES


@pytest.mark.parametrize("command", COMMANDS, ids=lambda line: line.replace(ANGRY, "ANGRY"))
def test_garbage_is_a_sentence_and_an_exit_status(
    command: str, garbage: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for path in garbage:
        words = [
            word.replace("GARBAGE", str(path)).replace("SMOKE", str(SMOKE))
            for word in command.split()
        ]
        if words[-1] == str(path / "answers.csv") and os.path.isdir(path):
            continue  # a new table in a folder
        result = invoke(*words)
        assert isinstance(result.exception, SystemExit), (words, result.exception)
        assert result.exit_code in (1, 2), (words, result.output)
        assert "Traceback" not in result.output
        assert result.stderr.strip(), words


@pytest.mark.parametrize("command", STATE_COMMANDS)
@pytest.mark.parametrize("garbage", [name for name in GARBAGE if GARBAGE[name]])
def test_a_state_folder_of_garbage_is_a_sentence(
    command: str, garbage: str, tmp_path: Path
) -> None:
    data = GARBAGE[garbage]
    assert data
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "state").mkdir()
    for name in ("outbox.sqlite3", "access.sqlite3"):
        (tmp_path / "state" / name).write_bytes(data)
    for state in ("file", "state", "x" * 3000):
        result = invoke(*command.split(), KANJO_STATE_DIR=tmp_path / state)
        if result.stdout.startswith("No tokens in "):
            continue  # there is no file of them below a file
        assert isinstance(result.exception, SystemExit), (state, result.exception)
        assert result.exit_code in (1, 2), result.output
        assert result.stderr.splitlines()[0].startswith("kanjo: "), result.stderr


@pytest.mark.parametrize(
    "url",
    ["nonsense", "http://", "ftp://x", "http://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:1",
     "ws://127.0.0.1:99999", "ws://", "http://é..x", " "],
)  # fmt: skip
@pytest.mark.parametrize("command", ["classify", "replay"])
def test_an_address_that_can_not_be_one_is_a_sentence(command: str, url: str) -> None:
    result = invoke(command, ANGRY, "--url", url)
    assert isinstance(result.exception, SystemExit), (url, result.exception)
    assert result.exit_code in (1, 2)
    assert result.stderr.splitlines()[-1].startswith("kanjo: "), result.stderr


def test_an_unreadable_file_is_a_sentence(tmp_path: Path) -> None:
    """As another user: root reads everything."""
    tmp_path.chmod(0o755)
    (tmp_path / "private.wav").touch(mode=0o000)
    script = (
        "import os, sys; from model.recording import decode; from service.cli.main import app; "
        "import service.classification, service.cli.recordings, service.cli.answerers; "
        "import training.progress; from pathlib import Path; "
        "os.geteuid() or os.setuid(65534); app(['replay', sys.argv[1], '--url', 'ws://x'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "private.wav")],
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "Permission denied" in ended.stderr
