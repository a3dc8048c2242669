from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.report.expected import KANJO, row
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report.statistics import measure


def test_temperatures_calibrate_probabilities(tmp_path: Path) -> None:
    many = {name: replace(corpus, each=20) for name, corpus in CORPORA.items()}
    study = study_of(tmp_path, Recipe(0.6, sharpness=3.0).predictions(KANJO, many))
    found = row(measure(study, 0).calibration, name="Kanjo")
    assert found["temperature"] == 3.0
    assert found["before"] > 0.25
    assert found["after"] < 0.08
    bins = measure(study, 0).reliability
    for calibrated in (False, True):
        own = bins[bins["calibrated"] == calibrated]
        assert own["share"].sum() == pytest.approx(1)
        error = (own["share"] * (own["accuracy"] - own["confidence"]).abs()).sum()
        assert error == pytest.approx(found["after" if calibrated else "before"])
