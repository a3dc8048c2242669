"""A trained network's answers to what it never heard: in every way that a study asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from model.labels import EMOTIONS, Emotion
from model.network import EmotionNetwork
from training import checkpoint
from training.data.channel import Channel
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import anger_threshold
from training.study.predictions import Predictions, Run
from training.train import TrainConfig, answer, temperature

ANGER = EMOTIONS.index(Emotion.ANGER)
KNOWN: tuple[EnrolmentKind, ...] = ("utterance", "caller", "speaker")


def predict(
    run: Run,
    config: TrainConfig,
    best: Path,
    split: Split,
    test: Sequence[Utterance],
    cache: Path,
    conditions: Mapping[str, Channel],
) -> Predictions:
    """The best checkpoint's logits of the utterances of a test, under all conditions.

    Temperature and threshold are those of the validation speakers, as the conditions' first has it.

    Raises:
        CheckpointError: there is no such checkpoint.
        ValueError: the validation speakers are never angry, or nothing else.
    """
    network = EmotionNetwork(config.network)
    network.load_state_dict(checkpoint.load(best)["network"])
    lines = list(conditions.values())
    valid = Dataset(split.valid, lines[:1], config.test_making, cache)
    data = Dataset(test, lines, config.test_making, cache)
    truth = torch.from_numpy(valid.emotion)
    has_style = run.ser_weight < 1.0
    logits, style_logits = {}, {}
    temperatures: dict[str, float] = {}
    anger_at: dict[str, float] = {}
    for known in KNOWN if config.features.functionals else KNOWN[:1]:
        on_valid = answer(network, valid, known).emotion
        temperatures[known] = temperature(on_valid, truth)
        posterior = (on_valid / temperatures[known]).softmax(1).numpy()
        anger_at[known] = anger_threshold(posterior[:, ANGER], valid.emotion == ANGER)
        for line, condition in enumerate(conditions):
            told = answer(network, data, known, line)
            logits[f"{known}/{condition}"] = told.emotion.numpy()
            if has_style:
                style_logits[f"{known}/{condition}"] = told.style.numpy()
    return Predictions(
        run=run,
        utterance=np.array([f"{u.corpus}/{u.path.name}" for u in test]),
        corpus=np.array([u.corpus for u in test]),
        speaker=np.array([u.voice for u in test]),
        style=data.style,
        emotion=data.emotion,
        logits=logits,
        style_logits=style_logits,
        temperature=temperatures,
        anger_at=anger_at,
    )
