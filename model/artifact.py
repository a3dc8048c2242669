"""The trained model as the service loads it: one TorchScript file with its `meta.json` inside.

The file is the contract between training and service: to load it, none of the code that built it is
needed. Where a model takes embeddings, their encoder is inside as well: all matrices are then in
half precision in the file, and are computed with in single precision.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from model.embedding import EmbeddingSpec
from model.features import FeatureSpec
from model.files import atomic_write
from model.gate import GateSpec
from model.input_sizes import InputSpec, input_sizes
from model.labels import EMOTIONS, STYLES, Emotion

# Of the file; it counts up with every change that makes an earlier version unable to load one.
FORMAT = 5
LOADED = (4, 5)  # formats that can be loaded; 4 has no encoder

PROBE_FRAMES = 300
PROBE_TOLERANCE = 1e-3  # between machines; on one machine `export` holds 1e-5
PROBED_NUMBERS = 32  # of an encoder's answer
EMBEDDING_TOLERANCE = 2e-2  # of those, which are up to about 7, between machines

FIRST_RANGE_S = (0.5, 7.5)  # of a `ServingSpec`, and of the service's settings
HOP_RANGE_S = (0.25, 7.5)


class ArtifactError(ValueError):
    """A file is not a usable model; the message states what was found and what was expected."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"model {path}: found {found}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The smoothed probabilities at which an emotion's alert fires and below which it clears."""

    fire_at: float
    clear_at: float


@dataclass(frozen=True, slots=True)
class ServingSpec:
    """When the windows of a stretch of speech are scored, in seconds of speech.

    Training cuts no utterance shorter than the first window.

    Raises:
        ValueError: a value is out of its range.
    """

    first_s: float = 1.5  # before the first window
    hop_s: float = 1.0  # from one window to the next

    def __post_init__(self) -> None:
        for name, seconds, (least, most) in (
            ("first_s", self.first_s, FIRST_RANGE_S),
            ("hop_s", self.hop_s, HOP_RANGE_S),
        ):
            if not (isinstance(seconds, int | float) and least <= seconds <= most):
                raise ValueError(f"serving: {name} is {seconds!r}, expected {least} to {most}")

    def override(self, first_s: float | None, hop_s: float | None) -> "ServingSpec":
        """Returns this spec with the given values in place of its own; None keeps its own."""
        return ServingSpec(
            self.first_s if first_s is None else first_s,
            self.hop_s if hop_s is None else hop_s,
        )


DEFAULT_SERVING = ServingSpec()


@dataclass(frozen=True, slots=True)
class ArtifactMeta:
    """The description of a model, stored inside its artifact as `meta.json`."""

    # Unknown fields are refused, here and in the specs inside: one could change what a frame is.
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
    operations: int  # floating-point operations of a full window, without an encoder's
    training: dict[str, Any]  # config, corpora, speakers held out, scores
    licence: str
    probe: tuple[float, ...]  # the emotions' posteriors of the window `probe`
    serving: ServingSpec = DEFAULT_SERVING  # older artifacts of format 4 have none
    # Of a model with an encoder. `features` are then those of the speech check only.
    embedding: EmbeddingSpec | None = None
    embedding_probe: tuple[float, ...] = ()  # `sample` of the encoder's rows of `probe_chunk`
    encoder_operations: int = 0  # floating-point operations of a full chunk

    @property
    def inputs(self) -> InputSpec:
        """How speech becomes what the network is given."""
        return self.embedding or self.features


@dataclass(frozen=True, slots=True)
class _AnyMeta:
    """The one field that the meta of every format has."""

    format: int


