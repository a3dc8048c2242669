from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.training.report.expected import RUN, row
from tests.training.report.synthetic import Recipe, study_of
from training.report.statistics import measure


def test_costs_are_means_over_runs(tmp_path: Path) -> None:
    runs = [
        Recipe(about={"seconds": seconds, "epoch": None}).predictions(replace(RUN, fold=fold))
        for fold, seconds in ((0, 100), (1, 300))
    ]
    found = row(measure(study_of(tmp_path, *runs), 0).costs, system="combined")
    assert (found["runs"], found["seconds"], found["parameters"]) == (2, 200, 4_300_000)
    assert np.isnan(found["epoch"])


def test_corpora_have_counts_and_whether_speakers_are_labelled(tmp_path: Path) -> None:
    study = study_of(tmp_path, Recipe(about={"without_speakers": ["nemo"]}).predictions(RUN))
    found = measure(study, 0).corpora.set_index("corpus")
    assert found.loc["emodb", ["speakers", "utterances", "anger", "neutral"]].to_list() == [
        2,
        2 * 13,
        6,
        8,
    ]
    assert found["without_speakers"].to_dict() == {
        "emodb": False,
        "nemo": True,
        "eyase": False,
        "urdu": False,
    }
