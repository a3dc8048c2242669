import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model import SHIPPED
from model.artifact import (
    FORMAT,
    Artifact,
    ArtifactError,
    ArtifactMeta,
    Thresholds,
    load,
    noise,
    probe,
    rewrite,
    save,
)
from model.export import released
from model.features import FeatureSpec
from model.functionals import functional_count
from model.labels import Emotion
from tests.model.conftest import both_kinds


def with_meta(exported: Path, text: str) -> Path:
    """The same weights, another `meta.json`."""
    module = torch.jit.load(exported)
    path = exported.with_name("other.pt")
    torch.jit.save(module, path, _extra_files={"meta.json": text})
    return path


def changed(exported: Path, **fields: Any) -> Path:
    extra = {"meta.json": ""}
    torch.jit.load(exported, _extra_files=extra)
    return with_meta(exported, json.dumps(json.loads(extra["meta.json"]) | fields))


def meta_of(path: Path) -> dict[str, Any]:
    extra = {"meta.json": ""}
    torch.jit.load(path, _extra_files=extra)
    meta: dict[str, Any] = json.loads(extra["meta.json"])
    return meta


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"model {path}: found ")
    assert ", expected " in message
    return message


@both_kinds
def test_an_artifact_comes_back_as_it_was_saved(exported: Path, tmp_path: Path) -> None:
    first = load(exported)
    again = tmp_path / "again.pt"
    save(first.module, first.meta, again)
    second = load(again)
    assert second.meta == first.meta
    assert isinstance(second.meta, ArtifactMeta)
    assert isinstance(second.meta.features, FeatureSpec)
    windows = noise(first.meta.features, [90, 33], seed=1)
    with torch.inference_mode():
        for one, other in zip(first(*windows), second(*windows), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


@both_kinds
def test_the_answers_are_posteriors(exported: Path) -> None:
    artifact = load(exported)
    with torch.inference_mode():
        emotion, style = artifact(*noise(artifact.meta.features, [50, 20, 1]))
    assert emotion.shape == (3, 4)
    assert style.shape == (3, 2)
    for posteriors in (emotion, style):
        assert (posteriors >= 0).all()
        torch.testing.assert_close(posteriors.sum(1), torch.ones(3))


def test_the_digest_is_the_file_s(exported: Path) -> None:
    assert load(exported).digest == hashlib.sha256(exported.read_bytes()).hexdigest()


@both_kinds
def test_the_probe_is_the_same_everywhere(spec: FeatureSpec) -> None:
    frames, lengths, functionals, before, utterances = probe(spec)
    assert frames.shape == (1, 300, spec.channels)
    assert functionals.shape == before.shape == (1, functional_count(spec))
    first = torch.tensor([0.12573022, -0.13210486, 0.64042264])  # PCG64 from seed 0
    torch.testing.assert_close(frames[0, 0, :3], first)
    assert (lengths.tolist(), utterances.tolist()) == ([300], [0.0])


@both_kinds
def test_noise_is_of_callers_known_and_unknown_and_the_same_again(spec: FeatureSpec) -> None:
    frames, lengths, functionals, before, utterances = noise(spec, [20, 60, 7], seed=3)
    assert frames.shape == (3, 60, spec.channels)
    assert functionals.shape == before.shape == (3, functional_count(spec))
    assert lengths.tolist() == [20, 60, 7]
    assert utterances.tolist() == [0.0, 1.0, 2.0]
    torch.testing.assert_close(noise(spec, [20, 60, 7], seed=3)[0], frames, rtol=0, atol=0)
    assert not torch.equal(noise(spec, [20, 60, 7], seed=4)[0], frames)


def test_no_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pt")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_told(exported: Path, kept: float) -> None:
    data = exported.read_bytes()
    exported.write_bytes(data[: int(kept * len(data))])
    assert "expected a whole TorchScript file" in refusal(exported)


def test_a_damaged_file_is_told(exported: Path) -> None:
    data = bytearray(exported.read_bytes())
    with zipfile.ZipFile(exported) as file:
        name = max(
            (entry for entry in file.infolist() if "/constants/" in entry.filename),
            key=lambda entry: entry.file_size,
        ).filename
        weights = file.read(name)
    data[data.index(weights) + len(weights) // 2] ^= 1
    exported.write_bytes(data)
    assert f"found damage in {name}, expected a whole TorchScript file" in refusal(exported)


def test_a_text_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 20)
    assert "expected a whole TorchScript file" in refusal(path)


def test_a_zip_that_is_no_torchscript_is_told(tmp_path: Path) -> None:
    path = tmp_path / "archive.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/readme.txt", "nothing to run")
    assert "expected a whole TorchScript file" in refusal(path)


def test_a_checkpoint_is_told(checkpoint: Path) -> None:
    assert "expected a whole TorchScript file" in refusal(checkpoint)


def test_torchscript_without_meta_is_told(exported: Path) -> None:
    path = exported.with_name("bare.pt")
    torch.jit.save(torch.jit.load(exported), path)
    assert "found no meta.json inside, expected an artifact made by `kanjo export`" in refusal(path)


