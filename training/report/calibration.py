"""How far probabilities are from accuracy, before and after temperature scaling."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from training.metrics import reliability
from training.report.means import settings_under
from training.report.results import Study
from training.report.systems import normalisation


def reliability_bins(study: Study) -> Iterator[dict[str, Any]]:
    for given, name, system, setting in settings_under(study, "clean"):
        for calibrated in (False, True):
            probability, truth = study.probabilities(system, setting, calibrated)
            if not len(truth):
                continue
            found = reliability(probability, truth)
            for confidence, accuracy, share in zip(
                found.confidence, found.accuracy, found.share, strict=True
            ):
                if share:
                    yield {
                        "given": given,
                        "name": name,
                        "calibrated": calibrated,
                        "confidence": float(confidence),
                        "accuracy": float(accuracy),
                        "share": float(share),
                        "utterances": round(share * len(truth)),
                    }


def calibration_errors(study: Study) -> Iterator[dict[str, Any]]:
    for given, name, system, setting in settings_under(study, "clean"):
        raw, truth = study.probabilities(system, setting, calibrated=False)
        if not len(truth):
            continue
        scaled, _ = study.probabilities(system, setting, calibrated=True)
        name_of_features = normalisation(setting)
        temperatures = [
            one.temperature[name_of_features]
            for one in study.runs[system]
            if name_of_features in one.temperature
        ]
        yield {
            "given": given,
            "name": name,
            "temperature": float(np.mean(temperatures)),
            "before": reliability(raw, truth).error,
            "after": reliability(scaled, truth).error,
        }
