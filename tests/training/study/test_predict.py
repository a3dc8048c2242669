from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.labels import Emotion
from model.network import EmotionNetwork
from tests.training.conftest import TINIES
from training import checkpoint
from training.checkpoint import CheckpointError
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import anger_threshold
from training.study.predict import ANGER, predict
from training.study.predictions import Predictions, Run
from training.train import TrainConfig, answer, temperature, train

RUN = Run("selective-mtl", "compact", "both", 1.0, 0.8, fold=0, seed=0)
LINES = {"clean": CLEAN, "mulaw": TELEPHONE}
KNOWN: Mapping[str, tuple[EnrolmentKind, ...]] = {
    "compact": ("utterance",),
    "kanjo": ("utterance", "caller", "speaker"),
}


class Examined:
    """A small training, and its answers to the test speakers."""

    def __init__(self, recipe: str, split: Split, cache: Path, out: Path) -> None:
        self.known = KNOWN[recipe]
        self.config: TrainConfig = replace(TINIES[recipe], epochs=2)
        self.best = train(self.config, split, out, cache)
        self.split, self.cache = split, cache
        self.answers = self.again(split.test)

    def again(
        self,
        test: list[Utterance],
        split: Split | None = None,
        run: Run = RUN,
        conditions: Mapping[str, Channel] = LINES,
    ) -> Predictions:
        return predict(
            run, self.config, self.best, split or self.split, test, self.cache, conditions
        )

    def network(self) -> EmotionNetwork:
        network = EmotionNetwork(self.config.network)
        network.load_state_dict(checkpoint.load(self.best)["network"])
        return network

    def data(self, utterances: list[Utterance], line: Channel) -> Dataset:
        return Dataset(utterances, [line], self.config.test_making, self.cache)


@pytest.fixture(scope="module", params=TINIES)
def examined(
    request: pytest.FixtureRequest,
    split: Split,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Examined:
    return Examined(request.param, split, cache, tmp_path_factory.mktemp("runs"))


def test_a_network_is_asked_in_every_way_that_it_knows(examined: Examined) -> None:
    answers = examined.answers
    ways = {f"{known}/{condition}" for known in examined.known for condition in LINES}
    assert set(answers.logits) == set(answers.style_logits) == ways
    assert set(answers.temperature) == set(answers.anger_at) == set(examined.known)
    assert len({logits.tobytes() for logits in answers.logits.values()}) == len(ways)
    assert answers.run == RUN


def test_a_network_that_learnt_no_style_is_not_asked_for_it(examined: Examined) -> None:
    answers = examined.again(examined.split.test, run=replace(RUN, ser_weight=1.0))
    assert answers.style_logits == {}
    assert answers.logits.keys() == examined.answers.logits.keys()


def test_answers_are_the_chosen_network_s_to_the_test_utterances(examined: Examined) -> None:
    answers, test = examined.answers, examined.split.test
    network = examined.network()
    for condition, line in LINES.items():
        data = examined.data(test, line)
        for known in examined.known:
            told = answer(network, data, known)
            np.testing.assert_array_equal(answers.logits[f"{known}/{condition}"], told.emotion)
            np.testing.assert_array_equal(answers.style_logits[f"{known}/{condition}"], told.style)
        np.testing.assert_array_equal(answers.emotion, data.emotion)
        np.testing.assert_array_equal(answers.style, data.style)
    assert answers.utterance.tolist() == [f"{u.corpus}/{u.path.name}" for u in test]
    assert answers.speaker.tolist() == [u.speaker for u in test]
    assert answers.corpus.tolist() == [u.corpus for u in test]


def test_temperature_and_threshold_are_those_of_the_validation_speakers(
    examined: Examined,
) -> None:
    valid = examined.data(examined.split.valid, CLEAN)
    for known in examined.known:
        logits = answer(examined.network(), valid, known).emotion
        divisor = temperature(logits, torch.from_numpy(valid.emotion))
        anger = (logits / divisor).softmax(1).numpy()[:, ANGER]
        assert examined.answers.temperature[known] == divisor
        assert examined.answers.anger_at[known] == anger_threshold(anger, valid.emotion == ANGER)


def test_test_utterances_decide_neither_temperature_nor_threshold(examined: Examined) -> None:
    others = [replace(u, emotion=Emotion.SADNESS) for u in examined.split.test[1::2]]
    answers = examined.again(others)
    assert answers.temperature == examined.answers.temperature
    assert answers.anger_at == examined.answers.anger_at
    assert answers.logits["utterance/clean"].shape == (len(others), 4)


def test_validation_utterances_decide_both(examined: Examined) -> None:
    swapped = {Emotion.ANGER: Emotion.SADNESS, Emotion.SADNESS: Emotion.ANGER}
    valid = [replace(u, emotion=swapped.get(u.emotion, u.emotion)) for u in examined.split.valid]
    answers = examined.again(examined.split.test, replace(examined.split, valid=valid))
    for known in examined.known:
        assert answers.temperature[known] != examined.answers.temperature[known]
        assert answers.anger_at[known] != examined.answers.anger_at[known]


def test_a_caller_who_said_nothing_calm_is_heard_like_one_never_heard_before(
    utterances: list[Utterance], examined: Examined
) -> None:
    """What the test speakers said in training or validation is not known."""
    angry = [u for u in examined.split.test if u.emotion is not Emotion.NEUTRAL]
    answers = examined.again(angry, conditions={"clean": CLEAN})
    for known in examined.known:
        same = np.array_equal(answers.logits[f"{known}/clean"], answers.logits["utterance/clean"])
        assert same == (known != "speaker")


def test_without_a_speaker_the_voice_is_whose_recording_it_is(examined: Examined) -> None:
    unknown = [replace(u, speaker="", recording=u.speaker) for u in examined.split.test]
    answers = examined.again(unknown)
    assert answers.speaker.tolist() == [u.speaker for u in examined.split.test]
    for way, logits in examined.answers.logits.items():
        np.testing.assert_array_equal(answers.logits[way], logits)


def test_a_checkpoint_that_is_not_there_is_told(split: Split, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="best.pt: there is no checkpoint"):
        predict(RUN, TINIES["compact"], tmp_path / "best.pt", split, split.test, cache, LINES)
