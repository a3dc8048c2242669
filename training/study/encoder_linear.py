"""What the networks on embeddings are compared with: the same embeddings and a linear machine.

The encoder is frozen, its outputs are pooled over the utterance, and ridge regression on one
target an emotion classifies them. It is trained over the same lines as the networks, and is given
the same of the speaker: nothing, or the mean of an enrolment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve

from model.embedding import EmbeddingSpec
from model.gate import GateSpec
from model.labels import EMOTIONS
from training.calibration import Calibration, calibrate
from training.data.channel import TELEPHONE, TRAINING_CHANNELS, Channel
from training.data.dataset import Dataset
from training.data.enrolment import EnrolmentKind, Enrolments, enrolments
from training.data.features import Preparation
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import corpus_ua, mean_ua
from training.progress import track
from training.study.normalisation import by_caller, training_enrolments
from training.study.predictions import Predictions, Run

ENCODER_LINEAR = "encoder-linear"
Numbers = NDArray[np.float64]  # (N, F), or (N, 2 F) with the difference from the enrolment
KINDS: tuple[EnrolmentKind, ...] = ("utterance", "caller", "speaker")


class EncoderLinearError(ValueError):
    """The machine can't be trained; the message states what came and what was expected."""


@dataclass(frozen=True, slots=True)
class EncoderLinear:
    """All that decides the machine, except the utterances; the counterpart of a TrainConfig."""

    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    gate: GateSpec = field(default_factory=GateSpec)
    lines: tuple[Channel, ...] = TRAINING_CHANNELS  # trained on each utterance in all of them
    # Strengths of the regularisation, of which one is chosen: a training row adds so much.
    strengths: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    shrink: float = 1.0  # utterances that the mean of all speakers counts for, in an enrolment's

    @property
    def preparation(self) -> Preparation:
        return Preparation(self.embedding, self.gate)


class RidgeMachine(NamedTuple):
    """A fitted ridge regression: one decision value an emotion."""

    weights: NDArray[np.float64]  # (F, 4)
    intercept: NDArray[np.float64]  # (4,)

    def decide(self, numbers: Numbers) -> NDArray[np.float64]:
        """Returns the decision values (N, 4) of numbers (N, F)."""
        return numbers @ self.weights + self.intercept


class RidgeSums:
    """Sums over training rows, from which the machines of all strengths are computed.

    Rows are added in parts, so that no more than one part is in memory. The machines are those of
    scikit-learn's `RidgeClassifier(alpha=strength * rows, class_weight="balanced")`.
    """

    def __init__(self, emotions: NDArray[np.int64]) -> None:
        """Weighs rows so that every emotion counts alike; every part has these emotions (N,).

        Raises:
            EncoderLinearError: an emotion does not occur.
        """
        counts = np.bincount(emotions, minlength=len(EMOTIONS))
        if not counts.all():
            found = {emotion.value: int(n) for emotion, n in zip(EMOTIONS, counts, strict=True)}
            raise EncoderLinearError(f"found {found} to train on, expected some of every emotion")
        self._row_weights = len(emotions) / (len(EMOTIONS) * counts[emotions])  # (N,)
        self._targets = 2.0 * np.eye(len(EMOTIONS))[emotions] - 1  # (N, 4)
        self._rows = 0
        self._sum: NDArray[np.float64] | float = 0.0  # (F,)
        self._products: NDArray[np.float64] | float = 0.0  # (F, F)
        self._with_targets: NDArray[np.float64] | float = 0.0  # (F, 4)

    def add(self, numbers: Numbers) -> None:
        """Adds one part (N, F): all utterances in one line."""
        weighted = numbers * self._row_weights[:, None]
        self._rows += len(numbers)
        self._sum = self._sum + weighted.sum(0)
        # Single precision halves the time; what is lost is far below the regularisation.
        products = weighted.astype(np.float32).T @ numbers.astype(np.float32)
        self._products = self._products + products.astype(np.float64)
        self._with_targets = self._with_targets + weighted.T @ self._targets

    def machine(self, strength: float) -> RidgeMachine:
        """Returns the machine of a strength; rows must have been added."""
        mean = np.asarray(self._sum) / self._rows  # (F,); the weights' mean is 1
        of_targets = self._row_weights @ self._targets / len(self._targets)  # (4,)
        centred = self._products - self._rows * np.outer(mean, mean)
        centred[np.diag_indices_from(centred)] += strength * self._rows
        towards = self._with_targets - self._rows * np.outer(mean, of_targets)
        weights = solve(centred, towards, assume_a="pos", overwrite_a=True)
        return RidgeMachine(weights, of_targets - mean @ weights)


