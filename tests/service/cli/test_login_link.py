from pathlib import Path

import pytest

from service.access.database import AccessDatabase
from service.access.roles import Role
from tests.service.cli.command import invoke


def test_a_link_leads_to_the_service_and_works_once(tmp_path: Path) -> None:
    options = ("--role", "viewer", "--name", "Ada")
    result = invoke("login-link", *options, KANJO_STATE_DIR=tmp_path, KANJO_PORT=9000)
    assert result.exit_code == 0, result.output
    base, _, code = result.stdout.strip().partition("/#login=")
    assert base == "http://127.0.0.1:9000"
    _, grant = AccessDatabase(tmp_path / "access.sqlite3").redeem(code, 60)
    assert (grant.name, grant.role) == ("Ada", Role.VIEWER)


def test_a_link_leads_to_the_public_url(tmp_path: Path) -> None:
    url = "https://kanjo.example.com"
    result = invoke("login-link", KANJO_STATE_DIR=tmp_path, KANJO_PUBLIC_URL=url)
    assert result.stdout.startswith(f"{url}/#login=")


@pytest.mark.parametrize("options", [("--role", "bridge"), ("--name", ""), ("--name", "a\nb")])
def test_a_mistake_is_told_and_makes_no_link(tmp_path: Path, options: tuple[str, str]) -> None:
    assert invoke("login-link", *options, KANJO_STATE_DIR=tmp_path).exit_code == 2
    assert list(tmp_path.iterdir()) == []
