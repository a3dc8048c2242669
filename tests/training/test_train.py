import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import artifact
from model.export import export
from model.features import FeatureSpec
from model.functionals import functional_count
from model.input_sizes import input_sizes
from model.labels import EMOTIONS, Emotion
from model.network import PRESETS, EmotionNetwork, WithSpeakerBaseline
from tests.limits import ENOUGH_S
from tests.paths import ROOT
from tests.training.conftest import TINIES
from training import checkpoint
from training.checkpoint import CheckpointError
from training.data.augmentation import NO_MASKS
from training.data.channel import CLEAN, TELEPHONE
from training.data.dataset import Dataset
from training.data.enrolment import enrolments
from training.data.splits import Split
from training.metrics import mean_ua
from training.recipes import RECIPES, TrainConfig
from training.train import Epoch, main, predict_logits, train


def same(one: Any, other: Any) -> bool:
    """Returns whether two states are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def chosen(config: TrainConfig, out: Path) -> EmotionNetwork:
    network = EmotionNetwork(config.network)
    network.load_state_dict(checkpoint.load(out / "best.pt")["network"])
    return network


@pytest.fixture(scope="module", params=TINIES)
def first(
    request: pytest.FixtureRequest,
    split: Split,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainConfig, Path]:
    """A complete small training: one without and one with a speaker baseline."""
    config: TrainConfig = TINIES[request.param]
    out = tmp_path_factory.mktemp("runs") / "first"
    epochs: list[Epoch] = []
    assert train(config, split, out, cache, epochs.append) == out / "best.pt"
    assert [asdict(epoch) for epoch in epochs] == log_of(out)
    return config, out


def test_recipes_are_the_paper_s_and_the_shipped_model_s() -> None:
    paper, compact, kanjo = (RECIPES[name] for name in ("paper", "compact", "kanjo"))
    assert paper == TrainConfig()
    assert paper.network == PRESETS["paper"]
    assert paper.features == FeatureSpec()
    assert (paper.learning_rate, paper.weight_decay, paper.epochs) == (1e-4, 1e-5, 100)
    assert (paper.ser_weight, paper.selective, paper.folds) == (0.8, True, 5)
    assert (paper.cosine, paper.decoupled, paper.averaging) == (False, False, 0)
    assert (paper.label_smoothing, paper.soft_labels) == (0, False)
    assert (paper.lines, paper.cuts, paper.masks) == ((CLEAN,), 0, NO_MASKS)
    assert (paper.enrolment, kanjo.enrolment) == ("utterance", "caller")
    assert compact.network == PRESETS["compact"]
    of_compact = {
        f.name for f in fields(paper) if getattr(paper, f.name) != getattr(compact, f.name)
    }
    assert of_compact == {
        "network",
        "epochs",
        "least_updates",
        "learning_rate",
        "cosine",
        "averaging",
    }
    for recipe in RECIPES.values():
        sizes = input_sizes(recipe.inputs)
        assert recipe.network.d_frame == sizes.n_features
        assert recipe.network.functionals in (0, sizes.functionals)
    for recipe in (RECIPES[name] for name in ("paper", "compact", "kanjo")):
        assert recipe.network.functionals == functional_count(recipe.features)


def test_a_finished_training_has_what_export_needs(
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
    for corpus, trained in state["trained_on"].items():
        held_out = [
            {u.speaker for u in part if u.corpus == corpus} for part in (split.valid, split.test)
        ]
        assert [set(trained["valid_speakers"]), set(trained["test_speakers"])] == held_out
        assert trained["utterances"] == sum(u.corpus == corpus for u in split.train)
        assert not set(trained["speakers"]) & (held_out[0] | held_out[1])
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
    assert [line["number"] for line in lines] == list(range(1, config.epochs + 1))
    for number, line in enumerate(lines):
        assert line["of"] == config.epochs
        assert line["valid_ua"] == pytest.approx(np.mean(list(line["valid"].values())))
        assert line["best_ua"] == max(earlier["valid_ua"] for earlier in lines[: number + 1])
        assert line["loss"] > 0
        assert line["seconds"] > 0


def test_training_lowers_the_loss(first: tuple[TrainConfig, Path]) -> None:
    losses = [line["loss"] for line in log_of(first[1])]
    assert losses[-1] < losses[0]


def test_few_utterances_get_more_epochs(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path
) -> None:
    """48 utterances are 6 batches; of each speaker's and emotion's 2 at most 1, 3 batches."""
    config = replace(tiny, epochs=1, least_updates=13)
    for cap, epochs in ((25, 3), (1, 5)):
        out = tmp_path / str(cap)
        train(replace(config, cap_per_speaker_emotion=cap), split, out, cache)
        assert [(line["number"], line["of"]) for line in log_of(out)] == [
            (number, epochs) for number in range(1, epochs + 1)
        ]


def test_the_scores_are_those_of_the_chosen_weights(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    """Of whole utterances in the telephone channel, with the enrolment that a service has."""
    config, out = first
    state = checkpoint.load(out / "best.pt")
    enrolment = "caller" if config.features.functionals else "utterance"
    for part in ("valid", "test"):
        data = Dataset(getattr(split, part), [TELEPHONE], config.test_preparation, cache)
        scores = predict_logits(chosen(config, out), data, enrolment, batch_size=5).scores(data)
        assert {name: score.as_dict() for name, score in scores.items()} == state["scores"][part]
        if part == "valid":
            by_corpus = {corpus: score.ua for corpus, score in scores.items()}
            assert mean_ua(by_corpus) == state["valid_ua"]


def test_a_network_has_the_voice_statistics_of_its_training_part(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    config, out = first
    voices = [
        part for part in chosen(config, out).modules() if isinstance(part, WithSpeakerBaseline)
    ]
    if not config.features.functionals:
        assert not voices
        return
    assert len(voices) == config.network.members
    mean, spread = Dataset(split.train, config.lines, config.preparation, cache).voice_statistics()
    for voice in voices:
        np.testing.assert_array_equal(voice.mean, mean)
        np.testing.assert_array_equal(voice.spread, spread)


def test_an_enrolment_changes_the_logits(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    config, out = first
    data = Dataset(split.test, [CLEAN, TELEPHONE], config.test_preparation, cache)
    network = chosen(config, out)
    alone = predict_logits(network, data, "utterance", channel=1)
    enrolled = predict_logits(network, data, "caller", channel=1)
    moved = (alone.emotion - enrolled.emotion).abs().amax(1) > 1e-5
    is_enrolled = [bool(rows) for rows in enrolments(split.test, "caller", 0)]
    assert any(is_enrolled)
    assert moved.tolist() == [config.features.functionals and some for some in is_enrolled]


def test_logits_are_in_the_dataset_s_order_and_of_its_channel(
    first: tuple[TrainConfig, Path], split: Split, cache: Path
) -> None:
    config, out = first
    data = Dataset(split.test, [CLEAN, TELEPHONE], config.test_preparation, cache)
    network = chosen(config, out)
    clean, telephone = (predict_logits(network, data, "utterance", channel) for channel in (0, 1))
    assert not torch.allclose(clean.emotion, telephone.emotion, rtol=0, atol=1e-5)
    for batch in data.in_order(1, channel=1):
        (row,) = batch.rows
        emotion, style = network(*batch.inputs)
        torch.testing.assert_close(telephone.emotion[row], emotion[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(telephone.style[row], style[0], rtol=0, atol=1e-5)
        assert (telephone.emotion - emotion).abs().amax(1).argmin() == row


@pytest.mark.parametrize("soft_labels", [False, True])
def test_annotators_votes_are_used_if_configured(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path, soft_labels: bool
) -> None:
    def trained(name: str, split: Split) -> Any:
        config = replace(tiny, epochs=1, soft_labels=soft_labels)
        train(config, split, tmp_path / name, cache)
        return checkpoint.load(tmp_path / name / "last.pt")["network"]

    even = (0.25,) * len(EMOTIONS)
    voted = replace(split, train=[replace(u, soft=even) for u in split.train])
    assert same(trained("voted", voted), trained("labelled", split)) == (not soft_labels)


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


def test_a_killed_training_continues_to_the_same_bits(
    first: tuple[TrainConfig, Path], corpora: Path, cache: Path, tmp_path: Path
) -> None:
    config, whole = first
    (recipe,) = (name for name, tiny in TINIES.items() if tiny == config)
    script = (
        "import sys; from pathlib import Path; import torch\n"
        "from tests.training.conftest import TINIES; from training.train import main\n"
        "torch.set_num_threads(1)\n"
        "main(TINIES[sys.argv[1]], *map(Path, sys.argv[2:]))\n"
    )
    training = subprocess.Popen(
        [sys.executable, "-c", script, recipe, str(corpora), str(tmp_path), str(cache)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    try:
        log = tmp_path / "log.jsonl"
        until = time.monotonic() + ENOUGH_S
        while training.poll() is None and time.monotonic() < until:
            if log.exists() and log.read_bytes().count(b"\n") >= 2:
                break
            time.sleep(0.005)
    finally:
        training.send_signal(signal.SIGKILL)
        _, stderr = training.communicate()
    assert training.returncode == -signal.SIGKILL, stderr.decode()
    assert 2 <= checkpoint.load(tmp_path / "last.pt")["epoch"] < config.epochs
    assert "scores" not in checkpoint.load(tmp_path / "best.pt")

    main(config, corpora, tmp_path, cache)
    for name in ("last.pt", "best.pt"):
        assert same(checkpoint.load(tmp_path / name), checkpoint.load(whole / name))


def test_a_finished_training_is_not_trained_further(
    first: tuple[TrainConfig, Path], split: Split, cache: Path, tmp_path: Path
) -> None:
    config, out = first
    shutil.copytree(out, tmp_path / "again")
    train(config, split, tmp_path / "again", cache)
    assert log_of(tmp_path / "again") == log_of(out)
    assert same(checkpoint.load(tmp_path / "again" / "best.pt"), checkpoint.load(out / "best.pt"))


def test_continuing_with_another_config_is_refused(
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


def test_continuing_from_an_unreadable_checkpoint_is_refused(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "last.pt").write_bytes(b"half a check")
    with pytest.raises(CheckpointError, match="last.pt"):
        train(tiny, split, tmp_path, cache)
    assert os.listdir(tmp_path) == ["last.pt"]


def test_the_best_epoch_by_validation_is_chosen(
    tiny: TrainConfig, split: Split, cache: Path, tmp_path: Path
) -> None:
    """All validation labels are the emotion predicted most after one epoch: learning lowers UA."""
    config = replace(tiny, epochs=12, learning_rate=0.02, cosine=False)
    after_one = checkpoint.load(train(replace(config, epochs=1), split, tmp_path / "one", cache))
    confusion = np.sum(
        [score["confusion"] for score in after_one["scores"]["valid"].values()], axis=0
    )
    most_predicted = EMOTIONS[int(confusion.sum(axis=0).argmax())]
    valid = [replace(u, emotion=most_predicted) for u in split.valid]

    best = train(config, replace(split, valid=valid), tmp_path / "all", cache)
    uas = [line["valid_ua"] for line in log_of(tmp_path / "all")]
    assert max(uas) > uas[-1]
    state = checkpoint.load(best)
    assert state["epoch"] == 1 + uas.index(max(uas))
    assert state["valid_ua"] == max(uas)
    scores = state["scores"]["valid"].values()
    assert np.mean([score["ua"] for score in scores]) == pytest.approx(max(uas))


def test_test_speakers_affect_nothing_but_their_scores(
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
