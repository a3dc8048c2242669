from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.report.synthetic import CORPORA, Recipe, study_of
from training.report import paper
from training.report.means import BOTH
from training.report.page import Section, Table, difference
from training.report.results import Study
from training.report.sections import sections
from training.report.statistics import StudyFigures, measure
from training.study.predictions import Predictions, Run

RUN = Run("combined", "compact", "both", 1.0, 1.0, fold=0, seed=0)


def read(study: Study, draws: int = 20) -> dict[str, Section]:
    return {section.title: section for section in sections(study, measure(study, draws), draws)}


def cells(table: Table, *labels: str) -> dict[str, str]:
    own = [row for row in table.rows if list(row[: len(labels)]) == list(labels)]
    assert len(own) == 1
    return dict(zip(table.columns, own[0], strict=True))


@pytest.fixture(scope="module")
def read_whole(whole: Study, figures: StudyFigures) -> dict[str, Section]:
    return {section.title: section for section in sections(whole, figures, 50)}


def test_the_summary_has_the_speaker_data_of_a_live_call(read_whole: dict[str, Section]) -> None:
    (table,) = read_whole["Summary"].tables
    assert [row[0] for row in table.rows] == [
        "baseline",
        "combined",
        "MTL",
        "selective MTL",
        "Kanjo",
        "compare-svm",
        "egemaps-svm",
        "Kanjo + past speech",
        "egemaps-svm + past speech",
    ]
    assert list(table.columns) == ["system", "folds", "UA", "minus baseline", "without urdu"]


def test_the_first_sentence_gives_kanjo_s_ua(
    read_whole: dict[str, Section], figures: StudyFigures
) -> None:
    first = read_whole["Summary"].paragraphs[0]
    of = cells(read_whole["Summary"].tables[0], "Kanjo + past speech")
    assert f"Kanjo + past speech reaches {of['UA']} % UA: {of['minus baseline']} points" in first
    best = figures.advantage[
        (figures.advantage["given"] == "nothing") & (figures.advantage["corpus"] == BOTH)
    ]
    assert (
        f"{difference(best.iloc[0])} against {best.iloc[0]['reference']}, the best reference system"
        in first
    )


def test_without_kanjo_the_summary_begins_with_the_paper_s_gain(tmp_path: Path) -> None:
    first = read(study_of(tmp_path, Recipe().predictions(RUN)))["Summary"].paragraphs[0]
    assert first.startswith("Selective MTL minus baseline")


def test_every_row_has_a_cell_for_every_column(read_whole: dict[str, Section]) -> None:
    tables = [table for section in read_whole.values() for table in section.tables]
    assert len(tables) == 17
    for table in tables:
        assert table.rows, table.title
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_paper_s_figures_stand_beside_ours(read_whole: dict[str, Section]) -> None:
    table = read_whole["The paper's comparison"].tables[1]
    found = cells(table, "selective MTL (half)")
    assert found["UA, paper"] == "61.06"
    assert found["the same, paper"] == "+1.23"
    assert found["WA, paper"] == "62.06"
    assert [row[0] for row in table.rows] == [
        "baseline",
        "combined",
        "combined (half)",
        "MTL",
        "MTL (half)",
        "selective MTL",
        "selective MTL (half)",
    ]
    acted = read_whole["Emotions in acted speech"].tables[0]
    assert cells(acted, "selective MTL", "paper") == {
        "system": "selective MTL",
        "data": "paper",
        "anger": "44.77",
        "happiness": "64.42",
        "sadness": "76.76",
        "neutral": "51.92",
        "UA": "59.47",
        "WA": "56.87",
    }


def test_systems_that_the_paper_quotes_are_marked(read_whole: dict[str, Section]) -> None:
    acted, spontaneous = (read_whole[f"Emotions in {s} speech"] for s in ("acted", "spontaneous"))
    ghosh = cells(acted.tables[0], "Ghosh et al. 2016", "quoted")
    assert (ghosh["happiness"], ghosh["sadness"], ghosh["WA"]) == ("36.98", "64.27", "50.47")
    assert cells(acted.tables[0], "Chenchah et al. 2014", "quoted")["UA"] == "–"
    assert "neither run nor checked here" in acted.paragraphs[-1]
    assert not [row for row in spontaneous.tables[0].rows if row[1] == "quoted"]


def test_channels_are_named_in_words(read_whole: dict[str, Section]) -> None:
    (table,) = read_whole["Degraded channels"].tables
    words = ["clean", "mu-law", "A-law", "5 % packet loss", "10 % packet loss", "noise at 10 dB"]
    assert list(table.columns[2:]) == words


def test_the_paper_s_ua_is_the_mean_of_its_recalls() -> None:
    for rows in paper.BY_STYLE.values():
        for recalls_ua_wa in rows.values():
            # The paper's own rounding.
            assert sum(recalls_ua_wa[:4]) / 4 == pytest.approx(recalls_ua_wa[4], abs=0.11)


