"""The figures in words: sections of sentences, tables and pictures, for any page."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from model.labels import EMOTIONS, STYLES, Style
from training.report import gain, paper
from training.report import plots as pictures
from training.report.page import (
    NOTHING,
    Section,
    Table,
    difference,
    interval,
    percent,
    points,
    probability,
)
from training.report.results import CONDITIONS, GROUPS, OURS, PAPER, PLAIN, Study
from training.report.statistics import BOTH, MEAN, Figures

LIVE = tuple(GROUPS)[:2]  # what a live call can know

# What to know of a corpus before believing a figure.
REMARKS = {
    "urdu": "In urdu speaker and emotion go together (many voices occur with one emotion only), so "
    "that telling the speaker tells the emotion, and normalising by speaker takes the emotion "
    "away. No conclusion rests on it; figures without it are given beside.",
    "eyase": "The voices of eyase are actors of television series: it stands with the spontaneous "
    "style because it is dialogue and not prompted speech.",
    "ased": "Most sentences of ased belong to one emotion: what is said goes with how it sounds.",
    "emodb": "emodb has ten sentences: speakers differ between folds, texts do not.",
    "ravdess": "ravdess has two sentences: speakers differ between folds, texts do not.",
}


def sections(study: Study, figures: Figures, draws: int) -> Iterator[Section]:
    """In the order in which they are read."""
    yield _summary(study, figures)
    yield _measured(study, figures, draws)
    yield _comparison(study, figures, draws)
    for number, style in zip((4, 5), STYLES, strict=True):
        yield Section(
            f"Emotions in {style} speech",
            [f"Recall, UA and WA in %, means over the {style} corpora: {_listed(study, style)}."],
            [_emotions(figures, style, number)],
        )
    yield _corpora(study, figures, draws)
    yield _anger(study, figures)
    yield _confusions(figures)
    yield _style(figures)
    yield _weights(study, figures)
    yield _reliability(study, figures)
    yield _lines(study, figures)
    yield Section("Cost", ["Means over runs."], [_costs(figures)])
    yield Section("Remarks", _remarks(study, figures))


# ---- the first screen ------------------------------------------------------------------------


def _summary(study: Study, figures: Figures) -> Section:
    """Which systems, on what, how good, by how much, and how surely."""
    overall = figures.overall
    shown = overall[overall["main"] & overall["group"].isin(LIVE)] if len(overall) else overall
    several = _several_seeds(figures)
    without = [study.without.strip()] if study.left_out else []
    table = Table(
        "UA, mean of acted and spontaneous speech, %; less baseline: points",
        ["system", _folds_head(several), "UA", "less baseline", *without],
        [
            [row["known"], _folds(row, several), interval(row, "ua"), difference(row)]
            + [difference(row, "difference_without") for _ in without]
            for row in _own(shown)
        ],
    )
    drawn = shown["difference"].notna().any() if len(shown) else False
    return Section(
        "Summary",
        [
            *_kanjo(figures),
            " ".join((gain.verdict(figures), *gain.why(figures), *gain.how_many(figures)[:1])),
            _tested(study, figures),
        ],
        [table],
        [pictures.gains(shown)] if drawn else [],
    )


def _kanjo(figures: Figures) -> list[str]:
    """How good it is, against the baseline and the best peer."""
    sentences = []
    for row in _own(figures.overall, system=OURS, main=True):
        if row["group"] not in LIVE or not np.isfinite(row["ua"]):
            continue
        against = [
            f"{difference(peer)} against {peer['peer']}, the best peer"
            for peer in _own(figures.advantage, group=row["group"], corpus=BOTH, name=row["name"])
        ]
        if np.isfinite(row["difference"]):
            against.insert(0, f"{difference(row)} points against the paper's baseline")
        reached = f"{row['known']} reaches {interval(row, 'ua')} % UA"
        sentences.append(f"{': '.join([reached, *[', '.join(against)] * bool(against)])}.")
    return [" ".join(sentences)] if sentences else []


def _tested(study: Study, figures: Figures) -> str:
    corpora = figures.corpora
    speakers = corpora[~corpora["without_speakers"]]["speakers"].sum()
    styles = " and ".join(
        f"{len(own)} {style} {'corpus' if len(own) == 1 else 'corpora'}"
        for style in STYLES
        for own in [corpora[corpora["style"] == style.value]]
    )
    return (
        f"Tested on {len(study.utterances)} utterances of {speakers} speakers whom no system had "
        f"heard, {styles}, clean 8 kHz speech. UA is the mean recall of anger, happiness, sadness "
        "and neutral (chance: 25 %), averaged over a style's corpora, then over the two styles; in "
        "brackets 95 % intervals by bootstrap over speakers. Past speech: systems know what the "
        "caller said before. Where folds are fewer so are speakers; differences are of common ones."
    )


def _several_seeds(figures: Figures) -> bool:
    return any(len(by_seed) > 1 for by_seed in figures.overall["ua_by_seed"])


def _folds_head(several: bool) -> str:
    return "folds / seeds" if several else "folds"


def _folds(row: pd.Series, several: bool) -> str:
    return f"{len(row['folds'])} / {len(row['seeds'])}" if several else f"{len(row['folds'])}"


# ---- the rest --------------------------------------------------------------------------------


def _measured(study: Study, figures: Figures, draws: int) -> Section:
    bootstrap = (
        f"{draws} draws of speakers within each corpus"
        if draws
        else "none: no draws were asked for"
    )
    ours = (*PAPER, OURS)
    runs = Table(
        "What has finished",
        ["system", "network", "trained on", "share of the data", "λ", "runs", "folds, by seed"],
        [
            [
                row["name"],
                row["network"],
                ", ".join(row["trained_on"]),
                f"{row['share']:g}",
                f"{row['ser_weight']:g}" if row["system"] in ours else NOTHING,
                str(row["runs"]),
                "; ".join(
                    f"seed {seed}: {' '.join(map(str, there)) or 'in part'}"
                    for seed, there in row["folds"].items()
                ),
            ]
            for _, row in figures.runs.iterrows()
        ],
        labels=3,
    )
    corpora = Table(
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
    return Section(
        "How it was measured",
        [
            f"{len(study.answers)} runs of {len(study.runs)} systems have finished. In each, one "
            "fold of the speakers is tested and the others are trained and validated on; a "
            "system's figures are over those of its folds and seeds that are there.",
            "Systems are compared like for like, by what they know of the speaker: nothing "
            "(networks take each utterance's own mean away, peers their corpus' statistics); past "
            "speech, what the caller said before the utterance; all speech, all that the speaker "
            "ever said, which no live call can know. The peers are openSMILE's functionals with "
            "support vector machines.",
            "UA is the mean recall of the emotions that occur, WA the share of utterances "
            "recognised. A style's is the mean over its corpora, the main figure the mean of the "
            "two styles.",
            f"95 % intervals by bootstrap: {bootstrap}, folds pooled, seeds averaged. They tell "
            "the chance of the speakers, not that of training anew; of a corpus with one tested "
            "speaker they tell nothing, of one with five or nine little. Differences are paired "
            "over the speakers that both systems were tested on; p is two-sided and not corrected "
            "for the number of comparisons.",
        ],
        [runs, corpora],
    )


def _comparison(study: Study, figures: Figures, draws: int) -> Section:
    return Section(
        "The paper's comparison",
        [
            gain.verdict(figures),
            *gain.why(figures),
            *gain.of_what(figures),
            *gain.how_many(figures),
            "The paper's figures are from IEMOCAP and a call centre's calls, other data than "
            "these: what can be compared is the order and the distances, not the height. Nor is "
            "its table 3 the mean of its tables 4 and 5, which give a UA of "
            f"{_paper_mean('baseline')} (baseline) and {_paper_mean('selective-mtl')} (selective "
            "MTL).",
        ],
        [gain.table(figures, draws), _overall_table(study, figures, draws), _steps(figures, draws)],
    )


def _overall_table(study: Study, figures: Figures, draws: int) -> Table:
    """Table 3 of the paper, ours and theirs."""
    several = _several_seeds(figures)
    baseline = paper.OVERALL["baseline", 1.0][0]
    rows = []
    for row in _own(figures.overall):
        if row["system"] not in PAPER:
            continue
        theirs = paper.OVERALL.get((row["system"], row["share"]))
        rows.append(
            [
                row["name"],
                _folds(row, several),
                interval(row, "ua"),
                f"{theirs[0]:.2f}" if theirs else NOTHING,
                difference(row),
                points((theirs[0] - baseline) / 100, 2)
                if theirs and row["system"] != "baseline"
                else NOTHING,
                probability(row["p"], draws),
                interval(row, "wa"),
                f"{theirs[1]:.2f}" if theirs else NOTHING,
                *([interval(row, "ua_without")] if study.left_out else []),
                *([" ".join(map(percent, row["ua_by_seed"].values()))] if several else []),
            ]
        )
    columns = [
        "system",
        _folds_head(several),
        "UA",
        "UA, paper",
        "UA less baseline",
        "the same, paper",
        "p",
        "WA",
        "WA, paper",
        *([f"UA{study.without}"] if study.left_out else []),
        *(["UA by seed"] if several else []),
    ]
    return Table(
        "Table 3: mean of acted and spontaneous speech, % (paper: other data)", columns, rows
    )


def _steps(figures: Figures, draws: int) -> Table:
    return Table(
        "Step by step, percentage points",
        ["system", "less", "of", BOTH, "p", *(style.value for style in STYLES)],
        [
            [row["system"], row["less"], row["of"], difference(row)]
            + [probability(row["p"], draws)]
            + [difference(row, f"difference_{style.value}") for style in STYLES]
            for _, row in figures.steps.iterrows()
            if np.isfinite(row["difference"])
        ],
        labels=3,
        missing="No two systems that follow each other have been tested on a common speaker.",
    )


def _emotions(figures: Figures, style: Style, number: int) -> Table:
    rows: list[list[str]] = []
    names = [emotion.value for emotion in EMOTIONS]
    theirs = dict(paper.BY_STYLE[style])
    for row in _own(figures.emotions, style=style.value):
        rows.append(
            [
                row["name"],
                "here",
                *(percent(row[name]) for name in names),
                interval(row, "ua"),
                interval(row, "wa"),
            ]
        )
        if row["system"] in theirs:
            rows.append([row["name"], "paper", *(f"{n:.2f}" for n in theirs.pop(row["system"]))])
    return Table(
        f"Table {number}: {style} speech, % (paper: {_papers(style)}, other data)",
        ["system", "data", *names, "UA", "WA"],
        rows,
        labels=2,
    )


def _corpora(study: Study, figures: Figures, draws: int) -> Section:
    corpora = list(study.styles)
    heads = [f"mean{study.without}", *corpora]

    def table(measure: str, write: Callable[[pd.Series], str]) -> Table:
        rows = []
        for (group, name), own in _by(figures.by_corpus, ["group", "name"]):
            cells = {row["corpus"]: write(row) for _, row in own.iterrows()}
            rows.append([group, name, *(cells.get(c, NOTHING) for c in (MEAN, *corpora))])
        return Table(f"{measure}, %", ["knows of the speaker", "system", *heads], rows, labels=2)

    def ua(row: pd.Series) -> str:
        if row["speakers"] == 1 and np.isfinite(row["ua"]):
            return f"{percent(row['ua'])} (one speaker)"
        return interval(row, "ua")

    advantage = Table(
        "Kanjo less the best peer, percentage points of UA",
        ["knows of the speaker", "system", "corpus", "best peer", "difference", "p"],
        [
            [row["group"], row["name"], row["corpus"] + study.without * (row["corpus"] == MEAN)]
            + [row["peer"], difference(row), probability(row["p"], draws)]
            for row in _own(figures.advantage)
        ],
        labels=4,
        missing="Kanjo and a peer have not been tested with the same knowledge of the speaker.",
    )
    drawn = [pictures.overview(figures.by_corpus, study.without)] if len(figures.by_corpus) else []
    return Section(
        "Each corpus",
        [
            f"The mean is over corpora{study.without}, each counting alike, whatever its style. "
            "Peers may have fewer folds, so other speakers: the third table compares over common "
            "ones. The best peer is chosen for each corpus and each mean, on the test itself, "
            "which favours the peers.",
        ],
        [table("UA", ua), table("WA", lambda row: percent(row["wa"])), advantage],
        drawn,
    )


def _anger(study: Study, figures: Figures) -> Section:
    names = {"clean": "clean", "mulaw": "mu-law"}
    rows = []
    for (group, name), own in _by(figures.anger, ["group", "name"]):
        cells = [group, name]
        for condition in names:
            of = own[own["condition"] == condition]
            if of.empty:
                cells += [NOTHING] * 3
                continue
            row = of.iloc[0]
            cells += [interval(row, "ua"), percent(row["recall"]), percent(row["false"])]
        rows.append(cells)
    columns = [f"{what}, {line}" for line in names.values() for what in ("UA", "found", "false")]
    return Section(
        "Anger against the rest",
        [
            "Whether an utterance sounds angry: its calibrated probability of anger against the "
            "threshold that each run chose on its validation speakers. All corpora pooled"
            f"{study.without}. Found: share of the "
            "utterances labelled angry; false: share of the others that are taken for angry ones.",
        ],
        [
            Table(
                "Anger against the rest, %",
                ["knows of the speaker", "system", *columns],
                rows,
                labels=2,
            )
        ],
    )


def _confusions(figures: Figures) -> Section:
    drawn = [
        pictures.confusion(own)
        for (group, _), own in _by(figures.confusions, ["group", "name"])
        if group == PLAIN or own["system"].iloc[0] == OURS
    ]
    return Section(
        "What is taken for what",
        ["Means over a style's corpora, in % of each row; the diagonal is the recall."]
        if drawn
        else ["No run has finished."],
        pictures=drawn,
    )


def _style(figures: Figures) -> Section:
    return Section(
        "Telling the style",
        [
            f"The paper found at least {paper.STYLE_ACCURACY} %. Baseline and combined have a "
            "style head that was never trained and are left out."
        ],
        [
            Table(
                "Style accuracy, % of all utterances",
                [
                    "knows of the speaker",
                    "system",
                    "accuracy",
                    *(f"{s.value} recall" for s in STYLES),
                ],
                [
                    [row["group"], row["name"], interval(row, "accuracy")]
                    + [percent(row[style.value]) for style in STYLES]
                    for row in _own(figures.style)
                ],
                labels=2,
                missing="No system with a trained style head has finished.",
            )
        ],
    )


def _weights(study: Study, figures: Figures) -> Section:
    weights = figures.weights
    extra = [f"UA{study.without}"] if study.left_out else []
    return Section(
        "The weight of emotion in the loss, λ",
        [
            f"Over the {weights['speakers'].iloc[0]} speakers that every point was tested on. "
            "With λ 1 there is no style task: that is the combined system."
        ]
        if len(weights)
        else [],
        [
            Table(
                "UA by λ, %",
                ["system", "λ", "UA", *extra, *(style.value for style in STYLES)],
                [
                    [row["name"], f"{row['ser_weight']:g}", interval(row, "ua")]
                    + [interval(row, "ua_without") for _ in extra]
                    + [percent(row[style.value]) for style in STYLES]
                    for row in _own(weights)
                ],
                labels=2,
                missing="No system has been trained with more than one λ.",
            )
        ],
        [pictures.weight_curve(weights, study.without)] if len(weights) else [],
    )


def _reliability(study: Study, figures: Figures) -> Section:
    return Section(
        "Are the probabilities true?",
        [
            "One temperature a run divides the logits, fitted on its validation speakers. The "
            "expected calibration error is the mean distance between probability and accuracy, in "
            f"15 bins (Guo et al. 2017); all utterances pooled{study.without}. Bins with fewer "
            f"than {pictures.LEAST_SHOWN} utterances are not drawn."
        ],
        [
            Table(
                "Expected calibration error, percentage points",
                ["knows of the speaker", "system", "temperature", "before", "after"],
                [
                    [row["group"], row["name"], f"{row['temperature']:.2f}"]
                    + [percent(row["before"]), percent(row["after"])]
                    for row in _own(figures.calibration)
                ],
                labels=2,
            )
        ],
        [pictures.reliability_diagrams(figures.reliability, figures.calibration)]
        if len(figures.reliability)
        else [],
    )


def _lines(study: Study, figures: Figures) -> Section:
    rows = []
    for (group, name), own in _by(figures.lines, ["group", "name"]):
        cells = {row["condition"]: interval(row, "ua") for _, row in own.iterrows()}
        rows.append([group, name, *(cells.get(condition, NOTHING) for condition in CONDITIONS)])
    return Section(
        "Degraded lines",
        [
            f"UA, mean over corpora{study.without}. mulaw and alaw are G.711; over mu-law "
            "too, loss5 and loss10 lose 5 and 10 % of the 20 ms packets, concealed as the service "
            "conceals them, and noise10 has noise 10 dB below the speech."
        ],
        [Table("UA by line, %", ["knows of the speaker", "system", *CONDITIONS], rows, labels=2)],
        [pictures.line_conditions(figures.lines)] if len(figures.lines) else [],
    )


def _costs(figures: Figures) -> Table:
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


def _remarks(study: Study, figures: Figures) -> list[str]:
    without = figures.corpora[figures.corpora["without_speakers"]]["corpus"]
    return [
        *(REMARKS[corpus] for corpus in REMARKS if corpus in study.styles),
        *(
            f"{corpus} has no speaker labels: its folds may share voices, which flatters every "
            "system, and its intervals count recordings, or utterances where even those are "
            "unknown, as if each were another speaker."
            for corpus in without
        ),
        "The epoch, the temperature, the thresholds and the peers' settings were chosen on "
        "validation speakers of each run; the test folds were heard once, at the end.",
        "Every figure is of how a voice sounds to listeners or was asked to sound, as labelled; "
        "none is of what a person feels.",
    ]


def _own(rows: pd.DataFrame, **where: Any) -> list[pd.Series]:
    return [row for _, row in rows.iterrows() if all(row[k] == v for k, v in where.items())]


def _by(rows: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Groups in the order of their first rows; none of a table without rows."""
    if len(rows):
        yield from rows.groupby(columns, sort=False)


def _listed(study: Study, style: Style) -> str:
    return ", ".join(study.corpora(style)) or "none"


def _paper_mean(system: str) -> str:
    return f"{np.mean([rows[system][-2] for rows in paper.BY_STYLE.values()]):.2f}"


def _papers(style: Style) -> str:
    return "IEMOCAP" if style is Style.ACTED else "call centre"
