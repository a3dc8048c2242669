"""A small training on the embeddings of a tiny encoder, as of the recipes `encoder` and `base`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import artifact
from model.encoder import EncoderFileError, save_encoder
from model.export import export
from model.labels import ALERTED_EMOTIONS
from model.network import EmotionNetwork
from model.projection import Projection
from tests.encoded_model import tiny_encoder, tiny_spec
from training import checkpoint
from training.data.channel import CLEAN, TELEPHONE
from training.data.dataset import Dataset
from training.data.splits import Split
from training.recipes import RECIPES, TrainConfig
from training.train import Epoch, train

SPEC = tiny_spec()
SMALL = replace(
    RECIPES["base"],
    embedding=SPEC,
    network=replace(
        RECIPES["base"].network,
        d_frame=SPEC.d_frame,
        functionals=SPEC.functionals,
        d_lstm=8,
        d_att=8,
        d_den1=16,
        d_den2=8,
        d_style=8,
        n_head=2,
        d_voice=8,
        d_projected=6,
        functionals_projected=10,
    ),
    lines=(CLEAN, TELEPHONE),
    cuts=1,
    least_s=0.2,
    epochs=2,
    batch_size=16,
)
PAPERS = replace(
    SMALL,
    network=replace(
        RECIPES["encoder"].network,
        d_frame=SPEC.d_frame,
        d_lstm=8,
        d_att=8,
        d_den1=16,
        d_den2=8,
        d_style=8,
        n_head=2,
        d_projected=6,
    ),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_encoder(tiny_encoder(), path)
    return path


@pytest.fixture(scope="module")
def trained(
    split: Split, cache: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("runs") / "base"
    train(SMALL, split, out, cache, encoder=encoder)
    return out


def test_the_artifact_of_a_training_has_its_encoder_inside(
    trained: Path, encoder: Path, tmp_path: Path
) -> None:
    meta = export(
        trained / "best.pt",
        tmp_path / "base.pt",
        name="base",
        version="0",
        commit="0",
        licence="CC0-1.0",
        thresholds={emotion: artifact.Thresholds(0.9, 0.8) for emotion in ALERTED_EMOTIONS},
        encoder=encoder,
    )
    assert artifact.load(tmp_path / "base.pt").meta == meta
    assert meta.embedding == SPEC
    assert meta.training["scores"]["test"].keys() == {"stage", "street"}


def test_the_components_are_those_of_the_training_part(
    trained: Path, split: Split, cache: Path, encoder: Path
) -> None:
    network = EmotionNetwork(SMALL.network)
    network.load_state_dict(checkpoint.load(trained / "best.pt")["network"])
    data = Dataset(split.train, SMALL.lines, SMALL.preparation, cache, encoder)
    mean, spread = data.voice_statistics()
    assert isinstance(network.functionals, Projection)
    assert isinstance(network.frames, Projection)
    np.testing.assert_allclose(network.functionals.mean, mean, atol=1e-4)
    np.testing.assert_allclose(network.functionals.spread, spread, rtol=1e-4)
    frames = torch.from_numpy(data.some_frames(10**6, np.random.default_rng(0)))
    components = network.frames(frames)
    assert 0.7 < float(components.std()) < 1.3
    assert float(components.mean(0).abs().max()) < 0.5


def test_an_interrupted_training_continues_to_the_same_bits(
    trained: Path, split: Split, cache: Path, encoder: Path, tmp_path: Path
) -> None:
    def interrupt(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, split, tmp_path, cache, interrupt, encoder)
    train(SMALL, split, tmp_path, cache, encoder=None)  # everything is encoded by now
    whole, continued = (checkpoint.load(out / "best.pt") for out in (trained, tmp_path))
    assert whole["scores"] == continued["scores"]
    for name, weight in whole["network"].items():
        assert torch.equal(weight, continued["network"][name]), name


@pytest.mark.parametrize("selective", [False, True])
def test_the_paper_s_systems_take_embeddings(
    split: Split, cache: Path, encoder: Path, tmp_path: Path, selective: bool
) -> None:
    config: TrainConfig = replace(PAPERS, selective=selective, epochs=1)
    assert config.enrolment == "utterance"
    state = checkpoint.load(train(config, split, tmp_path, cache, encoder=encoder))
    assert not [name for name in state["network"] if ".voice." in name]
    assert state["scores"]["test"].keys() == {"stage", "street"}


def test_without_an_encoder_there_is_no_training(split: Split, tmp_path: Path) -> None:
    with pytest.raises(EncoderFileError, match="expected an encoder to make them: KANJO_ENCODER"):
        train(SMALL, split, tmp_path / "out", tmp_path / "cache")
