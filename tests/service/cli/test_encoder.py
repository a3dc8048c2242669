import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.encoder import load_encoder
from model.encoder_config import WHISPER_BASE, EncoderConfig
from tests.service.cli.command import invoke


@pytest.mark.encoder
def test_the_first_layers_are_copied_in_half_precision(tmp_path: Path) -> None:
    checkpoint, copy = os.environ["KANJO_ENCODER"], tmp_path / "new" / "two.safetensors"
    result = invoke("encoder", checkpoint, "--out", str(copy), "--layers", "2")
    assert result.exit_code == 0, result.output
    line = f": 2 layers, 7,982,080 weights, 16.0 MB, weights {WHISPER_BASE[2][:16]}"
    assert line in result.output.replace("\n", "")
    assert "note:" not in result.output
    two = EncoderConfig(outputs=(1, 2))
    frames, lengths = torch.randn(1, 50, 80), torch.tensor([50])
    expected = load_encoder(Path(checkpoint), two)(frames, lengths)
    assert torch.equal(load_encoder(copy, two)(frames, lengths), expected)
    # The copy is a checkpoint too, of which fewer layers may be taken, but not more.
    again = tmp_path / "one.safetensors"
    assert invoke("encoder", str(copy), "--out", str(again), "--layers", "1").exit_code == 0
    more = invoke("encoder", str(copy), "--out", str(again))
    assert more.exit_code == 1
    assert "expected an encoder of 3 layers or more" in more.output


@pytest.mark.encoder
def test_other_weights_are_copied_with_a_note(tmp_path: Path) -> None:
    weights = load_file(os.environ["KANJO_ENCODER"])
    weights["model.encoder.conv1.bias"] += 1
    save_file(weights, tmp_path / "other.safetensors")
    result = invoke("encoder", str(tmp_path / "other.safetensors"), "--out", str(tmp_path / "copy"))
    assert result.exit_code == 0
    assert "note: these are not the weights of openai/whisper-base" in result.output
