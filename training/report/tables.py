"""The tables of a report."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from model.labels import EMOTIONS, STYLES, Style
from training.report import paper
from training.report.means import BOTH, MEAN
from training.report.page import (
    NOTHING,
    Table,
    difference,
    interval,
    percent,
    points,
    probability,
)
from training.report.results import Study
from training.report.statistics import StudyFigures
from training.report.systems import CONDITION_NAMES, CONDITIONS, OURS, PAPER

SYSTEM = ("speaker data", "system")  # columns that identify a test


def rows_where(rows: pd.DataFrame, **values: Any) -> list[pd.Series]:
    return [row for _, row in rows.iterrows() if all(row[k] == v for k, v in values.items())]


def groups(rows: pd.DataFrame, by: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yields groups in the order of their first rows; none of a table without rows."""
    if len(rows):
        yield from rows.groupby(by, sort=False)


def summary(study: Study, figures: StudyFigures, shown: pd.DataFrame) -> Table:
    several = _several_seeds(figures)
    without = [study.excluding.strip()] if study.confounded else []
    return Table(
        "UA, mean of acted and spontaneous speech, %; minus baseline: points",
        ["system", _folds_heading(several), "UA", "minus baseline", *without],
        [
            [row["label"], _folds(row, several), interval(row, "ua"), difference(row)]
            + [difference(row, "difference_without") for _ in without]
            for row in rows_where(shown)
        ],
    )


def runs(figures: StudyFigures) -> Table:
    return Table(
        "Finished runs",
        ["system", "network", "trained on", "share of the data", "λ", "runs", "folds, by seed"],
        [
            [
                row["name"],
                row["network"],
                ", ".join(row["trained_on"]),
                f"{row['share']:g}",
                f"{row['ser_weight']:g}" if row["system"] in (*PAPER, OURS) else NOTHING,
                str(row["runs"]),
                "; ".join(
                    f"seed {seed}: {' '.join(map(str, folds)) or 'in part'}"
                    for seed, folds in row["folds"].items()
                ),
            ]
            for _, row in figures.runs.iterrows()
        ],
        labels=3,
    )


def tested_on(figures: StudyFigures) -> Table:
    return Table(
        "Tested on",
        ["corpus", "style", "speakers", "utterances", *(e.value for e in EMOTIONS)],
        [
            [
                row["corpus"],
                row["style"],
                "unknown" if row["without_speakers"] else str(row["speakers"]),
                str(row["utterances"]),
                *(str(row[emotion.value]) for emotion in EMOTIONS),
            ]
            for _, row in figures.corpora.iterrows()
        ],
        labels=2,
    )


def overall(study: Study, figures: StudyFigures, draws: int) -> Table:
    """Returns table 3 of the paper, with our figures and the paper's."""
    several = _several_seeds(figures)
    baseline = paper.OVERALL["baseline", 1.0][0]
    rows = []
    for row in rows_where(figures.overall):
        if row["system"] not in PAPER:
            continue
        in_paper = paper.OVERALL.get((row["system"], row["share"]))
        rows.append(
            [
                row["name"],
                _folds(row, several),
                interval(row, "ua"),
                f"{in_paper[0]:.2f}" if in_paper else NOTHING,
                difference(row),
                points((in_paper[0] - baseline) / 100, 2)
                if in_paper and row["system"] != "baseline"
                else NOTHING,
                probability(row["p"], draws),
                interval(row, "wa"),
                f"{in_paper[1]:.2f}" if in_paper else NOTHING,
                *([interval(row, "ua_without")] if study.confounded else []),
                *([" ".join(map(percent, row["ua_by_seed"].values()))] if several else []),
            ]
        )
    columns = [
        "system",
        _folds_heading(several),
        "UA",
        "UA, paper",
        "UA minus baseline",
        "the same, paper",
        "p",
        "WA",
        "WA, paper",
        *([f"UA{study.excluding}"] if study.confounded else []),
        *(["UA by seed"] if several else []),
    ]
    return Table(
        "Table 3: mean of acted and spontaneous speech, % (paper: other data)", columns, rows
    )


def steps(figures: StudyFigures, draws: int) -> Table:
    return Table(
        "Step by step, percentage points",
        ["system", "minus", "of", BOTH, "p", *(style.value for style in STYLES)],
        [
            [row["system"], row["minus"], row["of"], difference(row)]
            + [probability(row["p"], draws)]
            + [difference(row, f"difference_{style.value}") for style in STYLES]
            for _, row in figures.steps.iterrows()
            if np.isfinite(row["difference"])
        ],
        labels=3,
        missing="No two consecutive systems have been tested on a common speaker.",
    )


def emotions(figures: StudyFigures, style: Style, number: int) -> Table:
    """Returns table 4 or 5 of the paper, with our figures and the paper's."""
    rows: list[list[str]] = []
    names = [emotion.value for emotion in EMOTIONS]
    in_paper = dict(paper.BY_STYLE[style])
    for row in rows_where(figures.emotions, style=style.value):
        rows.append(
            [
                row["name"],
                "here",
                *(percent(row[name]) for name in names),
                interval(row, "ua"),
                interval(row, "wa"),
            ]
        )
        if row["system"] in in_paper:
            cells = (f"{number:.2f}" for number in in_paper.pop(row["system"]))
            rows.append([row["name"], "paper", *cells])
    quoted = paper.QUOTED if rows and style is Style.ACTED else {}
    for name, of_others in quoted.items():
        written = [NOTHING if figure is None else f"{figure:.2f}" for figure in of_others]
        rows.append([name, "quoted", *written])
    papers = "IEMOCAP" if style is Style.ACTED else "call centre"
    return Table(
        f"Table {number}: {style} speech, % (paper: {papers}, other data)",
        ["system", "data", *names, "UA", "WA"],
        rows,
        labels=2,
    )


