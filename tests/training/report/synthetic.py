"""Studies without training: predictions drawn at random with a chosen accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from model.labels import EMOTIONS, STYLES, Emotion, Style
from training.report.results import Study
from training.report.systems import CONDITIONS
from training.study.predictions import Predictions, Run

FOLDS = 5


@dataclass(frozen=True)
class Corpus:
    style: Style
    speakers: int
    each: int = 3  # utterances of a speaker in each emotion; of neutral one more


CORPORA = {
    "emodb": Corpus(Style.ACTED, 9),
    "nemo": Corpus(Style.ACTED, 8),
    "urdu": Corpus(Style.SPONTANEOUS, 10),
    "eyase": Corpus(Style.SPONTANEOUS, 5),
}


def spoken(corpora: Mapping[str, Corpus], fold: int, trained_on: str) -> list[tuple[str, ...]]:
    """Utterance, corpus, speaker, style and emotion of a fold's test."""
    return [
        (f"{name}/s{speaker}-{emotion}-{take}.flac", name, f"s{speaker}", corpus.style, emotion)
        for name, corpus in corpora.items()
        if trained_on in ("both", corpus.style)
        for speaker in range(fold, corpus.speakers, FOLDS)
        for emotion in EMOTIONS
        for take in range(corpus.each + (emotion is Emotion.NEUTRAL))
    ]


@dataclass(frozen=True)
class Recipe:
    """The accuracy and the outputs of a system."""

    accuracy: float = 0.6
    settings: Sequence[str] = ("utterance/clean", "utterance/mulaw")
    sharpness: float = 3.0  # logits are so many times what they should be
    style_head: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)

    def predictions(self, run: Run, corpora: Mapping[str, Corpus] = CORPORA) -> Predictions:
        rows = spoken(corpora, run.fold, run.trained_on)
        utterance, corpus, speaker = (np.array([row[i] for row in rows]) for i in range(3))
        style = np.array([STYLES.index(Style(row[3])) for row in rows])
        emotion = np.array([[*EMOTIONS].index(row[4]) for row in rows])
        logits, style_logits = {}, {}
        for setting in self.settings:
            rng = np.random.default_rng([crc32(f"{run.name}/{setting}".encode())])
            sure = np.clip(rng.uniform(-0.2, 0.2, len(rows)) + self.accuracy, 0.26, 0.98)
            right = rng.random(len(rows)) < sure
            recognised = np.where(right, emotion, (emotion + rng.integers(1, 4, len(rows))) % 4)
            # With such a margin the calibrated probability of what is recognised is `sure`.
            margin = np.log(3 * sure / (1 - sure))[:, None]
            logits[setting] = (np.eye(4)[recognised] * margin * self.sharpness).astype(np.float32)
            if self.style_head:
                recognised_style = np.where(rng.random(len(rows)) < 0.95, style, 1 - style)
                style_logits[setting] = (np.eye(2)[recognised_style] * 4).astype(np.float32)
        names = {setting.split("/")[0] for setting in self.settings}
        return Predictions(
            run=run,
            utterance=utterance,
            corpus=corpus,
            speaker=speaker,
            style=style,
            emotion=emotion,
            logits=logits,
            style_logits=style_logits,
            temperature=dict.fromkeys(names, self.sharpness),
            anger_at=dict.fromkeys(names, 0.4),
            about={"seconds": 60.0, "epochs": 10, "epoch": 7, "parameters": 4_300_000}
            | {"operations": 4e8, "without_speakers": []}
            | dict(self.about),
        )


def study_of(folder: Path, *runs: Predictions) -> Study:
    for predictions in runs:
        predictions.save(folder / predictions.run.name)
    return Study.load(folder)


def settings(*normalisations: str, conditions: Sequence[str] = CONDITIONS) -> tuple[str, ...]:
    return tuple(f"{name}/{condition}" for name in normalisations for condition in conditions)


def whole_study(
    folder: Path, corpora: Mapping[str, Corpus] = CORPORA, folds: int = 2, weights: int = 2
) -> None:
    """Every kind of run there is."""

    def save(
        system: str, recipe: Recipe, share: float = 1.0, ser_weight: float = 1.0, **of: str
    ) -> None:
        for fold in range(folds):
            network, trained_on = of.get("network", "compact"), of.get("trained_on", "both")
            run = Run(system, network, trained_on, share, ser_weight, fold, seed=0)
            recipe.predictions(run, corpora).save(folder / run.name)

    plain = settings("utterance")
    for style in STYLES:
        save("baseline", Recipe(0.5, plain, style_head=False), trained_on=style.value)
    for share, loss in ((1.0, 0.0), (0.5, 0.05)):
        save("combined", Recipe(0.52 - loss, plain), share)
        save("mtl", Recipe(0.55 - loss, plain), share, 0.8)
        save("selective-mtl", Recipe(0.6 - loss, plain), share, 0.8)
    for weight in np.linspace(0.1, 0.7, weights):
        save("selective-mtl", Recipe(0.45 + weight / 5, plain), 1.0, round(float(weight), 2))
    save("kanjo", Recipe(0.7, settings("utterance", "caller", "speaker")), 1.0, 0.8)
    reference = {"network": "svm", "trained_on": "both"}
    reference_settings = settings("corpus", "caller", "speaker")
    save("egemaps-svm", Recipe(0.55, reference_settings, style_head=False), **reference)
    save("compare-svm", Recipe(0.6, settings("corpus", conditions=("clean", "mulaw"))), **reference)
