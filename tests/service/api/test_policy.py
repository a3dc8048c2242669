"""A service with a policy file."""

import os
from pathlib import Path

import pytest

from service.alerts.policy_file import PolicyError
from tests.service.api.conftest import Running, call, running, until


def problems(server: Running) -> str:
    return str([problem["what"] for problem in server.get("/readyz").json()["degraded"]])


def test_a_service_follows_its_policy_file_and_says_why_a_version_is_not_in_use(
    tmp_path: Path,
) -> None:
    path = tmp_path / "policy.toml"

    def write(text: str) -> None:
        new = tmp_path / "new"
        new.write_text(text)
        os.replace(new, path)

    write("[anger]\nfire_at = 0\nclear_at = 0\nhold_s = 3600")
    with running(policy=str(path), hold_s=0, state_dir=tmp_path / "state") as server:
        until(lambda: server.get("/readyz").status_code == 200)
        held = [m["state"] for m in call(server, "held") if m["type"] == "alert"]
        assert held == ["pending", "lapsed"]
        write("[anger]\nfire_at = 7")
        until(lambda: "anger.fire_at: got 7, expected" in problems(server))
        assert "anger.fire_at: got 7" in str(server.get("/v1/outbox").json()["problems"])
        write("[anger]\nfire_at = 0\nclear_at = 0")
        until(lambda: problems(server) == "[]")
        fired = [m["state"] for m in call(server, "fired") if m["type"] == "alert"]
        assert fired[:2] == ["pending", "firing"]

        def recorded() -> list[str]:
            entries = server.get("/v1/audit").json()["entries"]
            return [entry["detail"] for entry in entries if entry["action"] == "policy_loaded"]

        until(lambda: len(recorded()) == 2)
        assert recorded()[0] == server.services.policy.version  # type: ignore[union-attr]


def test_a_wrong_policy_file_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[anger]\nhold = 1")
    with (
        pytest.raises(PolicyError, match="anger.hold: got an unknown key"),
        running(policy=str(path), state_dir=tmp_path),
    ):
        pass
