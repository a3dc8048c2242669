"""The trained model as the service gets it: one TorchScript file with its `meta.json` inside.

The file is the contract between training and the service: whoever can load it needs none of the
code that built it.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from model.features import FeatureSpec
from model.functionals import functional_count
from model.gate import GateSpec
from model.labels import EMOTIONS, STYLES, Emotion

FORMAT = 4  # of the file; a change that older services can't read counts up

PROBE_FRAMES = 300
PROBE_TOLERANCE = 1e-3  # between machines; on one machine export holds 1e-5


class ArtifactError(ValueError):
    """A file is not a usable model; the message says what was found and what was expected."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"model {path}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When an emotion's alert fires and clears, in smoothed probability."""

    fire_at: float
    clear_at: float


@dataclass(frozen=True, slots=True)
class ArtifactMeta:
    """What a model says of itself."""

    # A field that nobody here knows could change what a frame is; the specs inside inherit this.
    __pydantic_config__ = ConfigDict(extra="forbid")

    format: int
    name: str
    version: str
    created: str  # ISO 8601
    commit: str  # of the code that trained it
    emotions: tuple[str, ...]
    styles: tuple[str, ...]
    features: FeatureSpec
    gate: GateSpec
    thresholds: dict[Emotion, Thresholds]
    temperature: float
    operations: int  # floating-point operations of a full window
    training: dict[str, Any]  # config, corpora, speakers held out, scores
    licence: str
    probe: tuple[float, ...]  # what it answers to `probe`


@dataclass(frozen=True, slots=True)
class _AnyMeta:
    """Of a meta in whatever format: the rest of its fields may be others."""

    format: int


_META = TypeAdapter(ArtifactMeta)
_ANY_META = TypeAdapter(_AnyMeta)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model ready to answer."""

    meta: ArtifactMeta
    module: torch.jit.ScriptModule
    device: torch.device
    digest: str  # SHA-256 of the file

    def __call__(
        self,
        frames: Tensor,  # (B, T, channels), normalised
        lengths: Tensor,  # (B,) int64
        functionals: Tensor,  # (B, F) of the same frames, not normalised
        before: Tensor,  # (B, F) mean of those of the caller's utterances before
        utterances: Tensor,  # (B,) float, how many those were
    ) -> tuple[Tensor, Tensor]:
        """Posteriors (B, 4) and (B, 2)."""
        emotion, style = self.module(frames, lengths, functionals, before, utterances)
        return emotion, style


Input = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # what an artifact is called with


def noise(spec: FeatureSpec, lengths: Sequence[int], seed: int = 0) -> Input:
    """The same windows everywhere, of noise, padded to the longest: to see how a model answers."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((len(lengths), max(lengths), spec.channels)).astype(np.float32)
    told = rng.standard_normal((2, len(lengths), functional_count(spec))).astype(np.float32)
    return (
        torch.from_numpy(frames),
        torch.tensor(lengths),
        torch.from_numpy(told[0]),
        torch.from_numpy(told[1]),
        torch.arange(len(lengths), dtype=torch.float32),
    )


def probe(spec: FeatureSpec) -> Input:
    """What every artifact is asked when it is exported, and again when it is loaded."""
    return noise(spec, [PROBE_FRAMES])


def save(module: torch.jit.ScriptModule, meta: ArtifactMeta, path: Path) -> None:
    """Writes the artifact, its meta inside."""
    torch.jit.save(module, path, _extra_files={"meta.json": _META.dump_json(meta, indent=2)})


def rewrite(path: Path, meta: ArtifactMeta) -> Artifact:
    """Gives an artifact another meta; all else in the file stays bit for bit.

    Written beside, then renamed, once it has been verified.

    Raises:
        ArtifactError: as `load`, and then the file stays as it was.
    """
    load(path)
    unfinished = path.with_suffix(".part")
    try:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(unfinished, "w") as new:
            for entry in old.infolist():
                is_meta = entry.filename.endswith("/extra/meta.json")
                new.writestr(entry, _META.dump_json(meta, indent=2) if is_meta else old.read(entry))
        artifact = load(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return artifact


def load(path: Path, device: torch.device | str = "cpu") -> Artifact:
    """Reads and verifies an artifact.

    Raises:
        ArtifactError: there is no such file, it is truncated or something else, of another
            format, for other labels or features, or doesn't answer as it did when exported.
    """
    device = torch.device(device)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(path, str(error.strerror), "a readable file") from error
    extra = {"meta.json": ""}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            damaged = file.testzip()  # torch itself looks at no checksum
        if damaged:
            raise ArtifactError(path, f"damage in {damaged}", "a whole TorchScript file")
        module = torch.jit.load(io.BytesIO(data), map_location=device, _extra_files=extra)  # type: ignore[no-untyped-call]
    except (zipfile.BadZipFile, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise ArtifactError(path, first_line, "a whole TorchScript file") from error
    if not extra["meta.json"]:
        raise ArtifactError(path, "no meta.json inside", "an artifact made by `kanjo export`")
    try:
        written_in = _ANY_META.validate_json(extra["meta.json"]).format
        if written_in != FORMAT:
            raise ArtifactError(path, f"format {written_in}", str(FORMAT))
        meta = _META.validate_json(extra["meta.json"])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            path, f"meta.json: {where}: {first['msg']}", f"that of format {FORMAT}"
        ) from error
    for what, found, expected in (
        ("emotions", list(meta.emotions), [e.value for e in EMOTIONS]),
        ("styles", list(meta.styles), [s.value for s in STYLES]),
    ):
        if found != expected:
            raise ArtifactError(path, f"{what} {found}", str(expected))
    digest = hashlib.sha256(data).hexdigest()
    artifact = Artifact(meta, module.eval(), device, digest)
    try:
        with torch.inference_mode():
            answered, _ = artifact(*(tensor.to(device) for tensor in probe(meta.features)))
    except RuntimeError as error:
        told = (
            f"{meta.features.channels} channels and {functional_count(meta.features)} functionals"
        )
        last_line = str(error).splitlines()[-1]
        raise ArtifactError(path, last_line, f"a network that is told {told}") from error
    if not np.allclose(answered[0].cpu().numpy(), meta.probe, atol=PROBE_TOLERANCE):
        said = [round(p, 4) for p in answered[0].tolist()]
        raise ArtifactError(path, f"answer {said} to the probe", f"{meta.probe}")
    return artifact
