"""The report on corpora that are held out, and on systems with the encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import recall_score

from model.labels import Style
from tests.training.report.expected import KANJO, REFERENCE, RUN, row
from tests.training.report.synthetic import CORPORA, Corpus, Recipe, settings, study_of
from training.report.page import Section, interval
from training.report.results import ReportError, Study
from training.report.sections import sections
from training.report.statistics import StudyFigures, measure
from training.study.predictions import Predictions

BASE = replace(KANJO, network="encoder")
LINEAR = replace(REFERENCE, system="encoder-linear", network="ridge")
LIVE = settings("utterance", "caller", conditions=("clean", "mulaw"))
WITH_ASED = {**CORPORA, "ased": Corpus(Style.ACTED, 6)}


def held_out(corpus: str, accuracy: float) -> list[Predictions]:
    """All speakers of one corpus, tested by a system that was trained on the others."""
    one = {corpus: replace(CORPORA[corpus], speakers=1)}  # all of them in fold 0
    run = replace(BASE, held_out=corpus)
    return [Recipe(accuracy, LIVE).predictions(run, one)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    runs = [
        *(Recipe(0.8, LIVE).predictions(replace(BASE, fold=f), WITH_ASED) for f in (0, 1)),
        *(Recipe(0.7, LIVE).predictions(replace(LINEAR, fold=f), WITH_ASED) for f in (0, 1)),
        Recipe(0.6, LIVE).predictions(KANJO, WITH_ASED),
        Recipe().predictions(RUN, WITH_ASED),
        *(run for corpus in CORPORA for run in held_out(corpus, 0.6)),
    ]
    return study_of(tmp_path_factory.mktemp("study"), *runs)


@pytest.fixture(scope="module")
def figures(study: Study) -> StudyFigures:
    return measure(study, draws=20)


@pytest.fixture(scope="module")
def read(study: Study, figures: StudyFigures) -> dict[str, Section]:
    return {section.title: section for section in sections(study, figures, 20)}


def test_runs_with_a_corpus_held_out_count_in_their_own_table_alone(
    study: Study, figures: StudyFigures
) -> None:
    assert not [one for one in study.predictions if one.run.held_out]
    assert study.held_out is not None
    assert {one.run.held_out for one in study.held_out.predictions} == set(CORPORA)
    rows = figures.held_out[figures.held_out["given"] == "nothing"]
    assert set(rows["name"]) == {"Kanjo"}
    assert set(rows["corpus"]) == {"mean", *CORPORA}
    each = rows.set_index("corpus")
    for measured in ("ua", "anger"):
        mean = each.loc[["emodb", "nemo", "eyase"], measured].mean()  # without urdu
        assert each.loc["mean", measured] == pytest.approx(mean)


def test_a_study_of_held_out_corpora_alone_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="only runs with a corpus held out, expected a fold's"):
        study_of(tmp_path, *held_out("emodb", 0.6))


def test_the_means_that_compare_encoders_are_without_text(
    study: Study, figures: StudyFigures
) -> None:
    found = row(figures.encoders, given="past speech", name="Kanjo base")
    runs = [one for one in study.predictions if one.run.network == "encoder"]

    def ua(*corpora: str) -> float:
        each = []
        for corpus in corpora:
            truth = np.concatenate([one.emotion[one.corpus == corpus] for one in runs])
            recognised = np.concatenate(
                [one.logits["caller/mulaw"].argmax(1)[one.corpus == corpus] for one in runs]
            )
            each.append(recall_score(truth, recognised, average="macro"))
        return float(np.mean(each))

    assert found["mean"] == pytest.approx(ua("emodb", "nemo", "eyase", "ased"))
    assert found["without text"] == pytest.approx(ua("emodb", "nemo", "eyase"))
    assert found["compared"] == pytest.approx(ua("emodb", "nemo", "eyase"))


def test_the_sections_begin_with_the_answer(
    read: dict[str, Section], figures: StudyFigures
) -> None:
    own = read["With and without the encoder"]
    of = row(figures.encoders, given="past speech", name="Kanjo base")
    assert (
        f"Kanjo base reaches {interval(of, 'compared')} % UA with past speech"
        in (own.paragraphs[0])
    )
    assert "against encoder + linear" in own.paragraphs[0]
    assert list(own.tables[0].columns) == [
        "speaker data",
        "system",
        "mean without urdu",
        "mean without urdu and ased",
        "mean of emodb, eyase, nemo",
        "anger against the rest, mean without urdu",
    ]
    unseen = read["Corpora never seen"]
    assert "Kanjo is best with nothing given of the speaker" in unseen.paragraphs[0]
    assert [len(table.rows) for table in unseen.tables] == [2, 2]
    for table in (*own.tables, *unseen.tables):
        assert {len(cells) for cells in table.rows} == {len(table.columns)}


def test_without_such_runs_there_are_no_such_sections(tmp_path: Path) -> None:
    plain = study_of(tmp_path, Recipe(0.6, LIVE).predictions(KANJO))
    titles = [section.title for section in sections(plain, measure(plain, 20), 20)]
    assert "Corpora never seen" not in titles
    assert "With and without the encoder" not in titles
