import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.store.outbox import Outbox
from tests.service.cli.command import free_port, invoke, run


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
    result = invoke("serve", **environ)
    assert result.exit_code == 2
    assert sentence in result.stderr
    lines = result.stderr.splitlines()
    assert all(line.startswith("kanjo: ") for line in lines)
    assert "Value error" not in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KANJO_REDIS_URL", "redis://:hidden@redis:99999/0"),
        ("KANJO_REDIS_URL", "redis://:hidden@redis/0?hidden=1"),
        ("KANJO_REDIS_URL", "http://:hidden@redis/0"),
        ("KANJO_TWILIO_URL", "https://:hidden@example.com/calls/twilio"),
        ("KANJO_TWILIO_URL", "wss://:hidden@example.com:99999/calls/twilio"),
        ("KANJO_PLIVO_URL", "wss://:hidden@/calls/plivo"),
    ],
)
def test_an_address_that_can_not_be_one_stops_the_start_and_is_not_repeated(
    name: str, value: str
) -> None:
    ended = run("serve", **{"KANJO_PORT": free_port(), name: value})
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"kanjo: {name}: ")
    assert ended.stderr.count("\n") == 1
    assert "hidden" not in ended.stderr


def test_an_option_goes_before_its_variable() -> None:
    result = invoke("serve", "--port", "0", KANJO_PORT="8000")
    assert result.exit_code == 2
    assert "KANJO_PORT: got '0': " in result.stderr


def test_a_file_that_is_no_model_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"nothing of the kind")
    ended = run("serve", KANJO_PORT=free_port(), KANJO_MODEL=tmp_path / "model.pt")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"kanjo: model {tmp_path}/model.pt: found ")
    assert "expected a whole TorchScript file" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_state_folder_of_another_service_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    other = Outbox(path, 10)
    ended = run(
        "serve",
        KANJO_PORT=free_port(),
        KANJO_STATE_DIR=tmp_path,
        KANJO_REDIS_URL="redis://127.0.0.1:1",
    )
    other.close()
    assert ended.returncode == 1
    expected = "expected a file of this process's own"
    assert ended.stderr == f"kanjo: outbox {path} is in use, {expected}\n"


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_port_in_use_stops_the_start(command: str, host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        result = invoke(command, KANJO_HOST=host, KANJO_PORT=port)
    assert result.exit_code == 1
    listens_at = "127.0.0.1" if host == "0.0.0.0" else host  # because there are no credentials
    assert f"{listens_at}:{port}: Address already in use" in result.stderr
