import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import settings

from model.audio import Pcm
from model.labels import EMOTIONS, Emotion, Style
from model.network import NetworkConfig
from training.data.channel import CLEAN, TELEPHONE
from training.data.manifest import Utterance, read_corpora
from training.data.splits import Split, speaker_split
from training.recipes import RECIPES, TrainConfig

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

SPEAKERS = 5
TAKES = 2  # of each emotion by each speaker

TINY = replace(
    RECIPES["compact"],
    network=NetworkConfig(
        d_lstm=8,
        d_att=8,
        d_den1=16,
        d_den2=12,
        n_head=2,
        d_style=8,
        mask_padding=True,
        conv_channels=(16,),
    ),
    epochs=6,
    least_updates=0,
    batch_size=8,
    learning_rate=1e-2,
    averaging=0.5,
)
_KANJO = RECIPES["kanjo"]
TINY_WITH_BASELINE = replace(
    _KANJO,
    network=replace(
        TINY.network,
        d_frame=_KANJO.network.d_frame,
        functionals=_KANJO.network.functionals,
        d_voice=8,
        head_dropout=_KANJO.network.head_dropout,
    ),
    lines=(CLEAN, TELEPHONE),
    cuts=2,
    least_s=0.2,
    epochs=TINY.epochs,
    batch_size=TINY.batch_size,
    learning_rate=TINY.learning_rate,
    averaging=TINY.averaging,
)
TINIES = {"compact": TINY, "kanjo": TINY_WITH_BASELINE}  # by the recipe that each reduces


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums have one order of addition, so that the same training gives the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sound(emotion: Emotion, speaker: int, take: int, rate: int) -> Pcm:
    """Returns 0.5 to 0.9 s that fall or rise, in level or in pitch, depending on the emotion."""
    rng = np.random.default_rng([EMOTIONS.index(emotion), speaker, take])
    at_s = np.arange(round(rate * rng.uniform(0.5, 0.9))) / rate
    along = 2 * at_s / at_s[-1] - 1  # -1 to 1
    falls_or_rises = {Emotion.ANGER: (-1, 0), Emotion.HAPPINESS: (1, 0), Emotion.SADNESS: (0, -1)}
    level, pitch = falls_or_rises.get(emotion, (0, 1))
    phase = 2 * np.pi * np.cumsum((500 + 40 * speaker) * 3.0 ** (pitch * along)) / rate
    wave = 500 * 5.0 ** (level * along) * (np.sin(phase) + np.sin(2 * phase) / 2)
    return np.round(wave + rng.normal(0, 20, len(at_s))).astype(np.int16)


def write_corpus(folder: Path, style: Style, rate: int) -> None:
    """Writes recordings as FLAC with their manifest."""
    folder.mkdir(parents=True)
    columns = ("path", "corpus", "style", "language", "speaker", "session", "emotion", "duration_s")
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for speaker in range(SPEAKERS):
            for emotion in EMOTIONS:
                for take in range(TAKES):
                    pcm = sound(emotion, speaker, take, rate)
                    name = f"s{speaker}-{emotion}-{take}.flac"
                    soundfile.write(folder / name, pcm, rate)
                    rows.writerow(
                        (
                            name,
                            folder.name,
                            style,
                            "xx",
                            f"s{speaker}",
                            "",
                            emotion,
                            f"{len(pcm) / rate:.3f}",
                        )
                    )


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora, one of each style, whose speakers have the same names."""
    folder = tmp_path_factory.mktemp("corpora")
    write_corpus(folder / "stage", Style.ACTED, 16000)
    write_corpus(folder / "street", Style.SPONTANEOUS, 8000)
    return folder


@pytest.fixture(scope="session")
def utterances(corpora: Path) -> list[Utterance]:
    return read_corpora(corpora)


@pytest.fixture(scope="session")
def split(utterances: list[Utterance]) -> Split:
    return speaker_split(utterances, test_fold=0, folds=5, seed=0)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny() -> TrainConfig:
    return TINY
