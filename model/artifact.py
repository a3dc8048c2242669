"""The trained model as the service gets it: one TorchScript file with its `meta.json` inside.

The file is the contract between training and the service: whoever can load it needs none of the
code that built it.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from model.features import FeatureSpec
from model.gate import GateSpec
from model.labels import EMOTIONS, STYLES, Emotion

FORMAT = 1  # of the file; a change that older services can't read counts up

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
    probe: tuple[float, ...]  # what it answers to `probe_frames`


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

    def __call__(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, n_mels) normalised frames and (B,) int64 to posteriors (B, 4) and (B, 2)."""
        emotion, style = self.module(frames, lengths)
        return emotion, style


def probe_frames(spec: FeatureSpec) -> Tensor:
    """The same input (1, T, n_mels) everywhere, to see that a model answers as when exported."""
    noise = np.random.default_rng(0).standard_normal((1, PROBE_FRAMES, spec.n_mels))
    return torch.from_numpy(noise.astype(np.float32))


def save(module: torch.jit.ScriptModule, meta: ArtifactMeta, path: Path) -> None:
    """Writes the artifact, its meta inside."""
    torch.jit.save(module, path, _extra_files={"meta.json": _META.dump_json(meta, indent=2)})


def load(path: Path, device: torch.device | str = "cpu") -> Artifact:
    """Reads and verifies an artifact.

    Raises:
        ArtifactError: there is no such file, it is truncated or something else, of another
            format, for other labels, or doesn't answer as it did when it was exported.
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
    frames = probe_frames(meta.features).to(device)
    with torch.inference_mode():
        answered, _ = artifact(frames, torch.tensor([PROBE_FRAMES], device=device))
    if not np.allclose(answered[0].cpu().numpy(), meta.probe, atol=PROBE_TOLERANCE):
        said = [round(p, 4) for p in answered[0].tolist()]
        raise ArtifactError(path, f"answer {said} to the probe", f"{meta.probe}")
    return artifact
