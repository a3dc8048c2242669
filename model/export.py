"""Exports a training's checkpoint as the artifact that the service loads.

The format is TorchScript, although PyTorch has deprecated it: one file holds weights and code,
loads without the code that built it, and takes any length and batch size. Another format would
change this module and `artifact`, nothing else.
"""

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from model import artifact
from model.artifact import DEFAULT_SERVING, ArtifactMeta, ServingSpec, Thresholds
from model.chunk_encoder import ChunkEncoder, encoder_operations
from model.embedding import EmbeddingSpec
from model.encoder import EncoderFileError, load_encoder
from model.encoder_config import EncoderConfig
from model.encoder_frames import EncoderFrameSpec
from model.features import FeatureSpec
from model.files import atomic_write
from model.gate import GateSpec
from model.input_sizes import InputSpec, input_sizes
from model.labels import EMOTIONS, STYLES, Emotion
from model.network import EmotionNetwork, NetworkConfig, operations

TOLERANCE = 1e-5  # largest accepted difference of a probability between checkpoint and artifact
# And where the artifact, because of its encoder, has weights in half precision.
ROUNDING_TOLERANCE = 1e-2

AT_THE_END = {"temperature", "scores", "trained_on"}  # added to best.pt when a training ends

Config = TypeVar("Config")


class ExportError(ValueError):
    """A checkpoint cannot be exported; the message states what was found and what was expected."""


