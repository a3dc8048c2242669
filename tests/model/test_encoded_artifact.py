"""An artifact has its encoder inside, and gives the embeddings on which it was trained."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.artifact import FORMAT, ArtifactError, load, noise, probe_chunk, rewrite, sample
from model.chunk_encoder import ChunkEncoder, encode, encoder_operations
from model.embedding import EmbeddingSpec
from model.encoder import load_encoder, save_encoder
from model.export import ROUNDING_TOLERANCE, TOLERANCE, ExportError, export, released
from model.network import EmotionNetwork, NetworkConfig, operations
from tests.encoded_model import TINY, export_tiny, tiny_encoder, tiny_spec, tiny_training


@pytest.fixture(scope="module")
def artifact_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return export_tiny(tmp_path_factory.mktemp("export")).read_bytes()


@pytest.fixture
def exported(artifact_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pt"
    path.write_bytes(artifact_bytes)
    return path


def refusal(folder: Path, **changes: Any) -> str:
    """Returns why a checkpoint with such a config cannot be exported."""
    training = tiny_training()
    training["config"] |= changes
    with pytest.raises(ExportError) as refused:
        export_tiny(folder, training)
    assert not (folder / "tiny.pt").exists()
    return str(refused.value)


def with_meta(exported: Path, **fields: Any) -> Path:
    extra = {"meta.json": ""}
    module = torch.jit.load(exported, _extra_files=extra)
    path = exported.with_name("other.pt")
    changed = json.loads(extra["meta.json"]) | fields
    torch.jit.save(module, path, _extra_files={"meta.json": json.dumps(changed)})
    return path


def test_it_embeds_chunks_as_the_training_did(exported: Path) -> None:
    artifact, spec = load(exported), tiny_spec()
    rng = np.random.default_rng(0)
    chunks = [rng.normal(0, 1, (size, 80)).astype(np.float32) for size in (150, 100, 100, 57)]
    expected = encode(ChunkEncoder(tiny_encoder(), spec.row_steps), chunks, spec)
    for rows, of_training in zip(encode(artifact.embed, chunks, spec), expected, strict=True):
        np.testing.assert_allclose(rows.astype(float), of_training.astype(float), atol=2e-3)


def test_its_answers_are_those_of_the_checkpoint(exported: Path) -> None:
    artifact, original = load(exported), released(tiny_training())
    windows = noise(tiny_spec(), [38, 8, 1, 20])
    with torch.inference_mode():
        for found, expected in zip(artifact(*windows), original(*windows), strict=True):
            assert expected.std() > 0
            torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING_TOLERANCE)
        rounded = released(tiny_training())
        for weight in rounded.parameters():
            weight.data = weight.data.half().float() if weight.dim() > 1 else weight.data
        for found, expected in zip(artifact(*windows), rounded(*windows), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def test_matrices_are_halves_in_the_file_and_single_in_memory(exported: Path) -> None:
    weights = [w for w in torch.jit.load(exported).parameters() if w.is_floating_point()]
    assert {weight.dtype for weight in weights if weight.dim() > 1} == {torch.float16}
    assert {weight.dtype for weight in weights if weight.dim() == 1} == {torch.float32}
    with torch.inference_mode():
        rows = load(exported).embed(*probe_chunk(tiny_spec()))
    assert rows.dtype is torch.float32


def test_the_meta_tells_of_the_encoder(exported: Path) -> None:
    meta, spec = load(exported).meta, tiny_spec()
    network = NetworkConfig(**tiny_training()["config"]["network"])
    assert meta.format == FORMAT == 5
    assert meta.embedding == meta.inputs == spec
    assert meta.operations == operations(network, 38)
    assert meta.encoder_operations == encoder_operations(TINY, 100)
    with torch.inference_mode():
        rows = ChunkEncoder(tiny_encoder(), spec.row_steps)(*probe_chunk(spec))
    assert meta.embedding_probe == pytest.approx(sample(rows), abs=1e-4)


def test_its_meta_can_be_rewritten(exported: Path) -> None:
    meta = replace(load(exported).meta, version="2")
    assert rewrite(exported, meta).meta == load(exported).meta == meta


def test_an_encoder_that_answers_otherwise_is_refused(exported: Path) -> None:
    probe = list(load(exported).meta.embedding_probe)
    probe[17] += 0.05
    with pytest.raises(ArtifactError, match="found the encoder's answer"):
        load(with_meta(exported, embedding_probe=probe))
    with pytest.raises(ArtifactError, match="found the encoder's answer"):
        load(with_meta(exported, embedding_probe=probe[:3]))


def test_an_encoder_of_other_sizes_than_the_meta_is_refused(exported: Path) -> None:
    other = asdict(replace(tiny_spec(), row_steps=5))
    with pytest.raises(ArtifactError, match=r"found rows .* expected \(1, 10, 2, 2, 16\)"):
        load(with_meta(exported, embedding=other))


def test_a_model_without_the_encoder_of_its_meta_is_refused(exported: Path) -> None:
    extra = {"meta.json": ""}
    torch.jit.load(exported, _extra_files=extra)
    bare = torch.jit.script(released(tiny_training()))
    torch.jit.save(bare, exported, _extra_files=extra)
    with pytest.raises(ArtifactError, match="found a model without an encoder, expected one"):
        load(exported)


def test_a_network_on_embeddings_needs_its_encoder(tmp_path: Path) -> None:
    torch.save(tiny_training(), tmp_path / "best.pt")
    described = {"name": "", "version": "", "commit": "", "licence": "", "thresholds": {}}
    with pytest.raises(ExportError, match="expected the file of its encoder as well"):
        export(tmp_path / "best.pt", tmp_path / "tiny.pt", **described)
    (tmp_path / "encoder").write_text("no weights")
    with pytest.raises(ExportError, match="expected a safetensors file"):
        export(
            tmp_path / "best.pt", tmp_path / "tiny.pt", encoder=tmp_path / "encoder", **described
        )


def test_another_encoder_than_that_of_the_training_is_refused(tmp_path: Path) -> None:
    other = asdict(replace(tiny_spec(), digest="0123456789abcdef" * 4))
    message = refusal(tmp_path, embedding=other)
    assert f"weights {tiny_encoder().digest()[:16]}, expected 0123456789abcdef, with" in message


def test_a_network_that_half_precision_changes_is_refused(tmp_path: Path) -> None:
    training = tiny_training()
    training["network"]["members.0.emotion.5.weight"] += 3000.7
    with pytest.raises(ExportError, match="in half precision the answers differ by"):
        export_tiny(tmp_path, training)


def test_a_network_for_other_rows_is_refused(tmp_path: Path) -> None:
    network = asdict(NetworkConfig(d_frame=40, functionals=64, mask_padding=True))
    training = tiny_training()
    training["config"]["network"] = network
    training["network"] = EmotionNetwork(NetworkConfig(**network)).state_dict()
    with pytest.raises(ExportError, match="a network for 40 features and 64 functionals, expected"):
        export_tiny(tmp_path, training)


@pytest.mark.parametrize("part", ["embedding", "frames", "encoder"])
def test_a_spec_of_other_code_is_refused(tmp_path: Path, part: str) -> None:
    spec = asdict(tiny_spec())
    (spec if part == "embedding" else spec[part])["flux"] = 3
    message = refusal(tmp_path, embedding=spec)
    assert f"config of {part}" in message
    assert "flux" in message


@pytest.mark.encoder
def test_the_real_encoder_fits_in_32_megabytes(tmp_path: Path) -> None:
    spec = EmbeddingSpec()
    training = tiny_training()
    training["config"]["embedding"] = asdict(spec)
    network = NetworkConfig(
        d_frame=spec.d_frame,
        d_lstm=128,
        d_att=128,
        d_den1=256,
        d_den2=128,
        d_style=64,
        mask_padding=True,
        functionals=spec.functionals,
    )
    training["config"]["network"] = asdict(network)
    training["network"] = EmotionNetwork(network).state_dict()
    torch.save(training, tmp_path / "best.pt")
    encoder = load_encoder(Path(os.environ["KANJO_ENCODER"]))
    save_encoder(encoder, tmp_path / "encoder")
    described = {"name": "", "version": "", "commit": "", "licence": "", "thresholds": {}}
    export(tmp_path / "best.pt", tmp_path / "real.pt", encoder=tmp_path / "encoder", **described)
    assert (tmp_path / "real.pt").stat().st_size < 32 * 2**20
    artifact, frames = load(tmp_path / "real.pt"), np.zeros((100, 80), np.float32)
    (expected,) = encode(ChunkEncoder(encoder, spec.row_steps), [frames], spec)
    (found,) = encode(artifact.embed, [frames], spec)
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=5e-3)