class _Measure(NamedTuple):
    """Embeddings' statistics in units of their spread within a voice, as of the training part."""

    mean: NDArray[np.float32]  # (F,)
    spread: NDArray[np.float32]  # (F,)
    shrink: float

    def numbers(self, functionals: NDArray[np.float32], enrolled: Enrolments | None) -> Numbers:
        """Returns a machine's numbers of functionals (N, F); None: nothing is known."""
        plain = ((functionals - self.mean) / self.spread).astype(np.float64)
        if enrolled is None:
            return plain
        return np.concatenate((plain, by_caller(plain, enrolled, self.shrink)), axis=1)


class _Fit(NamedTuple):
    strength: float
    machine: RidgeMachine
    ua: float  # on the validation speakers, over mu-law


def run_encoder_linear(
    run: Run,
    system: EncoderLinear,
    split: Split,
    conditions: Mapping[str, Channel],
    cache: Path,
    encoder: Path | None,
) -> Predictions:
    """Trains a machine without and one with an enrolment, and tests both under all conditions.

    The strength is chosen on the validation speakers, over mu-law; temperature and threshold are
    fitted on them in the channel of the first condition, as of the networks.

    Args:
        encoder: file of the encoder; not read if all embeddings are in the cache.

    Raises:
        EncoderLinearError: the training part lacks an emotion.
        EncoderFileError: embeddings are missing, and the encoder too, or it is another one.
        RecordingError: an utterance can't be read.
    """

    def dataset(part: Sequence[Utterance], channels: Sequence[Channel]) -> Dataset:
        return Dataset(part, channels, system.preparation, cache, encoder)

    train = dataset(split.train, system.lines)
    valid = dataset(split.valid, [TELEPHONE, *list(conditions.values())[:1]])
    test = dataset(split.test, list(conditions.values()))
    measure = _Measure(*train.voice_statistics(), system.shrink)
    of_valid, of_test = valid.functionals(), test.functionals()  # (channels, N, F)

    # ---- with nothing known, and with an enrolment: the strength that recognises most -----------
    fits: dict[EnrolmentKind, _Fit] = {}
    for kind in track(KINDS[:2], run.name, 2):
        rng = np.random.default_rng(run.seed)
        sums = RidgeSums(train.emotion)
        for of_line in train.functionals():
            enrolled = training_enrolments(split.train, rng) if kind == "caller" else None
            sums.add(measure.numbers(of_line, enrolled))
        given = measure.numbers(of_valid[0], _enrolled(split.valid, kind))
        for strength in system.strengths:
            machine = sums.machine(strength)
            recognised = machine.decide(given).argmax(1)
            ua = mean_ua(corpus_ua(split.valid, valid.emotion, recognised))
            if kind not in fits or ua > fits[kind].ua:
                fits[kind] = _Fit(strength, machine, ua)
    fits["speaker"] = fits["caller"]  # the same machine, given more

    # ---- calibrated on the validation speakers, tested once --------------------------------------
    calibrations: dict[str, Calibration] = {}
    logits = {}
    for kind in KINDS:
        machine = fits[kind].machine
        decided = machine.decide(measure.numbers(of_valid[1], _enrolled(split.valid, kind)))
        calibrations[kind] = calibrate(torch.from_numpy(decided), valid.emotion)
        enrolled = _enrolled(split.test, kind)
        for name, of_channel in zip(conditions, of_test, strict=True):
            decided = machine.decide(measure.numbers(of_channel, enrolled))
            logits[f"{kind}/{name}"] = decided.astype(np.float32)
    return Predictions.of(
        run,
        split.test,
        logits=logits,
        style_logits={},
        calibrations=calibrations,
        about={
            "peer": asdict(system),
            "chosen": {
                kind: {"valid_ua": fit.ua, "strength": fit.strength} for kind, fit in fits.items()
            },
        },
    )


def _enrolled(utterances: Sequence[Utterance], kind: EnrolmentKind) -> Enrolments | None:
    """Returns the enrolments of validation or test utterances, as of networks; None: none."""
    return None if kind == "utterance" else enrolments(utterances, kind, seed=0)
