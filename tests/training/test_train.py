import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import artifact
from model.export import export
from model.labels import EMOTIONS, Emotion
from model.network import PRESETS, EmotionNetwork
from training import checkpoint
from training.augment import TELEPHONE
from training.checkpoint import CheckpointError
from training.dataset import Dataset
from training.manifest import Utterance
from training.splits import Split, speaker_split
from training.train import RECIPES, TrainConfig, answer, main, mean_ua, temperature, train

ROOT = Path(__file__).parents[2]


def same(one: Any, other: Any) -> bool:
    """Bit for bit, tensors and all."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def split(utterances: list[Utterance]) -> Split:
    return speaker_split(utterances, test_fold=0, folds=5, seed=0)


@pytest.fixture(scope="module")
def first(
    split: Split, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """A whole small training."""
    from tests.training.conftest import TINY

    out = tmp_path_factory.mktemp("runs") / "first"
    assert train(TINY, split, out, cache) == out / "best.pt"
    return TINY, out


def test_recipes_are_the_paper_s_and_the_shipped_model_s() -> None:
    paper = RECIPES["paper"]
    assert paper == TrainConfig()
    assert paper.network == PRESETS["paper"]
    assert (paper.learning_rate, paper.weight_decay, paper.epochs) == (1e-4, 1e-5, 100)
    assert (paper.ser_weight, paper.selective, paper.folds) == (0.8, True, 5)
    assert (paper.cosine, paper.averaging, paper.label_smoothing) == (False, 0, 0)
    assert RECIPES["compact"].network == PRESETS["compact"]


def test_a_finished_training_tells_what_export_needs(
    first: tuple[TrainConfig, Path], split: Split, tmp_path: Path
) -> None:
    config, out = first
    state = checkpoint.load(out / "best.pt")
    checkpoint.same_config(state, config, out)
    for part in ("valid", "test"):
        assert list(state["scores"][part]) == ["stage", "street"]
        for corpus, score in state["scores"][part].items():
            assert score["utterances"] == sum(u.corpus == corpus for u in getattr(split, part))
            assert 0 <= score["ua_low"] <= score["ua"] <= score["ua_high"] <= 1
    for corpus, told in state["trained_on"].items():
        held = [
            {u.speaker for u in part if u.corpus == corpus} for part in (split.valid, split.test)
        ]
        assert [set(told["valid_speakers"]), set(told["test_speakers"])] == held
        assert told["utterances"] == sum(u.corpus == corpus for u in split.train)
        assert not set(told["speakers"]) & (held[0] | held[1])
    meta = export(
        out / "best.pt",
        tmp_path / "tiny.pt",
        name="tiny",
        version="0",
        commit="0",
        licence="CC0-1.0",
        thresholds={},
    )
    assert artifact.load(tmp_path / "tiny.pt").meta == meta
    assert meta.training["scores"]["test"].keys() == {"stage", "street"}


def test_every_epoch_is_logged(first: tuple[TrainConfig, Path]) -> None:
    config, out = first
    lines = log_of(out)
    assert [line["epoch"] for line in lines] == list(range(config.epochs))
    for line in lines:
        assert line["valid_ua"] == pytest.approx(np.mean(list(line["valid"].values())))
        assert line["loss"] > 0


def test_training_lowers_the_loss(first: tuple[TrainConfig, Path]) -> None:
    losses = [line["loss"] for line in log_of(first[1])]
    assert losses[-1] < losses[0]


def test_the_scores_are_those_of_the_chosen_weights(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    config, out = first
    state = checkpoint.load(out / "best.pt")
    network = EmotionNetwork(config.network)
    network.load_state_dict(state["network"])
    for part in ("valid", "test"):
        data = Dataset(getattr(split, part), [TELEPHONE], config.features, config.gate, cache)
        scores = answer(network, data, batch_size=5).scores(data)
        assert {name: score.as_dict() for name, score in scores.items()} == state["scores"][part]
        if part == "valid":
            assert mean_ua(scores) == state["valid_ua"]


def test_the_same_training_gives_the_same_bits(
    first: tuple[TrainConfig, Path], split: Split, cache: Path, tmp_path: Path
) -> None:
    config, out = first
    train(config, split, tmp_path, cache)
    for name in ("last.pt", "best.pt"):
        assert same(checkpoint.load(tmp_path / name), checkpoint.load(out / name))


def test_another_seed_gives_other_weights(
    first: tuple[TrainConfig, Path], split: Split, cache: Path, tmp_path: Path
) -> None:
    config, out = first
    train(replace(config, seed=1, epochs=1), split, tmp_path, cache)
    mine, others = (checkpoint.load(folder / "last.pt")["network"] for folder in (tmp_path, out))
    assert not same(mine, others)


def test_a_killed_training_goes_on_to_the_same_bits(
    tiny: TrainConfig, corpora: Path, cache: Path, tmp_path: Path
) -> None:
    config = replace(tiny, epochs=25)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    main(config, corpora, whole, cache)

    script = (
        "import sys; from dataclasses import replace; from pathlib import Path; import torch\n"
        "from tests.training.conftest import TINY; from training.train import main\n"
        "torch.set_num_threads(1)\n"
        "main(replace(TINY, epochs=25), *map(Path, sys.argv[1:]))\n"
    )
    training = subprocess.Popen(
        [sys.executable, "-c", script, str(corpora), str(killed), str(cache)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    try:
        log = killed / "log.jsonl"
        until = time.monotonic() + 60
        while training.poll() is None and time.monotonic() < until:
            if log.exists() and log.read_bytes().count(b"\n") >= 3:
                break
            time.sleep(0.005)
    finally:
        training.send_signal(signal.SIGKILL)
        _, said = training.communicate()
    assert training.returncode == -signal.SIGKILL, said.decode()
    assert 3 <= checkpoint.load(killed / "last.pt")["epoch"] < 25
    assert "scores" not in checkpoint.load(killed / "best.pt")

    main(config, corpora, killed, cache)
    for name in ("last.pt", "best.pt"):
        assert same(checkpoint.load(killed / name), checkpoint.load(whole / name))


def test_a_finished_training_is_not_trained_further(
    first: tuple[TrainConfig, Path], split: Split, cache: Path, tmp_path: Path
) -> None:
    config, out = first
    shutil.copytree(out, tmp_path / "again")
    train(config, split, tmp_path / "again", cache)
    assert log_of(tmp_path / "again") == log_of(out)
    assert same(checkpoint.load(tmp_path / "again" / "best.pt"), checkpoint.load(out / "best.pt"))


def test_going_on_with_another_config_is_refused(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    config, out = first
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    another_network = replace(config.network, n_head=3)
    for other, message in (
        (replace(config, learning_rate=0.1), "learning_rate 0.01, expected 0.1"),
        (replace(config, network=another_network), "network.n_head 2, expected 3"),
    ):
        with pytest.raises(CheckpointError, match=message):
            train(other, split, out, cache)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_going_on_from_something_unreadable_is_refused(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "last.pt").write_bytes(b"half a check")
    with pytest.raises(CheckpointError, match="last.pt"):
        train(tiny, split, tmp_path, cache)
    assert os.listdir(tmp_path) == ["last.pt"]


def test_the_best_epoch_by_validation_is_chosen(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path
) -> None:
    """All validation labels are what a beginner tells most: whatever is learnt makes it worse."""
    config = replace(tiny, epochs=12, learning_rate=0.02, cosine=False)
    beginner = checkpoint.load(train(replace(config, epochs=1), split, tmp_path / "one", cache))
    confusion = np.sum(
        [score["confusion"] for score in beginner["scores"]["valid"].values()], axis=0
    )
    favourite = EMOTIONS[int(confusion.sum(axis=0).argmax())]
    valid = [replace(u, emotion=favourite) for u in split.valid]

    best = train(config, replace(split, valid=valid), tmp_path / "all", cache)
    uas = [line["valid_ua"] for line in log_of(tmp_path / "all")]
    assert max(uas) > uas[-1]
    state = checkpoint.load(best)
    assert state["epoch"] == 1 + uas.index(max(uas))
    assert state["valid_ua"] == max(uas)
    scores = state["scores"]["valid"].values()
    assert np.mean([score["ua"] for score in scores]) == pytest.approx(max(uas))


def test_test_speakers_decide_nothing(
    first: tuple[TrainConfig, Path], split: Split, cache: Path, tmp_path: Path
) -> None:
    config, out = first
    others = [replace(u, emotion=Emotion.SADNESS) for u in split.test[1::2]]
    train(config, replace(split, test=others), tmp_path, cache)
    assert same(checkpoint.load(tmp_path / "last.pt"), checkpoint.load(out / "last.pt"))
    mine, theirs = checkpoint.load(tmp_path / "best.pt"), checkpoint.load(out / "best.pt")
    assert mine["scores"].pop("test") != theirs["scores"].pop("test")
    assert same(mine, theirs)


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_the_average_of_the_weights_is_the_model(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path, averaging: float
) -> None:
    config = replace(tiny, epochs=1, averaging=averaging)
    best = checkpoint.load(train(config, split, tmp_path, cache))["network"]
    last = checkpoint.load(tmp_path / "last.pt")
    average = {
        name.removeprefix("module."): weight
        for name, weight in last["average"].items()
        if name != "n_averaged"
    }
    assert same(dict(best), average)
    assert same(dict(best), dict(last["network"])) == (averaging == 0.0)


def test_the_temperature_makes_the_truth_most_likely() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 4, generator=generator)
    truth = torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator)[:, 0]
    assert temperature(logits, truth) == pytest.approx(1.5, rel=0.1)
    assert temperature(3 * logits, truth) == pytest.approx(3 * temperature(logits, truth), rel=1e-3)
