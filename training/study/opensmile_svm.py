"""What the networks are compared with: openSMILE's functionals and a support vector machine.

These systems are given the same stretch of the same recordings as the networks, and are normalised
with comparable knowledge of the speaker: `corpus` with the corpus only (all corpora alike where the
tested one is held out), `caller` with an enrolment of earlier utterances, `speaker` with all
utterances of the speaker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import opensmile
import torch
from numpy.typing import NDArray
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from model.labels import EMOTIONS
from training.calibration import calibrate
from training.data.channel import CLEAN, Channel
from training.data.enrolment import Enrolments, enrolments
from training.data.manifest import Utterance
from training.data.splits import Split
from training.metrics import corpus_ua, mean_ua
from training.progress import track
from training.study.normalisation import (
    NORMALISATIONS,
    OpenSmileError,
    by_caller,
    by_corpus,
    by_speaker,
    corpus_scalers,
    training_enrolments,
)
from training.study.opensmile_features import FunctionalsTable, build
from training.study.predictions import Predictions, Run

TOLERANCE = 1e-2  # of a linear machine; a smaller one changed none of 1,200 predictions
SHRINKS = (1.0, 3.0, 10.0, 30.0)  # utterances that the corpus' mean counts for


@dataclass(frozen=True, slots=True)
class OpenSmileSystem:
    """A set of functionals, and the machine that classifies them."""

    functionals: Literal["eGeMAPSv02", "ComParE_2016"]
    kernel: Literal["linear", "rbf"]
    costs: tuple[float, ...]  # C is one of these

    def machine(self, cost: float, seed: int) -> Pipeline:
        """Returns a machine to be fitted, with one decision value an emotion: (N, 4)."""
        svm = (
            LinearSVC(C=cost, class_weight="balanced", tol=TOLERANCE, random_state=seed)
            if self.kernel == "linear"
            else OneVsRestClassifier(SVC(C=cost, class_weight="balanced"))
        )
        return make_pipeline(StandardScaler(), svm)


OPENSMILE_SYSTEMS: Mapping[str, OpenSmileSystem] = {
    "egemaps": OpenSmileSystem("eGeMAPSv02", "linear", (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
    "egemaps-rbf": OpenSmileSystem("eGeMAPSv02", "rbf", (0.3, 1.0, 3.0, 10.0)),
    "compare": OpenSmileSystem("ComParE_2016", "linear", (1e-6, 1e-5, 1e-4)),
}


class _Fit(NamedTuple):
    """A fitted machine, and its decision values for the validation speakers."""

    cost: float
    shrink: float
    machine: Pipeline
    logits: NDArray[np.float64]  # (N, 4)
    ua: float


def _emotions(utterances: Sequence[Utterance]) -> NDArray[np.int64]:
    return np.array([EMOTIONS.index(u.emotion) for u in utterances])


def run_opensmile(
    run: Run, split: Split, conditions: Mapping[str, Channel], cache: Path
) -> Predictions:
    """Trains the system that `run.system` names, and tests it under all conditions.

    One machine is trained for each normalisation, on recordings without any channel. Its cost and
    shrinkage are chosen, and it is calibrated, on the validation speakers.

    Raises:
        OpenSmileError: there is no such system, or the training part lacks an emotion or a corpus.
        RecordingError: an utterance can't be read.
    """
    if run.system not in OPENSMILE_SYSTEMS:
        raise OpenSmileError(
            f"found system {run.system!r}, expected one of {sorted(OPENSMILE_SYSTEMS)}"
        )
    system = OPENSMILE_SYSTEMS[run.system]
    emotions = _emotions(split.train)
    if len(set(emotions.tolist())) < len(EMOTIONS):
        found = sorted({u.emotion.value for u in split.train})
        raise OpenSmileError(f"found {found} to train on, expected {[e.value for e in EMOTIONS]}")

    # ---- functionals: one list for all folds, so that clean ones are extracted once --------------
    everyone = sorted((*split.train, *split.valid, *split.test), key=lambda u: str(u.path))
    row_of = {utterance.path: row for row, utterance in enumerate(everyone)}
    clean = build(everyone, system.functionals, CLEAN, cache)
    train, valid, test = (
        clean[[row_of[u.path] for u in part]] for part in (split.train, split.valid, split.test)
    )
    tests = {
        name: test if channel == CLEAN else build(split.test, system.functionals, channel, cache)
        for name, channel in conditions.items()
    }

    scalers = corpus_scalers(train, split.train)
    if strange := {u.corpus for u in split.test} - scalers.keys():
        # Nothing is known of a corpus that is held out: all are scaled alike, by the training part.
        scalers = dict.fromkeys({*scalers, *strange}, StandardScaler().fit(train))
    train_enrolments = training_enrolments(split.train, np.random.default_rng(run.seed))
    valid_enrolments = enrolments(split.valid, "caller", seed=0)  # as for networks
    test_enrolments = enrolments(split.test, "caller", seed=0)

    def normalised(
        how: str,
        shrink: float,
        part: FunctionalsTable,
        utterances: Sequence[Utterance],
        enrolled: Enrolments,
    ) -> FunctionalsTable:
        if how == "speaker":
            return by_speaker(part, utterances)
        scaled = by_corpus(part, utterances, scalers)
        return by_caller(scaled, enrolled, shrink) if how == "caller" else scaled

    # ---- each normalisation: the machine with the highest UA on the validation speakers ----------
    choices = [
        (how, shrink, cost)
        for how in NORMALISATIONS
        for shrink in (SHRINKS if how == "caller" else (0.0,))
        for cost in system.costs
    ]
    of_valid = _emotions(split.valid)
    best: dict[str, _Fit] = {}
    for how, shrink, cost in track(choices, run.name, len(choices)):
        machine = system.machine(cost, run.seed)
        machine.fit(normalised(how, shrink, train, split.train, train_enrolments), emotions)
        logits = machine.decision_function(
            normalised(how, shrink, valid, split.valid, valid_enrolments)
        )
        ua = mean_ua(corpus_ua(split.valid, of_valid, logits.argmax(1)))
        if how not in best or ua > best[how].ua:
            best[how] = _Fit(cost, shrink, machine, logits, ua)

    # ---- calibrated on the validation speakers, tested once --------------------------------------
    calibrations, predicted = {}, {}
    for how, fit in best.items():
        calibrations[how] = calibrate(torch.from_numpy(fit.logits), of_valid)
        for name, part in tests.items():
            scaled = normalised(how, fit.shrink, part, split.test, test_enrolments)
            predicted[f"{how}/{name}"] = fit.machine.decision_function(scaled).astype(np.float32)
    return Predictions.of(
        run,
        split.test,
        logits=predicted,
        style_logits={},
        calibrations=calibrations,
        about={
            "peer": asdict(system),
            "opensmile": opensmile.__version__,
            "chosen": {
                how: {"valid_ua": fit.ua, "C": fit.cost, "shrink": fit.shrink}
                for how, fit in best.items()
            },
        },
    )
