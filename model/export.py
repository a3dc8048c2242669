"""A training's checkpoint to the artifact that the service loads.

TorchScript, though PyTorch has deprecated it, because one file then holds weights and code, loads
without ours and takes any length and batch. Another format would touch this file and `artifact`,
nothing else.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from model import artifact
from model.artifact import ArtifactMeta, Thresholds
from model.features import FeatureSpec
from model.functionals import functional_count
from model.gate import GateSpec
from model.labels import EMOTIONS, STYLES, Emotion
from model.network import EmotionNetwork, NetworkConfig, operations

TOLERANCE = 1e-5  # largest difference of a probability between checkpoint and artifact

Config = TypeVar("Config")


class ExportError(ValueError):
    """A checkpoint can't become an artifact; the message says why."""


class CalibratedNetwork(nn.Module):
    """The network as it is served: calibrated posteriors instead of logits."""

    def __init__(self, network: EmotionNetwork, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        functionals: Tensor,
        before: Tensor,
        utterances: Tensor,
    ) -> tuple[Tensor, Tensor]:
        emotion, style = self.network(frames, lengths, functionals, before, utterances)
        return (emotion / self.temperature).softmax(1), style.softmax(1)


def released(state: Mapping[str, Any]) -> CalibratedNetwork:
    """The network of a finished training's checkpoint, in evaluation mode.

    Raises:
        ExportError: the checkpoint lacks something, its weights are another network's, or not all
            of them are numbers.
    """
    missing = {"config", "network", "temperature", "scores", "trained_on", "epoch"} - set(state)
    if missing:
        raise ExportError(f"checkpoint without {sorted(missing)}, expected a finished training's")
    network = EmotionNetwork(_part(state["config"], "network", NetworkConfig))
    try:
        network.load_state_dict(state["network"])
    except RuntimeError as error:
        raise ExportError(f"weights of another network: {error}") from error
    for name, weight in network.state_dict().items():
        if not weight.isfinite().all():
            raise ExportError(f"weights {name} are not all finite, expected a training that held")
    return CalibratedNetwork(network, state["temperature"]).eval()


def _part(config: Mapping[str, Any], name: str, kind: type[Config]) -> Config:
    try:
        return kind(**config[name])
    except (KeyError, TypeError, ValueError) as error:
        raise ExportError(f"config of {name}: {error!r}, expected a {kind.__name__}") from error


@torch.inference_mode()
def largest_difference(one: nn.Module, other: nn.Module, spec: FeatureSpec) -> float:
    """Of any probability, over windows of several lengths, alone and in a padded batch."""
    longest = spec.window_frames
    worst = 0.0
    for lengths in ([longest], [50], [longest, longest // 2, 150, 50]):
        windows = artifact.noise(spec, lengths)
        for a, b in zip(one(*windows), other(*windows), strict=True):
            worst = max(worst, float((a - b).abs().max()))
    return worst


def export(
    checkpoint: Path,
    path: Path,
    *,
    name: str,
    version: str,
    commit: str,
    licence: str,
    thresholds: Mapping[Emotion, Thresholds],
) -> ArtifactMeta:
    """Writes the artifact of a finished training, if it answers like the checkpoint.

    Raises:
        ExportError: the checkpoint is unreadable or unfinished, or the artifact answers otherwise.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes make its unpickler raise
        raise ExportError(f"{checkpoint}: {error}") from error
    if not isinstance(state, dict):
        raise ExportError(f"{checkpoint}: found {type(state).__name__}, expected a checkpoint")
    original = released(state)
    config = state["config"]
    spec = _part(config, "features", FeatureSpec)
    gate = _part(config, "gate", GateSpec)
    told = (original.network.config.d_frame, original.network.config.functionals)
    made = (spec.channels, functional_count(spec))
    if told != made:
        raise ExportError(
            f"{checkpoint}: a network that is told {told[0]} channels and {told[1]} functionals, "
            f"expected the {made[0]} and {made[1]} of its features"
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
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    try:
        artifact.save(scripted, meta, unfinished)
        written = artifact.load(unfinished)
        difference = largest_difference(original, written.module, spec)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{checkpoint}: the artifact answers otherwise by {difference:.1e}, "
                f"expected at most {TOLERANCE:.0e}"
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return written.meta
