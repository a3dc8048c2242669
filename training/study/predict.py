"""Tests a trained network on its test speakers, in every setting that a study asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from model.network import EmotionNetwork
from training import checkpoint
from training.calibration import Calibration, calibrate
from training.data.channel import Channel
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance
from training.data.splits import Split
from training.recipes import TrainConfig
from training.study.predictions import Predictions, Run
from training.train import predict_logits

ENROLMENTS: tuple[EnrolmentKind, ...] = ("utterance", "caller", "speaker")


def predict(
    run: Run,
    config: TrainConfig,
    best: Path,
    split: Split,
    test: Sequence[Utterance],
    cache: Path,
    conditions: Mapping[str, Channel],
    encoder: Path | None = None,
) -> Predictions:
    """Returns the best checkpoint's logits of the test utterances, under all conditions.

    A network without a speaker baseline is tested without enrolments. Temperature and threshold are
    fitted on the validation speakers in the channel of the first condition.

    Raises:
        CheckpointError: there is no such checkpoint.
        ValueError: all validation utterances are angry, or none is.
    """
    network = EmotionNetwork(config.network)
    network.load_state_dict(checkpoint.load(best)["network"])
    channels = list(conditions.values())
    valid = Dataset(split.valid, channels[:1], config.test_preparation, cache, encoder)
    data = Dataset(test, channels, config.test_preparation, cache, encoder)
    has_style = run.ser_weight < 1.0
    logits, style_logits = {}, {}
    calibrations: dict[str, Calibration] = {}
    for enrolment in ENROLMENTS if config.network.functionals else ENROLMENTS[:1]:
        on_valid = predict_logits(network, valid, enrolment).emotion
        calibrations[enrolment] = calibrate(on_valid, valid.emotion)
        for channel, condition in enumerate(conditions):
            predicted = predict_logits(network, data, enrolment, channel)
            logits[f"{enrolment}/{condition}"] = predicted.emotion.numpy()
            if has_style:
                style_logits[f"{enrolment}/{condition}"] = predicted.style.numpy()
    return Predictions.of(
        run,
        test,
        logits=logits,
        style_logits=style_logits,
        calibrations=calibrations,
        about={},
    )