def test_another_format_is_told(exported: Path) -> None:
    path = changed(exported, format=FORMAT + 1)
    assert f"found format {FORMAT + 1}, expected {FORMAT}" in refusal(path)
    path = changed(exported, format=FORMAT + 1, mood="new in that format")
    assert f"found format {FORMAT + 1}, expected {FORMAT}" in refusal(path)


def test_other_labels_are_told(exported: Path) -> None:
    emotions = ["anger", "sadness", "happiness", "neutral"]
    message = refusal(changed(exported, emotions=emotions))
    assert f"found emotions {emotions}" in message
    assert "expected ['anger', 'happiness', 'sadness', 'neutral']" in message
    message = refusal(changed(exported, styles=["acted"]))
    assert "found styles ['acted'], expected ['acted', 'spontaneous']" in message


@pytest.mark.parametrize("part", ["features", "gate"])
def test_a_field_that_nobody_here_knows_is_told(exported: Path, part: str) -> None:
    inner = meta_of(exported)[part] | {"cepstra": 13}
    assert f"meta.json: {part}.cepstra" in refusal(changed(exported, **{part: inner}))


def test_a_missing_field_is_told(exported: Path) -> None:
    meta = meta_of(exported)
    del meta["thresholds"]
    assert "meta.json: thresholds: Field required" in refusal(with_meta(exported, json.dumps(meta)))


def test_a_value_out_of_bounds_is_told(exported: Path) -> None:
    features = meta_of(exported)["features"] | {"normalisation": "loudest"}
    message = refusal(changed(exported, features=features))
    assert "meta.json: features.normalisation: Input should be 'utterance'" in message
    gate = meta_of(exported)["gate"] | {"aggressiveness": 9}
    assert "aggressiveness is 9, expected 0, 1, 2 or 3" in refusal(changed(exported, gate=gate))


@both_kinds
def test_a_spec_that_is_another_network_s_is_told(exported: Path) -> None:
    features = meta_of(exported)["features"]
    others = [{"pitch_lags": 7}, {"functionals": False}] if features["functionals"] else []
    for other in (*others, {"n_mels": 30}):
        spec = FeatureSpec(**features | other)
        told = f"{spec.channels} channels and {functional_count(spec)} functionals"
        assert told in refusal(changed(exported, features=features | other))


def test_meta_that_is_no_json_is_told(exported: Path) -> None:
    assert "meta.json: : Invalid JSON" in refusal(with_meta(exported, "{"))


def test_weights_that_are_not_those_exported_are_told(
    exported: Path, finished: dict[str, Any]
) -> None:
    finished["network"]["members.0.emotion.5.bias"][0] += 0.1
    path = exported.with_name("other.pt")
    save(torch.jit.script(released(finished)), load(exported).meta, path)
    message = refusal(path)
    assert "found answer [" in message
    assert "] to the probe, expected (" in message


def test_an_answer_that_is_no_number_is_told(exported: Path, finished: dict[str, Any]) -> None:
    network = released(finished)
    dict(network.named_parameters())["network.members.0.emotion.5.bias"].data.fill_(float("nan"))
    path = exported.with_name("nan.pt")
    save(torch.jit.script(network), load(exported).meta, path)
    assert "found answer [nan, nan, nan, nan] to the probe" in refusal(path)


def test_a_probe_within_machines_differences_passes(exported: Path) -> None:
    artifact = load(exported)
    path = exported.with_name("elsewhere.pt")
    shifted = tuple(p + 5e-4 for p in artifact.meta.probe)
    save(artifact.module, replace(artifact.meta, probe=shifted), path)
    assert isinstance(load(path), Artifact)


def entries(path: Path) -> dict[str, bytes]:
    """What is in the file, but for its meta."""
    with zipfile.ZipFile(path) as file:
        names = [name for name in file.namelist() if not name.endswith("/extra/meta.json")]
        return {name: file.read(name) for name in names}


def test_another_meta_leaves_the_module_bit_for_bit(exported: Path) -> None:
    first, before = load(exported), entries(exported)
    thresholds = {**first.meta.thresholds, Emotion.ANGER: Thresholds(0.33, 0.22)}
    meta = replace(
        first.meta, thresholds=thresholds, training=first.meta.training | {"alerts": [1.5, None]}
    )
    rewritten = rewrite(exported, meta)
    assert entries(exported) == before
    again = load(exported)
    assert again.meta == rewritten.meta == meta
    assert again.digest == rewritten.digest != first.digest
    windows = noise(first.meta.features, [90, 33], seed=1)
    with torch.inference_mode():
        for one, other in zip(first(*windows), again(*windows), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_a_meta_of_another_model_is_refused_and_the_file_stays(exported: Path) -> None:
    before = exported.read_bytes()
    meta = replace(load(exported).meta, probe=(0.0, 0.0, 0.0, 1.0))
    with pytest.raises(ArtifactError, match="to the probe, expected"):
        rewrite(exported, meta)
    assert exported.read_bytes() == before
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_what_is_no_artifact_is_not_rewritten(exported: Path) -> None:
    meta = load(exported).meta
    exported.write_text("notes")
    with pytest.raises(ArtifactError, match="expected a whole TorchScript file"):
        rewrite(exported, meta)
    assert exported.read_text() == "notes"


def test_the_shipped_model_loads() -> None:
    assert load(SHIPPED).meta.format == FORMAT
