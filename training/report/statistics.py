"""Every number of a report, as tables of plain values: one row a fact."""

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from training.pages import without_nan
from training.report import calibration, comparison, inventory, recognition, unseen
from training.report.results import Study


@dataclass(frozen=True)
class StudyFigures:
    """The numbers of a report; intervals are in columns `..._low` and `..._high`."""

    runs: pd.DataFrame  # what has finished
    corpora: pd.DataFrame  # what was tested on
    overall: pd.DataFrame  # mean of the two styles, as in table 3
    claim: pd.DataFrame  # selective MTL minus baseline: the paper's main result
    steps: pd.DataFrame  # each system of the paper minus the one before
    emotions: pd.DataFrame  # tables 4 and 5
    by_corpus: pd.DataFrame
    advantage: pd.DataFrame  # Kanjo minus the best reference system
    anger: pd.DataFrame  # against the rest
    style: pd.DataFrame
    confusions: pd.DataFrame
    weights: pd.DataFrame  # the lambda curve
    reliability: pd.DataFrame
    calibration: pd.DataFrame
    channels: pd.DataFrame  # degraded conditions
    costs: pd.DataFrame
    held_out: pd.DataFrame  # each corpus tested by systems that were trained on the others
    encoders: pd.DataFrame  # all systems, by the means that compare encoders
    encoder_gains: pd.DataFrame  # Kanjo on embeddings minus each reference system

    def as_records(self) -> dict[str, list[dict[str, Any]]]:
        """Returns JSON values; NaN is None."""
        return {
            field.name: without_nan(getattr(self, field.name).to_dict("records"))
            for field in fields(self)
        }


def measure(study: Study, draws: int) -> StudyFigures:
    """Computes all figures, with `draws` of the bootstrap over speakers."""
    return StudyFigures(
        runs=pd.DataFrame(inventory.runs(study)),
        corpora=pd.DataFrame(inventory.corpora(study)),
        overall=pd.DataFrame(comparison.overall(study, draws)),
        claim=pd.DataFrame(comparison.claim(study, draws)),
        steps=pd.DataFrame(comparison.steps(study, draws)),
        emotions=pd.DataFrame(recognition.emotions(study, draws)),
        by_corpus=pd.DataFrame(recognition.by_corpus(study, draws)),
        advantage=pd.DataFrame(recognition.advantage(study, draws)),
        anger=pd.DataFrame(recognition.anger(study, draws)),
        style=pd.DataFrame(recognition.style(study, draws)),
        confusions=pd.DataFrame(recognition.confusions(study)),
        weights=pd.DataFrame(comparison.weights(study, draws)),
        reliability=pd.DataFrame(calibration.reliability_bins(study)),
        calibration=pd.DataFrame(calibration.calibration_errors(study)),
        channels=pd.DataFrame(recognition.channels(study, draws)),
        costs=pd.DataFrame(inventory.costs(study)),
        held_out=pd.DataFrame(unseen.held_out(study, draws)),
        encoders=pd.DataFrame(unseen.encoders(study, draws)),
        encoder_gains=pd.DataFrame(unseen.encoder_gains(study, draws)),
    )
