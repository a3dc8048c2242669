import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from model.encoder import save_encoder
from service.cli.export import _own_commit
from tests.encoded_model import tiny_encoder, tiny_training
from tests.paths import ROOT
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


def test_a_foreign_checkout_is_not_asked_for_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "foreign"]):
        author = ["-c", "user.name=n", "-c", "user.email=e"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True)
    head = ["git", "rev-parse", "HEAD"]
    foreign = subprocess.run(head, cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    own = subprocess.run(head, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    monkeypatch.chdir(tmp_path)
    assert _own_commit() not in ("", foreign)
    assert _own_commit() == (own or f"kanjo {version('kanjo')}")


def test_export_before_the_end_of_a_training_says_so(tmp_path: Path) -> None:
    checkpoint = tmp_path / "best.pt"
    torch.save({"config": {}, "network": {}, "epoch": 1, "valid_ua": 0.5}, checkpoint)
    result = invoke("export", checkpoint, tmp_path / "model.pt", *GIVEN)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"kanjo: {checkpoint}: the training has not ended, expected")
    torch.save({"config": {}, "network": {}, "epoch": 1, "optimizer": {}}, tmp_path / "last.pt")
    result = invoke("export", tmp_path / "last.pt", tmp_path / "model.pt", *GIVEN)
    assert result.stderr.startswith(f"kanjo: {tmp_path}/last.pt: a checkpoint to go on from")


def test_a_network_on_embeddings_is_exported_with_its_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KANJO_ENCODER", raising=False)
    checkpoint = tmp_path / "best.pt"
    torch.save(tiny_training(), checkpoint)
    save_encoder(tiny_encoder(), tmp_path / "encoder")
    result = invoke("export", checkpoint, tmp_path / "model.pt", *GIVEN)
    assert result.exit_code == 1
    assert "expected the file of its encoder as well" in result.stderr
    monkeypatch.setenv("KANJO_ENCODER", str(tmp_path / "encoder"))
    result = invoke("export", checkpoint, tmp_path / "model.pt", *GIVEN)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "model.pt").exists()
