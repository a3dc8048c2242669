from pathlib import Path

from tests.service.cli.command import invoke


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    result = invoke("report", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
