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
    DEFAULT_SERVING,
    FORMAT,
    LOADED,
    Artifact,
    ArtifactError,
    ArtifactMeta,
    ServingSpec,
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
    """Writes an artifact of the same weights with another `meta.json`."""
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
def test_a_saved_artifact_loads_unchanged(exported: Path, tmp_path: Path) -> None:
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


def test_the_digest_is_that_of_the_file(exported: Path) -> None:
    assert load(exported).digest == hashlib.sha256(exported.read_bytes()).hexdigest()


@both_kinds
def test_the_probe_is_the_same_everywhere(spec: FeatureSpec) -> None:
    frames, lengths, functionals, baseline, baseline_utterances = probe(spec)
    assert frames.shape == (1, 300, spec.n_features)
    assert functionals.shape == baseline.shape == (1, functional_count(spec))
    first = torch.tensor([0.12573022, -0.13210486, 0.64042264])  # PCG64 from seed 0
    torch.testing.assert_close(frames[0, 0, :3], first)
    assert (lengths.tolist(), baseline_utterances.tolist()) == ([300], [0.0])


@both_kinds
def test_noise_has_a_growing_baseline_and_is_reproducible(spec: FeatureSpec) -> None:
    frames, lengths, functionals, baseline, baseline_utterances = noise(spec, [20, 60, 7], seed=3)
    assert frames.shape == (3, 60, spec.n_features)
    assert functionals.shape == baseline.shape == (3, functional_count(spec))
    assert lengths.tolist() == [20, 60, 7]
    assert baseline_utterances.tolist() == [0.0, 1.0, 2.0]
    torch.testing.assert_close(noise(spec, [20, 60, 7], seed=3)[0], frames, rtol=0, atol=0)
    assert not torch.equal(noise(spec, [20, 60, 7], seed=4)[0], frames)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pt")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(exported: Path, kept: float) -> None:
    data = exported.read_bytes()
    exported.write_bytes(data[: int(kept * len(data))])
    assert "expected a whole TorchScript file" in refusal(exported)


def test_a_damaged_file_is_refused(exported: Path) -> None:
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


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 20)
    assert "expected a whole TorchScript file" in refusal(path)


def test_a_zip_that_is_no_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/readme.txt", "nothing to run")
    assert "expected a whole TorchScript file" in refusal(path)


def test_a_checkpoint_is_refused(checkpoint: Path) -> None:
    assert "expected a whole TorchScript file" in refusal(checkpoint)


def test_torchscript_without_meta_is_refused(exported: Path) -> None:
    path = exported.with_name("bare.pt")
    torch.jit.save(torch.jit.load(exported), path)
    assert "found no meta.json inside, expected an artifact made by `kanjo export`" in refusal(path)


def test_another_format_is_refused(exported: Path) -> None:
    path = changed(exported, format=FORMAT + 1)
    assert f"found format {FORMAT + 1}, expected 4 or {FORMAT}" in refusal(path)
    path = changed(exported, format=FORMAT + 1, mood="new in that format")
    assert f"found format {FORMAT + 1}, expected 4 or {FORMAT}" in refusal(path)


def test_other_labels_are_refused(exported: Path) -> None:
    emotions = ["anger", "sadness", "happiness", "neutral"]
    message = refusal(changed(exported, emotions=emotions))
    assert f"found emotions {emotions}" in message
    assert "expected ['anger', 'happiness', 'sadness', 'neutral']" in message
    message = refusal(changed(exported, styles=["acted"]))
    assert "found styles ['acted'], expected ['acted', 'spontaneous']" in message


@pytest.mark.parametrize("name", ["features", "gate"])
def test_an_unknown_field_is_refused(exported: Path, name: str) -> None:
    inner = meta_of(exported)[name] | {"cepstra": 13}
    assert f"meta.json: {name}.cepstra" in refusal(changed(exported, **{name: inner}))


def test_a_missing_field_is_refused(exported: Path) -> None:
    meta = meta_of(exported)
    del meta["thresholds"]
    assert "meta.json: thresholds: Field required" in refusal(with_meta(exported, json.dumps(meta)))


def test_a_value_out_of_bounds_is_refused(exported: Path) -> None:
    features = meta_of(exported)["features"] | {"normalisation": "loudest"}
    message = refusal(changed(exported, features=features))
    assert "meta.json: features.normalisation: Input should be 'utterance'" in message
    gate = meta_of(exported)["gate"] | {"aggressiveness": 9}
    assert "aggressiveness is 9, expected 0, 1, 2 or 3" in refusal(changed(exported, gate=gate))


