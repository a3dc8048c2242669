from pathlib import Path

from tests.service.cli.command import invoke

GIVEN = ["--name", "n", "--version", "1", "--licence", "l", "--commit", "c"]


def test_export_refuses_a_threshold_that_clears_above_firing(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(b"none")
    result = invoke("export", checkpoint, "model.pt", *GIVEN, "--anger", "0.5", "0.7")
    assert result.exit_code == 2
    assert "expected 0 <= CLEAR <= FIRE <= 1" in result.stderr


def test_export_of_an_unreadable_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(b"none")
    result = invoke("export", checkpoint, tmp_path / "model.pt", *GIVEN)
    assert result.exit_code == 1
    assert "best.pt" in result.stderr
    assert not (tmp_path / "model.pt").exists()
