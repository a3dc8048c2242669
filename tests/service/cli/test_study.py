from pathlib import Path

from tests.service.cli.command import invoke


def test_a_study_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('name = "mine"\nspeed = 3\n')
    result = invoke("study", file, "--corpora", tmp_path)
    assert result.exit_code == 1
    assert "speed" in result.stderr
