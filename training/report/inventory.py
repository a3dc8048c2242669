"""What was run and tested, and what it cost."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from model.labels import EMOTIONS
from training.report.means import identity
from training.report.results import Study
from training.study.predictions import Predictions

COSTS = ("seconds", "epochs", "epoch", "parameters", "operations")


def runs(study: Study) -> Iterator[dict[str, Any]]:
    for system, predictions in study.runs.items():
        yield {
            **identity(study, system),
            "runs": len(predictions),
            "trained_on": sorted({one.run.trained_on for one in predictions}),
            "folds": {str(seed): list(folds) for seed, folds in study.folds(system).items()},
        }


def corpora(study: Study) -> Iterator[dict[str, Any]]:
    for corpus, style in study.styles.items():
        own = study.utterances[study.utterances["corpus"] == corpus]
        count = np.bincount(own["emotion"], minlength=len(EMOTIONS))
        yield {
            "corpus": corpus,
            "style": style.value,
            "speakers": own["speaker"].nunique(),
            "utterances": len(own),
            **{emotion.value: int(n) for emotion, n in zip(EMOTIONS, count, strict=True)},
            "without_speakers": any(
                corpus in (one.about.get("without_speakers") or ()) for one in study.predictions
            ),
        }


def costs(study: Study) -> Iterator[dict[str, Any]]:
    for system, predictions in study.runs.items():
        yield {
            **identity(study, system),
            "runs": len(predictions),
            **{fact: _mean(predictions, fact) for fact in COSTS},
        }


def _mean(predictions: Sequence[Predictions], fact: str) -> float:
    """Returns the mean over the runs that recorded the fact, NaN if none did."""
    found = [float(one.about[fact]) for one in predictions if one.about.get(fact) is not None]
    return float(np.mean(found)) if found else np.nan
