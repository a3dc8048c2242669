"""The sections of a report, in the order in which they are read; their sentences are templates."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from model.labels import STYLES, Style
from training.report import gain, paper, plots, tables, unseen_tables
from training.report.means import BOTH
from training.report.page import Section
from training.report.prose import paragraphs
from training.report.results import Study
from training.report.statistics import StudyFigures
from training.report.systems import GIVEN_LIVE, NOTHING_GIVEN, OURS
from training.report.tables import groups, rows_where


def sections(study: Study, figures: StudyFigures, draws: int) -> Iterator[Section]:
    yield _summary(study, figures)
    yield from unseen_tables.sections(study, figures)
    yield Section(
        "How it was measured",
        paragraphs("method", runs=len(study.predictions), systems=len(study.runs), draws=draws),
        [tables.runs(figures), tables.tested_on(figures)],
    )
    yield _comparison(study, figures, draws)
    for number, style in zip((4, 5), STYLES, strict=True):
        yield Section(
            f"Emotions in {style} speech",
            paragraphs(
                "emotions",
                style=style,
                corpora=study.corpora(style),
                quoted=list(paper.QUOTED) if style is Style.ACTED else [],
            ),
            [tables.emotions(figures, style, number)],
        )
    yield Section(
        "By corpus",
        paragraphs("corpora", excluding=study.excluding),
        [
            tables.ua_by_corpus(study, figures),
            tables.wa_by_corpus(study, figures),
            tables.advantage(study, figures, draws),
        ],
        [plots.overview(figures.by_corpus, study.excluding)] if len(figures.by_corpus) else [],
    )
    yield Section(
        "Anger against the rest",
        paragraphs("anger", excluding=study.excluding),
        [tables.anger(figures)],
    )
    yield _confusions(figures)
    yield Section(
        "Style recognition",
        paragraphs("style", style_accuracy=paper.STYLE_ACCURACY),
        [tables.style(figures)],
    )
    yield _weights(study, figures)
    yield Section(
        "Calibration of the probabilities",
        paragraphs("calibration", excluding=study.excluding, least_shown=plots.LEAST_SHOWN),
        [tables.calibration(figures)],
        [plots.reliability_diagrams(figures.reliability, figures.calibration)]
        if len(figures.reliability)
        else [],
    )
    yield Section(
        "Degraded channels",
        paragraphs("channels", excluding=study.excluding),
        [tables.channels(figures)],
        [plots.channel_conditions(figures.channels)] if len(figures.channels) else [],
    )
    yield Section("Cost", paragraphs("cost"), [tables.costs(figures)])
    without_speakers = figures.corpora[figures.corpora["without_speakers"]]["corpus"]
    yield Section(
        "Remarks",
        paragraphs("remarks", corpora=list(study.styles), without_speakers=list(without_speakers)),
    )


def _summary(study: Study, figures: StudyFigures) -> Section:
    """Returns the first screen: which systems, on what, how good, with what certainty."""
    overall, corpora = figures.overall, figures.corpora
    shown = (
        overall[overall["main"] & overall["given"].isin(GIVEN_LIVE)] if len(overall) else overall
    )

    def references_of(row: pd.Series) -> list[pd.Series]:
        return rows_where(figures.advantage, given=row["given"], corpus=BOTH, name=row["name"])

    return Section(
        "Summary",
        paragraphs(
            "summary",
            kanjo=[row for row in rows_where(shown, system=OURS) if np.isfinite(row["ua"])],
            references_of=references_of,
            is_finite=np.isfinite,
            gain=[
                gain.verdict(figures),
                *gain.width(figures),
                *gain.speakers_needed(figures)[:1],
            ],
            utterances=len(study.utterances),
            speakers=corpora[~corpora["without_speakers"]]["speakers"].sum(),
            corpora_of_style={style.value: len(study.corpora(style)) for style in STYLES},
        ),
        [tables.summary(study, figures, shown)],
        [plots.gains(shown)] if len(shown) and shown["difference"].notna().any() else [],
    )


def _comparison(study: Study, figures: StudyFigures, draws: int) -> Section:
    baseline, selective = (
        float(np.mean([rows[system][-2] for rows in paper.BY_STYLE.values()]))
        for system in ("baseline", "selective-mtl")
    )
    return Section(
        "The paper's comparison",
        [
            gain.verdict(figures),
            *gain.width(figures),
            *gain.sources(figures),
            *gain.speakers_needed(figures),
            *paragraphs("comparison", baseline=baseline, selective=selective),
        ],
        [
            gain.table(figures, draws),
            tables.overall(study, figures, draws),
            tables.steps(figures, draws),
        ],
    )


def _confusions(figures: StudyFigures) -> Section:
    drawn = [
        plots.confusion(own)
        for (given, _), own in groups(figures.confusions, ["given", "name"])
        if given == NOTHING_GIVEN or own["system"].iloc[0] == OURS
    ]
    return Section("Confusions", paragraphs("confusions", drawn=bool(drawn)), pictures=drawn)


def _weights(study: Study, figures: StudyFigures) -> Section:
    weights = figures.weights
    return Section(
        "The weight of emotion in the loss, λ",
        paragraphs("weights", speakers=weights["speakers"].iloc[0] if len(weights) else None),
        [tables.weights(study, figures)],
        [plots.weight_curve(weights, study.excluding)] if len(weights) else [],
    )