@both_kinds
def test_the_spec_of_another_network_is_refused(exported: Path) -> None:
    features = meta_of(exported)["features"]
    others = [{"pitch_lags": 7}, {"functionals": False}] if features["functionals"] else []
    for other in (*others, {"n_mels": 30}):
        spec = FeatureSpec(**features | other)
        sizes = f"a network for {spec.n_features} features and {functional_count(spec)} functionals"
        assert sizes in refusal(changed(exported, features=features | other))


def test_meta_that_is_no_json_is_refused(exported: Path) -> None:
    assert "meta.json: : Invalid JSON" in refusal(with_meta(exported, "{"))


def test_weights_other_than_those_exported_are_refused(
    exported: Path, finished: dict[str, Any]
) -> None:
    finished["network"]["members.0.emotion.5.bias"][0] += 0.1
    path = exported.with_name("other.pt")
    save(torch.jit.script(released(finished)), load(exported).meta, path)
    message = refusal(path)
    assert "found answer [" in message
    assert "] to the probe, expected (" in message


def test_an_answer_that_is_no_number_is_refused(exported: Path, finished: dict[str, Any]) -> None:
    network = released(finished)
    dict(network.named_parameters())["network.members.0.emotion.5.bias"].data.fill_(float("nan"))
    path = exported.with_name("nan.pt")
    save(torch.jit.script(network), load(exported).meta, path)
    assert "found answer [nan, nan, nan, nan] to the probe" in refusal(path)


def test_a_probe_within_the_difference_between_machines_passes(exported: Path) -> None:
    artifact = load(exported)
    path = exported.with_name("elsewhere.pt")
    shifted = tuple(p + 5e-4 for p in artifact.meta.probe)
    save(artifact.module, replace(artifact.meta, probe=shifted), path)
    assert isinstance(load(path), Artifact)


def entries(path: Path) -> dict[str, bytes]:
    """Returns the content of the file, except for its meta."""
    with zipfile.ZipFile(path) as file:
        names = [name for name in file.namelist() if not name.endswith("/extra/meta.json")]
        return {name: file.read(name) for name in names}


def test_a_rewritten_meta_leaves_the_module_bit_for_bit(exported: Path) -> None:
    first, before = load(exported), entries(exported)
    thresholds = {**first.meta.thresholds, Emotion.ANGER: Thresholds(0.33, 0.22)}
    training = first.meta.training | {"alerts": [1.5, None]}
    meta = replace(
        first.meta, thresholds=thresholds, training=training, serving=ServingSpec(2.0, 0.5)
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


def test_the_meta_of_another_model_is_refused_and_the_file_stays(exported: Path) -> None:
    before = exported.read_bytes()
    meta = replace(load(exported).meta, probe=(0.0, 0.0, 0.0, 1.0))
    with pytest.raises(ArtifactError, match="to the probe, expected"):
        rewrite(exported, meta)
    assert exported.read_bytes() == before
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]


def test_only_an_artifact_is_rewritten(exported: Path) -> None:
    meta = load(exported).meta
    exported.write_text("notes")
    with pytest.raises(ArtifactError, match="expected a whole TorchScript file"):
        rewrite(exported, meta)
    assert exported.read_text() == "notes"


def test_the_shipped_model_loads() -> None:
    assert load(SHIPPED).meta.format in LOADED


# When windows are scored.


def test_an_artifact_without_a_serving_spec_has_the_default(exported: Path) -> None:
    """So do artifacts that were exported before there was one, the shipped one among them."""
    meta = meta_of(exported)
    assert meta.pop("serving") == {"first_s": 1.5, "hop_s": 1.0}
    assert load(with_meta(exported, json.dumps(meta))).meta.serving == DEFAULT_SERVING
    assert load(SHIPPED).meta.serving == DEFAULT_SERVING


def test_an_impossible_serving_spec_is_refused(exported: Path) -> None:
    for serving, expected in (
        ({"first_s": 0.4}, "serving: first_s is 0.4, expected 0.5 to 7.5"),
        ({"first_s": 7.6}, "serving: first_s is 7.6, expected 0.5 to 7.5"),
        ({"hop_s": 0.2}, "serving: hop_s is 0.2, expected 0.25 to 7.5"),
        ({"hop_s": 7.6}, "serving: hop_s is 7.6, expected 0.25 to 7.5"),
    ):
        assert expected in refusal(changed(exported, serving=serving))
    with pytest.raises(ValueError, match="hop_s is nan"):
        ServingSpec(hop_s=float("nan"))


def test_given_values_override_those_of_the_model() -> None:
    own = ServingSpec(2.0, 0.5)
    assert own.override(None, None) == own
    assert own.override(1.0, None) == ServingSpec(1.0, 0.5)
    assert own.override(None, 3.0) == ServingSpec(2.0, 3.0)