class CalibratedNetwork(nn.Module):
    """The network as it is served: it returns calibrated posteriors instead of logits."""

    def __init__(self, network: EmotionNetwork, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns posteriors (B, 4) and (B, 2); the arguments are those of the network."""
        emotion, style = self.network(frames, lengths, functionals, baseline, baseline_utterances)
        return (emotion / self.temperature).softmax(1), style.softmax(1)


class NetworkWithEncoder(nn.Module):
    """The network as it is served together with its encoder."""

    def __init__(self, network: CalibratedNetwork, encoder: ChunkEncoder) -> None:
        super().__init__()
        self.network = network
        self.encoder = encoder

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        baseline: Tensor,
        baseline_utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns posteriors (B, 4) and (B, 2) of windows of rows (B, T, d_frame)."""
        posteriors: tuple[Tensor, Tensor] = self.network(
            frames, lengths, functionals, baseline, baseline_utterances
        )
        return posteriors

    @torch.jit.export
    def embed(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Returns the rows of chunks; the arguments are those of the `ChunkEncoder`."""
        rows: Tensor = self.encoder(frames, lengths)
        return rows


def released(state: Mapping[str, Any]) -> CalibratedNetwork:
    """Returns the network of a finished training's checkpoint, in evaluation mode.

    Raises:
        ExportError: the checkpoint lacks a field, its weights are another network's, or some of
            them are not finite.
    """
    missing = {"config", "network", "temperature", "scores", "trained_on", "epoch"} - set(state)
    if "optimizer" in state:
        raise ExportError("a checkpoint to go on from, expected best.pt beside it")
    if missing == AT_THE_END:
        raise ExportError(
            "the training has not ended, expected a finished one's: the same `kanjo train` goes on"
        )
    if missing:
        raise ExportError(f"checkpoint without {sorted(missing)}, expected a finished training's")
    network = EmotionNetwork(_config_of(state["config"], "network", NetworkConfig))
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise ExportError(f"weights of another network: {error}") from error
    for name, weight in network.state_dict().items():
        if not weight.isfinite().all():
            raise ExportError(
                f"weights {name} are not all finite, expected a training that converged"
            )
    return CalibratedNetwork(network, state["temperature"]).eval()


def _config_of(config: Mapping[str, Any], name: str, kind: type[Config]) -> Config:
    try:
        return kind(**config[name])
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"config of {name}: {error!r}, expected a {kind.__name__}") from error


def inputs_of(config: Mapping[str, Any]) -> tuple[InputSpec, GateSpec]:
    """Returns how speech becomes what a checkpoint's network is given, by the checkpoint's config.

    Raises:
        ExportError: the config lacks a field, or a value is impossible.
    """
    gate = _config_of(config, "gate", GateSpec)
    return _embedding_of(config) or _config_of(config, "features", FeatureSpec), gate


def _embedding_of(config: Mapping[str, Any]) -> EmbeddingSpec | None:
    """Returns the spec of a checkpoint's encoder; None if its network takes log-mel frames."""
    if config.get("embedding") is None:
        return None
    embedding = dict(config["embedding"])
    embedding["frames"] = _config_of(embedding, "frames", EncoderFrameSpec)
    embedding["encoder"] = _config_of(embedding, "encoder", EncoderConfig)
    return _config_of({"embedding": embedding}, "embedding", EmbeddingSpec)


def _encoder_of(spec: EmbeddingSpec, path: Path | None) -> ChunkEncoder:
    """Returns the encoder that a training used, of the file at `path`."""
    if path is None:
        raise ExportError("a network on embeddings, expected the file of its encoder as well")
    try:
        encoder = load_encoder(path, spec.encoder)
    except EncoderFileError as error:
        raise ExportError(str(error)) from error
    if encoder.digest() != spec.digest:
        raise ExportError(
            f"{path}: weights {encoder.digest()[:16]}, expected {spec.digest[:16]}, with which the "
            f"network was trained"
        )
    return ChunkEncoder(encoder, spec.row_steps).eval()


def _require_sizes(config: NetworkConfig, inputs: InputSpec) -> None:
    """Raises ExportError unless the network was built for these inputs."""
    expected = input_sizes(inputs)
    if (config.d_frame, config.functionals) != expected[:2]:
        kind = "embedding" if isinstance(inputs, EmbeddingSpec) else "feature"
        raise ExportError(
            f"a network for {config.d_frame} features and {config.functionals} functionals, "
            f"expected the {expected.n_features} and {expected.functionals} of its {kind} spec"
        )


@torch.inference_mode()
def _probed(encoder: ChunkEncoder, spec: EmbeddingSpec) -> tuple[float, ...]:
    return artifact.sample(encoder(*artifact.probe_chunk(spec)))


def _halve(module: nn.Module) -> None:
    """Takes all matrices of a module to half precision.

    Vectors stay as they are: they are small, and the means among them are subtracted from numbers
    of nearly the same size.
    """
    for weight in (*module.parameters(), *module.buffers()):
        if weight.is_floating_point() and weight.dim() > 1:
            weight.data = weight.data.half()


def _rounded(network: CalibratedNetwork, spec: EmbeddingSpec) -> CalibratedNetwork:
    """Returns the network with its matrices rounded to half precision, as they are written.

    Raises:
        ExportError: its answers are then others.
    """
    rounded = deepcopy(network)
    _halve(rounded)
    rounded.float()
    difference = largest_difference(network, rounded, spec)
    if not difference <= ROUNDING_TOLERANCE:
        raise ExportError(
            f"in half precision the answers differ by {difference:.1e}, "
            f"expected at most {ROUNDING_TOLERANCE:.0e}"
        )
    return rounded


def _scripted(network: CalibratedNetwork, encoder: ChunkEncoder | None) -> torch.jit.ScriptModule:
    """Returns what is written into the artifact: in half precision, if it has an encoder."""
    if encoder is None:
        return torch.jit.freeze(torch.jit.script(network))  # type: ignore[no-any-return]
    both = deepcopy(NetworkWithEncoder(network, encoder))
    _halve(both)
    return torch.jit.script(both)


@torch.inference_mode()
def largest_difference(one: nn.Module, other: nn.Module, spec: InputSpec) -> float:
    """Returns the largest difference of any probability between two networks.

    They are compared on windows of several lengths, alone and in a padded batch.
    """
    longest = input_sizes(spec).longest
    short = max(1, round(longest / 15))
    largest = 0.0
    for lengths in ([longest], [short], [longest, longest // 2, round(longest / 5), short]):
        windows = artifact.noise(spec, lengths)
        for a, b in zip(one(*windows), other(*windows), strict=True):
            largest = max(largest, float((a - b).abs().max()))
    return largest


def export(
    checkpoint: Path,
    path: Path,
    *,
    name: str,
    version: str,
    commit: str,
    licence: str,
    thresholds: Mapping[Emotion, Thresholds],
    serving: ServingSpec = DEFAULT_SERVING,
    encoder: Path | None = None,
) -> ArtifactMeta:
    """Writes the artifact of a finished training and returns its meta.

    Args:
        encoder: file of the encoder whose embeddings the network was trained on (`load_encoder`);
            not read if it was trained on log-mel frames.

    Raises:
        ExportError: the checkpoint is unreadable or unfinished, the encoder is another one, or the
            artifact's answers differ from the checkpoint's; nothing is written then.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes make its unpickler raise
        raise ExportError(f"{checkpoint}: {error}") from error
    if not isinstance(state, dict):
        raise ExportError(f"{checkpoint}: found {type(state).__name__}, expected a checkpoint")
    try:
        original = released(state)
        config = state["config"]
        features = _config_of(config, "features", FeatureSpec)
        gate = _config_of(config, "gate", GateSpec)
        embedding = _embedding_of(config)
        _require_sizes(original.network.config, embedding or features)
        chunks = _encoder_of(embedding, encoder) if embedding else None
        if embedding:
            original = _rounded(original, embedding)
    except ExportError as error:
        raise ExportError(f"{checkpoint}: {error}") from error
    inputs = embedding or features
    embedding_probe = _probed(chunks, embedding) if chunks and embedding else ()
    scripted = _scripted(original, chunks)
    with torch.inference_mode():
        probed, _ = (original if embedding else scripted)(*artifact.probe(inputs))
    meta = ArtifactMeta(
        format=artifact.FORMAT,
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        emotions=tuple(EMOTIONS),
        styles=tuple(STYLES),
        features=features,
        gate=gate,
        thresholds=dict(thresholds),
        temperature=state["temperature"],
        operations=operations(original.network.config, input_sizes(inputs).longest),
        training={key: state[key] for key in ("config", "scores", "trained_on", "epoch")},
        licence=licence,
        probe=tuple(probed[0].tolist()),
        serving=serving,
        embedding=embedding,
        embedding_probe=embedding_probe,
        encoder_operations=(
            encoder_operations(embedding.encoder, embedding.chunk_hops) if embedding else 0
        ),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        artifact.save(scripted, meta, unfinished)
        written = artifact.load(unfinished)
        difference = largest_difference(original, written.module, inputs)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{checkpoint}: the artifact's answers differ by {difference:.1e}, "
                f"expected at most {TOLERANCE:.0e}"
            )
    return written.meta
