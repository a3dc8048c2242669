import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.service.cli.command import invoke

COMMANDS = [
    "serve", "classify", "replay", "demo", "evaluate-alerts",
    "corpus", "train", "study", "report", "export", "outbox",
    "speech-check", "login-link", "encoder", "check-policy",
    "loadtest",
]  # fmt: skip


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_printed_without_torch_or_training(command: str | None) -> None:
    arguments = [command, "--help"] if command else ["--help"]
    script = (
        "import sys\n"
        "from service.cli.main import app\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'sklearn', 'numpy', 'fastapi', 'websockets'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout
    for name in COMMANDS if command is None else ["Options"]:
        assert name in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command: str) -> None:
    assert f"kanjo {command} " in invoke(command, "--help").output.partition("Example: ")[2]


def test_the_version_is_the_distribution_s() -> None:
    result = invoke("--version")
    assert (result.exit_code, result.output) == (0, f"kanjo {version('kanjo')}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("corpus", "imaginary", ".", "--out", "x"), "expected one of"),
        (("corpus", "emodb"), "expected both"),
        (("study", "nowhere.toml", "--corpora", "."), "does not exist"),
        (("report", "nowhere"), "does not exist"),
    ],
)
def test_what_is_missing_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())
