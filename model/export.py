"""Exports a training's checkpoint as the artifact that the service loads.

The format is TorchScript, although PyTorch has deprecated it: one file holds weights and code,
loads without the code that built it, and takes any length and batch size. Another format would
change this module and `artifact`, nothing else.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from model import artifact
from model.artifact import DEFAULT_SERVING, ArtifactMeta, ServingSpec, Thresholds
from model.features import FeatureSpec
from model.files import atomic_write
from model.functionals import functional_count
from model.gate import GateSpec
from model.labels import EMOTIONS, STYLES, Emotion
from model.network import EmotionNetwork, NetworkConfig, operations

TOLERANCE = 1e-5  # largest accepted difference of a probability between checkpoint and artifact

AT_THE_END = {"temperature", "scores", "trained_on"}  # added to best.pt when a training ends

Config = TypeVar("Config")


class ExportError(ValueError):
    """A checkpoint cannot be exported; the message says what was found and what was expected."""


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


@torch.inference_mode()
def largest_difference(one: nn.Module, other: nn.Module, spec: FeatureSpec) -> float:
    """Returns the largest difference of any probability between two networks.

    They are compared on windows of several lengths, alone and in a padded batch.
    """
    longest = spec.window_frames
    largest = 0.0
    for lengths in ([longest], [50], [longest, longest // 2, 150, 50]):
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
) -> ArtifactMeta:
    """Writes the artifact of a finished training and returns its meta.

    Raises:
        ExportError: the checkpoint is unreadable or unfinished, or the artifact's answers differ
            from the checkpoint's; nothing is written then.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes make its unpickler raise
        raise ExportError(f"{checkpoint}: {error}") from error
    if not isinstance(state, dict):
        raise ExportError(f"{checkpoint}: found {type(state).__name__}, expected a checkpoint")
    try:
        original = released(state)
    except ExportError as error:
        raise ExportError(f"{checkpoint}: {error}") from error
    config = state["config"]
    spec = _config_of(config, "features", FeatureSpec)
    gate = _config_of(config, "gate", GateSpec)
    network_sizes = (original.network.config.d_frame, original.network.config.functionals)
    spec_sizes = (spec.n_features, functional_count(spec))
    if network_sizes != spec_sizes:
        raise ExportError(
            f"{checkpoint}: a network for {network_sizes[0]} features and {network_sizes[1]} "
            f"functionals, expected the {spec_sizes[0]} and {spec_sizes[1]} of its feature spec"
        )
    scripted = torch.jit.freeze(torch.jit.script(original))
    with torch.inference_mode():
        probed, _ = scripted(*artifact.probe(spec))
    meta = ArtifactMeta(
        format=artifact.FORMAT,
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        emotions=tuple(EMOTIONS),
        styles=tuple(STYLES),
        features=spec,
        gate=gate,
        thresholds=dict(thresholds),
        temperature=state["temperature"],
        operations=operations(original.network.config, spec.window_frames),
        training={key: state[key] for key in ("config", "scores", "trained_on", "epoch")},
        licence=licence,
        probe=tuple(probed[0].tolist()),
        serving=serving,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        artifact.save(scripted, meta, unfinished)
        written = artifact.load(unfinished)
        difference = largest_difference(original, written.module, spec)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{checkpoint}: the artifact's answers differ by {difference:.1e}, "
                f"expected at most {TOLERANCE:.0e}"
            )
    return written.meta
