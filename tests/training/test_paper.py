"""The paper's own comparison, from its two corpora as distributed to a step of its network."""

from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from model.labels import STYLES, Style
from model.network import PRESETS, EmotionNetwork
from tests.training.corpora.shapes import callcentre_folder, iemocap_folder
from training.corpora.preparation import prepare
from training.data.dataset import Dataset
from training.data.manifest import read_corpora
from training.data.splits import Split, speaker_split
from training.recipes import RECIPES
from training.train import predict_logits, train_epoch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both corpora, read as they are distributed and cleaned."""
    folder = tmp_path_factory.mktemp("paper")
    iemocap_folder(folder / "acted")
    callcentre_folder(folder / "spontaneous")
    prepare("iemocap", folder / "acted", folder / "corpora")
    prepare("callcentre", folder / "spontaneous", folder / "corpora")
    return folder


@pytest.fixture(scope="module")
def split(folder: Path) -> Split:
    return speaker_split(read_corpora(folder / "corpora"), test_fold=0, folds=5, seed=0)


def test_both_corpora_are_in_every_part_and_no_speaker_is_in_two(split: Split) -> None:
    parts = (split.train, split.valid, split.test)
    for part in parts:
        assert {u.style for u in part} == set(Style)
    sessions = [{u.session for u in part if u.corpus == "iemocap"} for part in parts]
    assert [len(of_part) for of_part in sessions] == [3, 1, 1]
    assert len(set.union(*sessions)) == 5
    calls = [{u.recording for u in part if u.corpus == "callcentre"} for part in parts]
    assert sum(map(len, calls)) == len(set.union(*calls))
    assert split.without_speakers == ("callcentre",)


def test_a_step_of_the_paper_s_network_lowers_its_loss(split: Split, folder: Path) -> None:
    config = RECIPES["paper"]
    assert config.network == PRESETS["paper"]
    both = [
        *[u for u in split.train if u.style is Style.ACTED][:2],
        *[u for u in split.train if u.style is Style.SPONTANEOUS][:2],
    ]
    data = Dataset(both, config.lines, config.preparation, folder / "cache")
    batches = list(data.in_order(config.batch_size))
    torch.manual_seed(0)
    network = EmotionNetwork(config.network)
    average = AveragedModel(network)
    optimizer = torch.optim.Adam(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    first = train_epoch(network, average, optimizer, batches, config)
    second = train_epoch(network, average, optimizer, batches, config)
    assert second < first
    logits = predict_logits(network, data, config.enrolment)
    assert logits.emotion.shape == (4, 4)
    assert logits.style.shape == (4, len(STYLES))