def ua_by_corpus(study: Study, figures: StudyFigures) -> Table:
    def ua(row: pd.Series) -> str:
        if row["speakers"] == 1 and np.isfinite(row["ua"]):
            return f"{percent(row['ua'])} (one speaker)"
        return interval(row, "ua")

    return _by_corpus(study, figures, "UA", ua)


def wa_by_corpus(study: Study, figures: StudyFigures) -> Table:
    return _by_corpus(study, figures, "WA", lambda row: percent(row["wa"]))


def _by_corpus(
    study: Study, figures: StudyFigures, measure: str, write: Callable[[pd.Series], str]
) -> Table:
    corpora = list(study.styles)
    rows = []
    for (given, name), own in groups(figures.by_corpus, ["given", "name"]):
        cells = {row["corpus"]: write(row) for _, row in own.iterrows()}
        rows.append([given, name, *(cells.get(c, NOTHING) for c in (MEAN, *corpora))])
    heading = [*SYSTEM, f"mean{study.excluding}", *corpora]
    return Table(f"{measure}, %", heading, rows, labels=2)


def advantage(study: Study, figures: StudyFigures, draws: int) -> Table:
    return Table(
        "Kanjo minus the best reference system, percentage points of UA",
        [*SYSTEM, "corpus", "best reference system", "difference", "p"],
        [
            [row["given"], row["name"], row["corpus"] + study.excluding * (row["corpus"] == MEAN)]
            + [row["reference"], difference(row), probability(row["p"], draws)]
            for row in rows_where(figures.advantage)
        ],
        labels=4,
        missing="Kanjo and a reference system have not been tested with the same speaker data.",
    )


def anger(figures: StudyFigures) -> Table:
    names = {condition: CONDITION_NAMES[condition] for condition in ("clean", "mulaw")}
    rows = []
    for (given, name), own in groups(figures.anger, ["given", "name"]):
        cells = [given, name]
        for condition in names:
            of = own[own["condition"] == condition]
            if of.empty:
                cells += [NOTHING] * 3
                continue
            row = of.iloc[0]
            cells += [interval(row, "ua"), percent(row["recall"]), percent(row["false"])]
        rows.append(cells)
    columns = [f"{what}, {name}" for name in names.values() for what in ("UA", "found", "false")]
    return Table("Anger against the rest, %", [*SYSTEM, *columns], rows, labels=2)


def style(figures: StudyFigures) -> Table:
    return Table(
        "Style accuracy, % of all utterances",
        [*SYSTEM, "accuracy", *(f"{s.value} recall" for s in STYLES)],
        [
            [row["given"], row["name"], interval(row, "accuracy")]
            + [percent(row[style.value]) for style in STYLES]
            for row in rows_where(figures.style)
        ],
        labels=2,
        missing="No system with a trained style head has finished.",
    )


def weights(study: Study, figures: StudyFigures) -> Table:
    extra = [f"UA{study.excluding}"] if study.confounded else []
    return Table(
        "UA by λ, %",
        ["system", "λ", "UA", *extra, *(style.value for style in STYLES)],
        [
            [row["name"], f"{row['ser_weight']:g}", interval(row, "ua")]
            + [interval(row, "ua_without") for _ in extra]
            + [percent(row[style.value]) for style in STYLES]
            for row in rows_where(figures.weights)
        ],
        labels=2,
        missing="No system has been trained with more than one λ.",
    )


def calibration(figures: StudyFigures) -> Table:
    return Table(
        "Expected calibration error, percentage points",
        [*SYSTEM, "temperature", "before", "after"],
        [
            [row["given"], row["name"], f"{row['temperature']:.2f}"]
            + [percent(row["before"]), percent(row["after"])]
            for row in rows_where(figures.calibration)
        ],
        labels=2,
    )


def channels(figures: StudyFigures) -> Table:
    rows = []
    for (given, name), own in groups(figures.channels, ["given", "name"]):
        cells = {row["condition"]: interval(row, "ua") for _, row in own.iterrows()}
        rows.append([given, name, *(cells.get(condition, NOTHING) for condition in CONDITIONS)])
    return Table("UA by channel, %", [*SYSTEM, *CONDITION_NAMES.values()], rows, labels=2)


def costs(figures: StudyFigures) -> Table:
    def number(value: float, form: str) -> str:
        return format(value, form) if np.isfinite(value) else NOTHING

    return Table(
        "Cost of one run",
        ["system", "runs", "minutes", "epochs", "epoch chosen", "parameters, M", "GFLOP a window"],
        [
            [
                row["name"],
                str(row["runs"]),
                number(row["seconds"] / 60, ".1f"),
                number(row["epochs"], ".0f"),
                number(row["epoch"], ".0f"),
                number(row["parameters"] / 1e6, ".2f"),
                number(row["operations"] / 1e9, ".2f"),
            ]
            for _, row in figures.costs.iterrows()
        ],
    )


def _several_seeds(figures: StudyFigures) -> bool:
    return any(len(by_seed) > 1 for by_seed in figures.overall["ua_by_seed"])


def _folds_heading(several: bool) -> str:
    return "folds / seeds" if several else "folds"


def _folds(row: pd.Series, several: bool) -> str:
    return f"{len(row['folds'])} / {len(row['seeds'])}" if several else f"{len(row['folds'])}"