_META = TypeAdapter(ArtifactMeta)
_ANY_META = TypeAdapter(_AnyMeta)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A loaded and verified model."""

    meta: ArtifactMeta
    module: torch.jit.ScriptModule
    device: torch.device
    digest: str  # SHA-256 of the file

    def embed(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Returns the rows of chunks (`model.chunk_encoder.ChunkEncoder`), if it has an encoder."""
        rows: Tensor = self.module.embed(frames, lengths)
        return rows

    def __call__(
        self,
        frames: Tensor,  # (B, T, n_features), normalised; or rows (B, T, d_frame) as they are
        lengths: Tensor,  # (B,) int64
        functionals: Tensor,  # (B, F) of the same frames, not normalised
        baseline: Tensor,  # (B, F) mean functionals of the caller's earlier utterances
        baseline_utterances: Tensor,  # (B,) float, how many those are
    ) -> tuple[Tensor, Tensor]:
        """Returns the posteriors of the emotions (B, 4) and of the styles (B, 2)."""
        emotion, style = self.module(frames, lengths, functionals, baseline, baseline_utterances)
        return emotion, style


Input = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]  # the arguments of an artifact


def noise(spec: InputSpec, lengths: Sequence[int], seed: int = 0) -> Input:
    """Returns windows of noise, padded to the longest: the same on every machine.

    Row i has a baseline of i utterances.
    """
    sizes = input_sizes(spec)
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((len(lengths), max(lengths), sizes.n_features)).astype(np.float32)
    voices = rng.standard_normal((2, len(lengths), sizes.functionals)).astype(np.float32)
    return (
        torch.from_numpy(frames),
        torch.tensor(lengths),
        torch.from_numpy(voices[0]),
        torch.from_numpy(voices[1]),
        torch.arange(len(lengths), dtype=torch.float32),
    )


def probe(spec: InputSpec) -> Input:
    """Returns the window on which an artifact is tested at export and again whenever it loads."""
    return noise(spec, [PROBE_FRAMES])


def probe_chunk(spec: EmbeddingSpec) -> tuple[Tensor, Tensor]:
    """Returns the chunk on which an encoder is tested: frames (1, T, n_mels) and their number."""
    shape = (1, spec.chunk_hops, spec.frames.n_mels)
    frames = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return torch.from_numpy(frames), torch.tensor([spec.chunk_hops])


def sample(rows: Tensor) -> tuple[float, ...]:
    """Returns PROBED_NUMBERS of a chunk's rows, evenly spaced."""
    flat = rows.flatten().cpu()
    at = torch.linspace(0, len(flat) - 1, PROBED_NUMBERS, dtype=torch.float64).long()
    return tuple(flat[at].tolist())


def _meta_json(meta: ArtifactMeta) -> bytes:
    """Returns the text of `meta.json`; without an encoder it has no fields of one."""
    of_encoder = {"embedding", "embedding_probe", "encoder_operations"}
    return _META.dump_json(meta, indent=2, exclude=None if meta.embedding else of_encoder)


def save(module: torch.jit.ScriptModule, meta: ArtifactMeta, path: Path) -> None:
    """Writes an artifact with its meta inside."""
    torch.jit.save(module, path, _extra_files={"meta.json": _meta_json(meta)})


def rewrite(path: Path, meta: ArtifactMeta) -> Artifact:
    """Replaces the meta of an artifact; all else in the file stays bit for bit.

    The new file is written beside the old one, verified, and then renamed.

    Raises:
        ArtifactError: as `load`; the file then stays as it was.
    """
    load(path)
    with atomic_write(path) as unfinished:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(unfinished, "w") as new:
            for entry in old.infolist():
                is_meta = entry.filename.endswith("/extra/meta.json")
                new.writestr(entry, _meta_json(meta) if is_meta else old.read(entry))
        artifact = load(unfinished)
    return artifact


def load(path: Path, device: torch.device | str = "cpu") -> Artifact:
    """Reads and verifies an artifact.

    Raises:
        ArtifactError: there is no such file; it is truncated or no artifact; it is of another
            format, or for other labels or features; or its answer to the probe is not the one
            recorded at export.
    """
    device = torch.device(device)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(path, str(error.strerror), "a readable file") from error
    module, meta_json = _unpack(path, data, device)
    meta = _read_meta(path, meta_json)
    if meta.embedding:
        module = _in_single_precision(path, module)
    artifact = Artifact(meta, module.eval(), device, hashlib.sha256(data).hexdigest())
    _verify_probe(path, artifact)
    if meta.embedding:
        _verify_encoder(path, artifact, meta.embedding)
    return artifact


