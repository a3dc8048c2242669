from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from model.encoder import EncoderFileError, save_encoder
from model.labels import Emotion
from tests.encoded_model import tiny_encoder, tiny_spec
from tests.training.study.test_plan import config_of
from training.data.channel import CLEAN, CONDITIONS, TELEPHONE
from training.data.splits import Split
from training.metrics import corpus_ua, mean_ua
from training.recipes import TrainConfig
from training.study.encoder_linear import (
    KINDS,
    EncoderLinear,
    EncoderLinearError,
    RidgeSums,
    run_encoder_linear,
)
from training.study.plan import plan
from training.study.predictions import Predictions, Run

TESTED = {name: CONDITIONS[name] for name in ("clean", "mulaw")}
SMALL = EncoderLinear(tiny_spec(), lines=(CLEAN, TELEPHONE))
RUN = Run("encoder-linear", "ridge", "both", 1.0, 1.0, 0, 0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    save_encoder(tiny_encoder(), path)
    return path


@pytest.fixture(scope="module")
def usual(split: Split, cache: Path, encoder: Path) -> Predictions:
    return run_encoder_linear(RUN, SMALL, split, TESTED, cache, encoder)


def test_a_machine_is_scikit_learn_s_ridge_classifier() -> None:
    rng = np.random.default_rng(0)
    emotions = np.array([0, 1, 2, 3] * 5 + [0] * 20)
    lines = [rng.normal(size=(40, 6)) + emotions[:, None] * [0, 1, 0, 0, -1, 2] for _ in range(3)]
    sums = RidgeSums(emotions)
    for numbers in lines:
        sums.add(numbers)
    for strength in (0.01, 1.0):
        theirs = RidgeClassifier(alpha=strength * 120, class_weight="balanced")
        theirs.fit(np.concatenate(lines), np.tile(emotions, 3))
        np.testing.assert_allclose(
            sums.machine(strength).decide(lines[0]),
            theirs.decision_function(lines[0]),
            atol=1e-5,
        )


def test_it_learns_and_is_tested_in_every_setting(split: Split, usual: Predictions) -> None:
    assert usual.utterance.tolist() == [f"{u.corpus}/{u.path.name}" for u in split.test]
    assert usual.logits.keys() == {f"{kind}/{name}" for kind in KINDS for name in TESTED}
    assert usual.temperature.keys() == usual.anger_at.keys() == set(KINDS)
    for setting, logits in usual.logits.items():
        ua = mean_ua(corpus_ua(split.test, usual.emotion, logits.argmax(1)))
        assert ua >= 0.5, setting  # by chance 0.25
    assert not np.array_equal(usual.logits["utterance/clean"], usual.logits["utterance/mulaw"])
    assert not np.array_equal(usual.logits["utterance/clean"], usual.logits["caller/clean"])
    for chosen in usual.about["chosen"].values():
        assert chosen["strength"] in SMALL.strengths


def test_without_other_utterances_of_the_voice_nothing_is_subtracted(
    split: Split, usual: Predictions, cache: Path
) -> None:
    """The machine for callers is then given the same numbers twice."""
    calls = [u for u in split.test if u.emotion is not Emotion.NEUTRAL]
    rows = [row for row, u in enumerate(split.test) if u.emotion is not Emotion.NEUTRAL]
    found = run_encoder_linear(RUN, SMALL, replace(split, test=calls), TESTED, cache, None)
    np.testing.assert_array_equal(
        found.logits["utterance/clean"].argmax(1), usual.logits["utterance/clean"][rows].argmax(1)
    )
    assert not np.allclose(found.logits["caller/clean"], usual.logits["caller/clean"][rows])


def test_the_test_part_does_not_affect_the_training(
    split: Split, usual: Predictions, cache: Path
) -> None:
    backwards = replace(split, test=split.test[::-1])
    found = run_encoder_linear(RUN, SMALL, backwards, TESTED, cache, None)
    assert (found.temperature, found.anger_at) == (usual.temperature, usual.anger_at)
    np.testing.assert_allclose(
        found.logits["utterance/clean"], usual.logits["utterance/clean"][::-1], atol=1e-5
    )


def test_what_cannot_be_trained_is_refused(split: Split, cache: Path, tmp_path: Path) -> None:
    calm = replace(split, train=[u for u in split.train if u.emotion is not Emotion.ANGER])
    with pytest.raises(EncoderLinearError, match="found {'anger': 0, .*, expected some of every"):
        run_encoder_linear(RUN, SMALL, calm, TESTED, cache, None)
    with pytest.raises(EncoderFileError, match="KANJO_ENCODER"):
        run_encoder_linear(RUN, SMALL, split, TESTED, tmp_path, None)


def test_a_study_gives_it_the_embeddings_and_lines_of_the_networks(tmp_path: Path) -> None:
    config = config_of(
        'name = "peer"\nrun_folds = [0]\nconditions = ["clean", "mulaw"]\n'
        'peers = ["encoder-linear"]\n[[systems]]\nname = "kanjo"\nrecipe = "base"\n'
        "[embedding]\nrow_steps = 5",
        tmp_path,
    )
    trainings = {run.system: training for run, training in plan(config).items()}
    peer, base = trainings["encoder-linear"], trainings["kanjo"]
    assert isinstance(peer, EncoderLinear)
    assert peer.embedding.row_steps == 5
    assert isinstance(base, TrainConfig)
    assert base.embedding == peer.embedding
    assert base.lines == peer.lines
    assert base.gate == peer.gate
    assert RUN in plan(config)
