"""The sections on held-out corpora and on the encoder; both are left out where nothing was run."""

from collections.abc import Iterator, Sequence

import pandas as pd

from training.report.means import MEAN
from training.report.page import NOTHING, Section, Table, difference, interval
from training.report.prose import paragraphs
from training.report.results import Study
from training.report.statistics import StudyFigures
from training.report.systems import OURS
from training.report.tables import SYSTEM, groups, rows_where
from training.report.unseen import COMPARED, OF_COMPARED, TEXT_LEAKS, WITHOUT_TEXT


def sections(study: Study, figures: StudyFigures) -> Iterator[Section]:
    if len(figures.held_out):
        assert study.held_out is not None
        yield _held_out(study.held_out, figures.held_out)
    if len(figures.encoders):
        yield _encoders(study, figures)


def _held_out(unseen: Study, rows: pd.DataFrame) -> Section:
    return Section(
        "Corpora never seen",
        paragraphs(
            "held_out",
            best=_best(rows_where(rows, corpus=MEAN), "ua"),
            excluding=unseen.excluding,
            corpora=list(unseen.styles),
        ),
        [
            _by_held_out(unseen, rows, "ua", "UA on the corpus that is held out, %"),
            _by_held_out(
                unseen,
                rows,
                "anger",
                "Anger against the rest on the corpus that is held out, UA, %",
            ),
        ],
    )


def _by_held_out(unseen: Study, rows: pd.DataFrame, measure: str, title: str) -> Table:
    corpora = list(unseen.styles)
    cells = []
    for (given, name), own in groups(rows, ["given", "name"]):
        by_corpus = {row["corpus"]: interval(row, measure) for _, row in own.iterrows()}
        cells.append([given, name, *(by_corpus.get(c, NOTHING) for c in (MEAN, *corpora))])
    return Table(title, [*SYSTEM, f"mean{unseen.excluding}", *corpora], cells, labels=2)


def _encoders(study: Study, figures: StudyFigures) -> Section:
    rows = figures.encoders
    without = " and ".join((*study.confounded, *(c for c in TEXT_LEAKS if c in study.styles)))
    compared = ", ".join(corpus for corpus in COMPARED if corpus in study.styles)
    names = {
        MEAN: f"mean{study.excluding}",
        WITHOUT_TEXT: f"mean without {without}" if without else "mean",
        OF_COMPARED: f"mean of {compared}",
        "anger": f"anger against the rest, mean{study.excluding}",
    }
    return Section(
        "With and without the encoder",
        paragraphs(
            "encoders",
            best=_best(rows_where(rows, system=OURS), OF_COMPARED),
            gains=rows_where(figures.encoder_gains),
            compared=compared,
            text_leaks=[corpus for corpus in TEXT_LEAKS if corpus in study.styles],
        ),
        [
            Table(
                "UA over mu-law, %",
                [*SYSTEM, *names.values()],
                [
                    [row["given"], row["name"], *(interval(row, name) for name in names)]
                    for row in rows_where(rows)
                ],
                labels=2,
            ),
            Table(
                f"Kanjo minus each reference system, mean of {compared}, percentage points of UA",
                [*SYSTEM, "reference system", "difference"],
                [
                    [row["given"], row["name"], row["reference"], difference(row)]
                    for row in rows_where(figures.encoder_gains)
                ],
                labels=3,
                missing="Kanjo on the encoder and a reference system have no common test.",
            ),
        ],
    )


def _best(rows: Sequence[pd.Series], measure: str) -> list[pd.Series]:
    """Returns the row with the highest figure for each kind of speaker data, in their order."""
    best: dict[str, pd.Series] = {}
    for row in rows:
        given = row["given"]
        if given not in best or row[measure] > best[given][measure]:
            best[given] = row
    return list(best.values())
