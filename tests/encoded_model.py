"""A tiny model on embeddings, with its encoder inside, for where the real one is not needed."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.artifact import Thresholds
from model.embedding import EmbeddingSpec, Span
from model.encoder import Encoder, save_encoder
from model.encoder_config import EncoderConfig
from model.export import export
from model.features import FeatureSpec
from model.gate import GateSpec
from model.labels import Emotion
from model.network import EmotionNetwork, NetworkConfig
from model.speech_check_file import load_check

TINY = EncoderConfig(d_model=16, n_head=2, d_inner=32, positions=120, outputs=(1, 2))


def tiny_encoder() -> Encoder:
    """Returns an encoder of random weights, the same ones each time, rounded to half precision."""
    torch.manual_seed(2)
    encoder = Encoder(TINY)
    encoder.positions.data.normal_(0, 0.1)
    return encoder.half().float().eval().requires_grad_(False)


def tiny_spec() -> EmbeddingSpec:
    """Returns the spec of a network on that encoder's embeddings."""
    return EmbeddingSpec(encoder=TINY, digest=tiny_encoder().digest())


def window_of(spec: EmbeddingSpec, spans: Sequence[Span]) -> list[Span]:
    """Returns the window that ends with a stretch's last chunk: those of at most 7.5 s."""
    end = spans[-1].end
    return [span for span in spans if end - span.start <= spec.window_hops]


def tiny_training(features: FeatureSpec | None = None) -> dict[str, Any]:
    """Returns the checkpoint of a finished training on those embeddings.

    Its frames, of the speech check, are those of the shipped check unless `features` are given.
    """
    spec = tiny_spec()
    config = NetworkConfig(
        d_frame=spec.d_frame,
        d_lstm=6,
        d_att=8,
        d_den1=10,
        d_den2=8,
        n_head=2,
        d_style=5,
        mask_padding=True,
        functionals=spec.functionals,
        d_voice=6,
    )
    torch.manual_seed(3)
    network = EmotionNetwork(config)
    for parameter in network.parameters():
        parameter.data *= 2  # so that a change shows in the answers
    return {
        "config": {
            "network": asdict(config),
            "features": asdict(features or load_check().spec),
            "gate": asdict(GateSpec()),
            "embedding": asdict(spec),
            "seed": 0,
        },
        "network": network.state_dict(),
        "temperature": 1.0,
        "scores": {"test": {"somewhere": {"ua": 0.5}}},
        "trained_on": {"somewhere": {"utterances": 3, "test_speakers": ["a"]}},
        "epoch": 7,
    }


def export_tiny(folder: Path, training: dict[str, Any] | None = None) -> Path:
    """Exports it into a folder, beside its encoder and checkpoint; returns the artifact's path."""
    torch.save(training or tiny_training(), folder / "best.pt")
    save_encoder(tiny_encoder(), folder / "encoder.safetensors")
    path = folder / "tiny.pt"
    export(
        folder / "best.pt",
        path,
        name="tiny",
        version="1",
        commit="0123abc",
        licence="MIT",
        thresholds={Emotion.ANGER: Thresholds(0.7, 0.5), Emotion.HAPPINESS: Thresholds(0.8, 0.6)},
        encoder=folder / "encoder.safetensors",
    )
    return path
