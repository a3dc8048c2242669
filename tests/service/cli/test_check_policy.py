from pathlib import Path

from service.alerts.policy_file import version_of
from tests.service.cli.command import invoke


def test_a_usable_file_is_told_with_its_version(tmp_path: Path) -> None:
    text = "[queues.billing.anger]\nhold_s = 3\n"
    (tmp_path / "policy.toml").write_text(text)
    result = invoke("check-policy", tmp_path / "policy.toml")
    assert result.exit_code == 0
    printed = result.output.replace("\n", "").replace(" ", "")  # lines are broken anywhere
    assert printed.endswith(f"policy.toml:version{version_of(text)},queues1,mutes0")


def test_every_problem_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("[anger]\nhold_s = -1\n[queues.q.happiness]\nx = 1\n")
    result = invoke("check-policy", tmp_path / "policy.toml")
    assert result.exit_code == 1
    one, two = result.stderr.splitlines()
    assert "policy.toml: anger.hold_s: got -1, expected" in one
    assert "policy.toml: queues.q.happiness.x: got an unknown key" in two