def test_a_corpus_with_one_tested_speaker_is_marked(
    read_whole: dict[str, Section], tmp_path: Path
) -> None:
    one_fold = read(study_of(tmp_path, Recipe().predictions(RUN)))
    ua = cells(one_fold["By corpus"].tables[0], "nothing", "combined")
    assert ua["eyase"].endswith("(one speaker)")
    assert "–" in ua["emodb"]
    two_folds = cells(read_whole["By corpus"].tables[0], "nothing", "combined")
    assert "–" in two_folds["eyase"]


def test_seeds_are_shown_where_there_are_several(tmp_path: Path) -> None:
    study = study_of(tmp_path, *(Recipe().predictions(replace(RUN, seed=s)) for s in (0, 1)))
    found = cells(read(study)["The paper's comparison"].tables[1], "combined")
    assert found["folds / seeds"] == "1 / 2"
    assert len(found["UA by seed"].split()) == 2


def test_remarks_are_of_the_corpora_that_are_there(tmp_path: Path) -> None:
    of_urdu = read(study_of(tmp_path / "all", Recipe().predictions(RUN)))["Remarks"].paragraphs
    assert any("speaker and emotion are confounded" in sentence for sentence in of_urdu)
    unknown = Recipe(about={"without_speakers": ["calls"]})
    corpora = {"calls": CORPORA["eyase"], "emodb": CORPORA["emodb"]}
    study = study_of(tmp_path / "own", unknown.predictions(RUN, corpora))
    own = read(study)
    assert not any(
        "urdu" in paragraph for section in own.values() for paragraph in section.paragraphs
    )
    assert any(s.startswith("calls has no speaker labels") for s in own["Remarks"].paragraphs)
    assert (
        cells(own["How it was measured"].tables[1], "calls", "spontaneous")["speakers"] == "unknown"
    )
    assert "UA" in own["The paper's comparison"].tables[1].columns
    assert not any(
        "urdu" in column for section in own.values() for t in section.tables for column in t.columns
    )


@pytest.mark.parametrize(
    ("predictions", "missing"),
    [
        (
            Recipe().predictions(replace(RUN, system="baseline", trained_on="acted")),
            {
                "Selective MTL minus baseline, percentage points of UA",
                "Step by step, percentage points",
                "Table 5: spontaneous speech, % (paper: call centre, other data)",
                "Kanjo minus the best reference system, percentage points of UA",
                "Style accuracy, % of all utterances",
                "UA by λ, %",
            },
        ),
        (
            Recipe(settings=("caller/mulaw",)).predictions(replace(RUN, system="kanjo")),
            {
                "UA, mean of acted and spontaneous speech, %; minus baseline: points",
                "Selective MTL minus baseline, percentage points of UA",
                "Step by step, percentage points",
                "Table 4: acted speech, % (paper: IEMOCAP, other data)",
                "Table 5: spontaneous speech, % (paper: call centre, other data)",
                "UA, %",
                "WA, %",
                "Kanjo minus the best reference system, percentage points of UA",
                "Style accuracy, % of all utterances",
                "UA by λ, %",
                "Expected calibration error, percentage points",
            },
        ),
        (
            replace(
                Recipe(settings=("corpus/clean",)).predictions(
                    replace(RUN, system="svm", network="svm")
                ),
                temperature={},
                anger_at={},
                style_logits={},
                about={},
            ),
            {
                "Selective MTL minus baseline, percentage points of UA",
                "Step by step, percentage points",
                "Table 4: acted speech, % (paper: IEMOCAP, other data)",
                "Table 5: spontaneous speech, % (paper: call centre, other data)",
                "Kanjo minus the best reference system, percentage points of UA",
                "Anger against the rest, %",
                "Style accuracy, % of all utterances",
                "UA by λ, %",
                "Expected calibration error, percentage points",
            },
        ),
    ],
)
def test_a_table_without_rows_states_what_is_missing(
    tmp_path: Path, predictions: Predictions, missing: set[str]
) -> None:
    read_sections = read(study_of(tmp_path, predictions))
    empty = {t.title for section in read_sections.values() for t in section.tables if not t.rows}
    # A style that one run was not tested in has rows without figures.
    if predictions.run.system == "baseline":
        missing = missing - {"Table 5: spontaneous speech, % (paper: call centre, other data)"}
        table = read_sections["Emotions in spontaneous speech"].tables[0]
        assert cells(table, "baseline", "here")["UA"] == "–"
    assert empty == missing


def test_wording_is_of_how_a_voice_sounds(read_whole: dict[str, Section]) -> None:
    text = " ".join(
        paragraph for section in read_whole.values() for paragraph in section.paragraphs
    )
    assert "sounds angry" in text
    assert "is angry" not in text
