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
from training.calibration import anger_threshold, temperature
from training.checkpoint import CheckpointError
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import ANGER
from training.recipes import TrainConfig
from training.study.predict import predict
from training.study.predictions import Predictions, Run
from training.train import predict_logits, train

RUN = Run("selective-mtl", "compact", "both", 1.0, 0.8, fold=0, seed=0)
CONDITIONS = {"clean": CLEAN, "mulaw": TELEPHONE}
ENROLMENTS: Mapping[str, tuple[EnrolmentKind, ...]] = {
    "compact": ("utterance",),
    "kanjo": ("utterance", "caller", "speaker"),
}


class TrainedNetwork:
    """A small training, and its predictions to the test speakers."""

    def __init__(self, recipe: str, split: Split, cache: Path, out: Path) -> None:
        self.enrolments = ENROLMENTS[recipe]
        self.config: TrainConfig = replace(TINIES[recipe], epochs=2)
        self.best = train(self.config, split, out, cache)
        self.split, self.cache = split, cache
        self.predictions = self.again(split.test)

    def again(
        self,
        test: list[Utterance],
        split: Split | None = None,
        run: Run = RUN,
        conditions: Mapping[str, Channel] = CONDITIONS,
    ) -> Predictions:
        return predict(
            run, self.config, self.best, split or self.split, test, self.cache, conditions
        )

    def network(self) -> EmotionNetwork:
        network = EmotionNetwork(self.config.network)
        network.load_state_dict(checkpoint.load(self.best)["network"])
        return network

    def data(self, utterances: list[Utterance], channel: Channel) -> Dataset:
        return Dataset(utterances, [channel], self.config.test_preparation, self.cache)


@pytest.fixture(scope="module", params=TINIES)
def tested(
    request: pytest.FixtureRequest,
    split: Split,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedNetwork:
    return TrainedNetwork(request.param, split, cache, tmp_path_factory.mktemp("runs"))


def test_a_network_is_tested_with_every_enrolment_that_it_supports(tested: TrainedNetwork) -> None:
    predictions = tested.predictions
    settings = {
        f"{enrolment}/{condition}" for enrolment in tested.enrolments for condition in CONDITIONS
    }
    assert set(predictions.logits) == set(predictions.style_logits) == settings
    assert set(predictions.temperature) == set(predictions.anger_at) == set(tested.enrolments)
    assert len({logits.tobytes() for logits in predictions.logits.values()}) == len(settings)
    assert predictions.run == RUN


def test_a_network_without_the_style_task_has_no_style_logits(tested: TrainedNetwork) -> None:
    predictions = tested.again(tested.split.test, run=replace(RUN, ser_weight=1.0))
    assert predictions.style_logits == {}
    assert predictions.logits.keys() == tested.predictions.logits.keys()


def test_predictions_are_the_chosen_network_s_logits_of_the_test_utterances(
    tested: TrainedNetwork,
) -> None:
    predictions, test = tested.predictions, tested.split.test
    network = tested.network()
    for condition, channel in CONDITIONS.items():
        data = tested.data(test, channel)
        for enrolment in tested.enrolments:
            found = predict_logits(network, data, enrolment)
            np.testing.assert_array_equal(
                predictions.logits[f"{enrolment}/{condition}"], found.emotion
            )
            np.testing.assert_array_equal(
                predictions.style_logits[f"{enrolment}/{condition}"], found.style
            )
        np.testing.assert_array_equal(predictions.emotion, data.emotion)
        np.testing.assert_array_equal(predictions.style, data.style)
    assert predictions.utterance.tolist() == [f"{u.corpus}/{u.path.name}" for u in test]
    assert predictions.speaker.tolist() == [u.speaker for u in test]
    assert predictions.corpus.tolist() == [u.corpus for u in test]


def test_temperature_and_threshold_are_those_of_the_validation_speakers(
    tested: TrainedNetwork,
) -> None:
    valid = tested.data(tested.split.valid, CLEAN)
    for enrolment in tested.enrolments:
        logits = predict_logits(tested.network(), valid, enrolment).emotion
        divisor = temperature(logits, torch.from_numpy(valid.emotion))
        anger = (logits / divisor).softmax(1).numpy()[:, ANGER]
        assert tested.predictions.temperature[enrolment] == divisor
        assert tested.predictions.anger_at[enrolment] == anger_threshold(
            anger, valid.emotion == ANGER
        )


def test_test_utterances_affect_neither_temperature_nor_threshold(tested: TrainedNetwork) -> None:
    others = [replace(u, emotion=Emotion.SADNESS) for u in tested.split.test[1::2]]
    predictions = tested.again(others)
    assert predictions.temperature == tested.predictions.temperature
    assert predictions.anger_at == tested.predictions.anger_at
    assert predictions.logits["utterance/clean"].shape == (len(others), 4)


def test_validation_utterances_affect_both(tested: TrainedNetwork) -> None:
    swapped = {Emotion.ANGER: Emotion.SADNESS, Emotion.SADNESS: Emotion.ANGER}
    valid = [replace(u, emotion=swapped.get(u.emotion, u.emotion)) for u in tested.split.valid]
    predictions = tested.again(tested.split.test, replace(tested.split, valid=valid))
    for enrolment in tested.enrolments:
        assert predictions.temperature[enrolment] != tested.predictions.temperature[enrolment]
        assert predictions.anger_at[enrolment] != tested.predictions.anger_at[enrolment]


def test_without_neutral_utterances_a_caller_has_no_enrolment(
    utterances: list[Utterance], tested: TrainedNetwork
) -> None:
    """Utterances of the training and validation parts are never enrolled."""
    angry = [u for u in tested.split.test if u.emotion is not Emotion.NEUTRAL]
    predictions = tested.again(angry, conditions={"clean": CLEAN})
    for enrolment in tested.enrolments:
        same = np.array_equal(
            predictions.logits[f"{enrolment}/clean"], predictions.logits["utterance/clean"]
        )
        assert same == (enrolment != "speaker")


def test_without_a_speaker_the_voice_is_the_recording(tested: TrainedNetwork) -> None:
    unknown = [replace(u, speaker="", recording=u.speaker) for u in tested.split.test]
    predictions = tested.again(unknown)
    assert predictions.speaker.tolist() == [u.speaker for u in tested.split.test]
    for setting, logits in tested.predictions.logits.items():
        np.testing.assert_array_equal(predictions.logits[setting], logits)


def test_a_missing_checkpoint_is_refused(split: Split, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="best.pt: there is no checkpoint"):
        predict(RUN, TINIES["compact"], tmp_path / "best.pt", split, split.test, cache, CONDITIONS)
