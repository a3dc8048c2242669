import json
from pathlib import Path

import numpy as np

from tests.training.report.expected import RUN, row
from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report.statistics import StudyFigures, measure


def test_without_draws_there_are_figures_but_no_intervals(tmp_path: Path) -> None:
    found = row(
        measure(study_of(tmp_path, Recipe().predictions(RUN)), 0).overall,
        system="combined",
        share=1.0,
    )
    assert np.isfinite(found["ua"])
    assert np.isnan(found["ua_low"])


def test_all_of_it_can_be_written_as_json(tmp_path: Path, figures: StudyFigures) -> None:
    acted = {"emodb": CORPORA["emodb"]}
    for found in (figures, measure(study_of(tmp_path, Recipe().predictions(RUN, acted)), 0)):
        again = json.loads(json.dumps(found.as_records(), allow_nan=False))
        assert again["overall"][0]["name"] == "baseline"
        assert len(again["by_corpus"]) == len(found.by_corpus)
