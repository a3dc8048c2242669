from pathlib import Path

import pytest

from tests.training.report.synthetic import whole_study
from training.report.results import Study
from training.report.statistics import StudyFigures, measure


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with every kind of run."""
    folder = tmp_path_factory.mktemp("study")
    whole_study(folder)
    return folder


@pytest.fixture(scope="session")
def whole(whole_folder: Path) -> Study:
    return Study.load(whole_folder)


@pytest.fixture(scope="session")
def figures(whole: Study) -> StudyFigures:
    return measure(whole, draws=50)