def _unpack(
    path: Path, data: bytes, device: torch.device
) -> tuple[torch.jit.ScriptModule, str | bytes]:
    """Returns the module and the text of the `meta.json` in an artifact's bytes."""
    extra: dict[str, str | bytes] = {"meta.json": ""}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            damaged = file.testzip()  # torch itself verifies no checksum
        if damaged:
            raise ArtifactError(path, f"damage in {damaged}", "a whole TorchScript file")
        module = torch.jit.load(io.BytesIO(data), map_location=device, _extra_files=extra)  # type: ignore[no-untyped-call]
    except (zipfile.BadZipFile, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise ArtifactError(path, first_line, "a whole TorchScript file") from error
    if not extra["meta.json"]:
        raise ArtifactError(path, "no meta.json inside", "an artifact made by `kanjo export`")
    return module, extra["meta.json"]


def _in_single_precision(path: Path, module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Returns a module, written in half precision, that computes in single precision.

    `export` does not freeze such a module, because frozen weights stay in their precision.
    """
    if not hasattr(module, "embed"):
        raise ArtifactError(path, "a model without an encoder", "one, because its meta has one")
    return torch.jit.freeze(module.float().eval(), preserved_attrs=["embed"])  # type: ignore[no-any-return]


def _read_meta(path: Path, meta_json: str | bytes) -> ArtifactMeta:
    try:
        written_format = _ANY_META.validate_json(meta_json).format
        if written_format not in LOADED:
            raise ArtifactError(path, f"format {written_format}", " or ".join(map(str, LOADED)))
        meta = _META.validate_json(meta_json)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(name) for name in first["loc"])
        raise ArtifactError(
            path, f"meta.json: {field}: {first['msg']}", f"that of format {FORMAT}"
        ) from error
    for labels, found, expected in (
        ("emotions", list(meta.emotions), [e.value for e in EMOTIONS]),
        ("styles", list(meta.styles), [s.value for s in STYLES]),
    ):
        if found != expected:
            raise ArtifactError(path, f"{labels} {found}", str(expected))
    return meta


def _verify_probe(path: Path, artifact: Artifact) -> None:
    meta = artifact.meta
    try:
        with torch.inference_mode():
            emotion, _ = artifact(*(tensor.to(artifact.device) for tensor in probe(meta.inputs)))
    except RuntimeError as error:
        expected = input_sizes(meta.inputs)
        sizes = f"{expected.n_features} features and {expected.functionals}"
        last_line = str(error).splitlines()[-1]
        raise ArtifactError(path, last_line, f"a network for {sizes} functionals") from error
    if not np.allclose(emotion[0].cpu().numpy(), meta.probe, atol=PROBE_TOLERANCE):
        answer = [round(p, 4) for p in emotion[0].tolist()]
        raise ArtifactError(path, f"answer {answer} to the probe", f"{meta.probe}")


def _verify_encoder(path: Path, artifact: Artifact, spec: EmbeddingSpec) -> None:
    expected_shape = (1, spec.rows_in(spec.chunk_hops), 2, spec.layers, spec.encoder.d_model)
    try:
        with torch.inference_mode():
            rows = artifact.embed(*(tensor.to(artifact.device) for tensor in probe_chunk(spec)))
    except RuntimeError as error:
        last_line = str(error).splitlines()[-1]
        raise ArtifactError(path, last_line, f"an encoder of {spec.frames.n_mels} bands") from error
    if rows.shape != expected_shape:
        raise ArtifactError(path, f"rows {tuple(rows.shape)}", str(expected_shape))
    found, expected = sample(rows), artifact.meta.embedding_probe
    if len(expected) != PROBED_NUMBERS or not np.allclose(
        found, expected, rtol=0, atol=EMBEDDING_TOLERANCE
    ):
        first = [round(number, 3) for number in found[:4]]
        raise ArtifactError(path, f"the encoder's answer {first}...", f"{expected[:4]}...")
