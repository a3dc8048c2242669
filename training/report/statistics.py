"""Every number of a report, as tables of plain values: one row a fact.

UA, WA and whatever else are per corpus first. A style's figure is the mean over its corpora, the
overall figure the mean of the styles, so that no corpus and no style drowns another.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.labels import EMOTIONS, STYLES
from training.metrics import (
    Estimate,
    estimate,
    p_value,
    reliability,
    row_shares,
    unweighted_accuracy,
    weighted_accuracy,
)
from training.report import paper
from training.report.results import (
    CONDITIONS,
    CONFOUNDED,
    GROUPS,
    OURS,
    PAPER,
    PLAIN,
    Samples,
    Study,
    SystemResults,
    knowing,
)

MEAN = "mean"  # over corpora, the confounded ones left out
BOTH = "both styles"  # their mean
CLEAN = "utterance/clean"

Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (1 + draws, C, C), (1 + draws,)
Over = Callable[[Samples], NDArray[np.float64]]  # to (1 + draws,)
Way = tuple[SystemResults, str]  # a system and how it was tested


@dataclass(frozen=True)
class Figures:
    """What a report says; intervals are in columns `..._low` and `..._high`."""

    runs: pd.DataFrame  # what has finished
    corpora: pd.DataFrame  # what was tested on
    overall: pd.DataFrame  # mean of the two styles, as in table 3
    claim: pd.DataFrame  # selective MTL less baseline: what the paper is about
    steps: pd.DataFrame  # each system of the paper less the one before
    emotions: pd.DataFrame  # tables 4 and 5
    by_corpus: pd.DataFrame
    advantage: pd.DataFrame  # Kanjo less the best peer
    anger: pd.DataFrame  # against the rest
    style: pd.DataFrame
    confusions: pd.DataFrame
    weights: pd.DataFrame  # the lambda curve
    reliability: pd.DataFrame
    calibration: pd.DataFrame
    lines: pd.DataFrame  # degraded conditions
    costs: pd.DataFrame

    def as_records(self) -> dict[str, list[dict[str, Any]]]:
        """For JSON: NaN is None."""
        return {
            field.name: _without_nan(getattr(self, field.name).to_dict("records"))
            for field in fields(self)
        }


def measure(study: Study, draws: int) -> Figures:
    """All of them; `draws` of the bootstrap."""
    return Figures(
        runs=pd.DataFrame(_runs(study)),
        corpora=pd.DataFrame(_corpora(study)),
        overall=pd.DataFrame(_overall(study, draws)),
        claim=pd.DataFrame(_claim(study, draws)),
        steps=pd.DataFrame(_steps(study, draws)),
        emotions=pd.DataFrame(_emotions(study, draws)),
        by_corpus=pd.DataFrame(_by_corpus(study, draws)),
        advantage=pd.DataFrame(_advantage(study, draws)),
        anger=pd.DataFrame(_anger(study, draws)),
        style=pd.DataFrame(_style(study, draws)),
        confusions=pd.DataFrame(_confusions(study)),
        weights=pd.DataFrame(_weights(study, draws)),
        reliability=pd.DataFrame(_reliability(study)),
        calibration=pd.DataFrame(_calibration(study)),
        lines=pd.DataFrame(_lines(study, draws)),
        costs=pd.DataFrame(_costs(study)),
    )


# ---- means -----------------------------------------------------------------------------------


def over_corpora(drawn: Samples, corpora: Sequence[str], of: Measure) -> NDArray[np.float64]:
    """Mean of the corpora that are there and have the figure: (1 + draws,), else NaN."""
    found = [of(drawn[corpus]) for corpus in corpora if corpus in drawn]
    return _mean(found) if found else np.full(1, np.nan)


def over_styles(
    study: Study, drawn: Samples, of: Measure, without: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Mean of both styles' means over their corpora: (1 + draws,), NaN where a style lacks."""
    by_style = [
        over_corpora(drawn, [c for c in study.corpora(style) if c not in without], of)
        for style in STYLES
    ]
    mean: NDArray[np.float64] = np.mean(np.broadcast_arrays(*by_style), axis=0)
    return mean


def _mean(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Element by element, NaN left out; NaN where there is nothing else."""
    stacked = np.stack(parts)
    there = np.isfinite(stacked)
    count = there.sum(0)
    mean: NDArray[np.float64] = np.where(there, stacked, 0).sum(0) / np.where(count, count, np.nan)
    return mean


def _pooled(drawn: Samples, corpora: Sequence[str]) -> NDArray[np.float64] | None:
    """One confusion of all utterances: (1 + draws, C, C)."""
    found = [drawn[corpus] for corpus in corpora if corpus in drawn]
    return np.sum(found, axis=0) if found else None


def _recall(row: int) -> Measure:
    return lambda confusion: row_shares(confusion)[..., row, row]


def _columns(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _identity(study: Study, system: SystemResults) -> dict[str, Any]:
    return {
        "name": study.name(system),
        "system": system.system,
        "network": system.network,
        "share": system.share,
        "ser_weight": system.ser_weight,
    }


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems over the speakers whom both were tested on, drawn alike."""

    one: Samples
    other: Samples
    speakers: Mapping[str, int]  # by corpus

    @classmethod
    def of(cls, study: Study, one: Way, other: Way, draws: int) -> "Pair":
        mine, theirs = study.tally(*one), study.tally(*other)
        mine, theirs = mine.among(theirs), theirs.among(mine)
        corpora, counts = np.unique(mine.corpus[mine.tested], return_counts=True)
        speakers = dict(zip(corpora.tolist(), counts.tolist(), strict=True))
        return cls(mine.samples(draws), theirs.samples(draws), speakers)

    def less(self, over: Over) -> Estimate:
        return estimate(over(self.one) - over(self.other))

    def difference(self, over: Over) -> dict[str, float]:
        return {
            **_columns("difference", self.less(over)),
            "p": p_value(over(self.one) - over(self.other)),
            "speakers": sum(self.speakers.values()),
        }


def _ua(study: Study) -> dict[str, Over]:
    """UA in the mean of both styles, the same without confounded corpora, and in each style."""
    both = partial(over_styles, study, of=unweighted_accuracy)
    by_style = {
        style.value: partial(over_corpora, corpora=study.corpora(style), of=unweighted_accuracy)
        for style in STYLES
    }
    return {BOTH: both, "without": partial(both, without=CONFOUNDED), **by_style}


def _plain(study: Study, system: SystemResults) -> str | None:
    """The clean way without speaker normalisation."""
    known = study.normalisations(system)
    names = [name for name in GROUPS[PLAIN] if name in known]
    return f"{names[0]}/clean" if names else None


def _in_groups(study: Study, condition: str) -> Iterator[tuple[str, str, SystemResults, str]]:
    """Group, name, system and way of all main systems tested on such a line."""
    for group, names in GROUPS.items():
        for system in study.main:
            for normalisation in study.normalisations(system, condition):
                if normalisation in names:
                    yield group, study.name(system), system, f"{normalisation}/{condition}"


# ---- the figures -----------------------------------------------------------------------------


def _runs(study: Study) -> Iterator[dict[str, Any]]:
    for system, answers in study.runs.items():
        yield {
            **_identity(study, system),
            "runs": len(answers),
            "trained_on": sorted({a.run.trained_on for a in answers}),
            "folds": {str(seed): list(folds) for seed, folds in study.folds(system).items()},
        }


def _corpora(study: Study) -> Iterator[dict[str, Any]]:
    for corpus, style in study.styles.items():
        own = study.utterances[study.utterances["corpus"] == corpus]
        count = np.bincount(own["emotion"], minlength=len(EMOTIONS))
        yield {
            "corpus": corpus,
            "style": style.value,
            "speakers": own["speaker"].nunique(),
            "utterances": len(own),
            **{emotion.value: int(n) for emotion, n in zip(EMOTIONS, count, strict=True)},
            "without_speakers": any(
                corpus in (a.about.get("without_speakers") or ()) for a in study.answers
            ),
        }


def _overall(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    ua = _ua(study)
    apart = [name for name in ua if name != BOTH]
    for network in study.networks:
        baseline = SystemResults("baseline", network, 1.0, PAPER["baseline"])
        of_paper = [
            SystemResults(name, network, share, weight)
            for name, weight in PAPER.items()
            for share in ((1.0,) if name == "baseline" else (1.0, 0.5))
        ]
        if network != study.network:
            of_paper = [system for system in of_paper if system in study.runs]
        rows = [(PLAIN, s, _plain(study, s) or CLEAN) for s in of_paper]
        if network == study.network:
            rows += [
                (group, system, way)
                for group, _, system, way in _in_groups(study, "clean")
                if system.system not in PAPER
            ]
        for group, system, way in rows:
            drawn = study.tally(system, way).samples(draws)
            by_seed = {
                str(seed): float(ua[BOTH](one.samples(0))[0])
                for seed in study.folds(system)
                for one in [study.tally(system, way, seed=seed)]
                if len(one)
            }
            pair = (
                Pair({}, {}, {})
                if system == baseline
                else Pair.of(study, (system, way), (baseline, CLEAN), draws)
            )
            row = {
                **_identity(study, system),
                "group": group,
                "known": knowing(study.name(system), group),
                "main": system in study.main,
                "way": way,
                "folds": sorted({f for folds in study.folds(system).values() for f in folds}),
                "seeds": list(study.folds(system)),
                **_columns("ua", estimate(ua[BOTH](drawn))),
                **_columns("wa", estimate(over_styles(study, drawn, weighted_accuracy))),
                "ua_by_seed": by_seed,
                **pair.difference(ua[BOTH]),
            }
            for name in apart:
                row |= _columns(f"ua_{name}", estimate(ua[name](drawn)))
                row |= _columns(f"difference_{name}", pair.less(ua[name]))
            yield row


def _claim(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Over what the difference is taken, the paper's own, and how many speakers would tell that.

    `needed` of the corpora that are there would give an interval that reaches as far to either
    side as the paper's difference is large: a half-width goes with 1 / sqrt(speakers).
    """
    names = ("selective-mtl", "baseline")
    ways = [(SystemResults(name, study.network, 1.0, PAPER[name]), CLEAN) for name in names]
    pair = Pair.of(study, ways[0], ways[1], draws)
    in_paper = [paper.OVERALL[name, 1.0][0] / 100 for name in names]
    gain = in_paper[0] - in_paper[1]
    ua = _ua(study)

    def mean(*corpora: str) -> Over:
        return partial(over_corpora, corpora=corpora, of=unweighted_accuracy)

    every, trusted = [*study.styles], study.trusted
    parts: list[tuple[str, list[str], Over, float]] = [(BOTH, every, ua[BOTH], gain)]
    if study.left_out:
        parts.append((BOTH + study.without, trusted, ua["without"], np.nan))
    parts.append((f"mean of all corpora{study.without}", trusted, mean(*trusted), np.nan))
    for style in STYLES:
        selective, baseline = (paper.BY_STYLE[style][name][-2] / 100 for name in names)
        parts.append((style.value, study.corpora(style), ua[style.value], selective - baseline))
    parts += [(corpus, [corpus], mean(corpus), np.nan) for corpus in every]
    for over, corpora, measure, theirs in parts:
        found = pair.difference(measure)
        speakers = sum(pair.speakers.get(corpus, 0) for corpus in corpora)
        half = (found["difference_high"] - found["difference_low"]) / 2
        yield {
            "over": over,
            **found,
            "half": half,
            "paper": theirs,
            "speakers": speakers,
            "needed": speakers * (half / gain) ** 2 if half > 0 else np.nan,
        }


def _steps(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Each of the paper's systems less the one before it, and its networks less the main one."""

    def plain(name: str, network: str = study.network) -> SystemResults:
        return SystemResults(name, network, 1.0, PAPER[name])

    names = list(PAPER)
    pairs = [(plain(after), plain(before)) for after, before in zip(names[1:], names, strict=False)]
    pairs.append((plain("selective-mtl"), plain("combined")))  # what the style adds to the data
    pairs += [
        (plain(name, network), plain(name)) for network in study.networks[1:] for name in names
    ]
    for system, less in pairs:
        pair = Pair.of(study, (system, CLEAN), (less, CLEAN), draws)
        for measured, of in (("UA", unweighted_accuracy), ("WA", weighted_accuracy)):
            row = {
                "system": study.name(system),
                "less": study.name(less),
                "of": measured,
                **pair.difference(partial(over_styles, study, of=of)),
            }
            for style in STYLES:
                over = partial(over_corpora, corpora=study.corpora(style), of=of)
                row |= _columns(f"difference_{style.value}", pair.less(over))
            yield row


def _emotions(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for style in STYLES:
        corpora = study.corpora(style)
        for system in study.main:
            way = _plain(study, system)
            if system.is_peer or way is None:
                continue
            drawn = study.tally(system, way).samples(draws)
            yield {
                "style": style.value,
                **_identity(study, system),
                **{
                    emotion.value: float(over_corpora(drawn, corpora, _recall(row))[0])
                    for row, emotion in enumerate(EMOTIONS)
                },
                **_columns("ua", estimate(over_corpora(drawn, corpora, unweighted_accuracy))),
                **_columns("wa", estimate(over_corpora(drawn, corpora, weighted_accuracy))),
            }


def _by_corpus(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for group, name, system, way in _in_groups(study, "clean"):
        tally = study.tally(system, way)
        drawn = tally.samples(draws)
        for corpus, members in ((MEAN, study.trusted), *((c, [c]) for c in study.styles)):
            yield {
                "group": group,
                "name": name,
                "system": system.system,
                "way": way,
                "corpus": corpus,
                "speakers": int(np.isin(tally.corpus[tally.tested], members).sum()),
                **_columns("ua", estimate(over_corpora(drawn, members, unweighted_accuracy))),
                **_columns("wa", estimate(over_corpora(drawn, members, weighted_accuracy))),
            }


def _advantage(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """The best peer is chosen where it is compared, on the test itself: in the peer's favour."""
    tested = list(_in_groups(study, "clean"))
    for group in GROUPS:
        peers = [(s, way) for g, _, s, way in tested if g == group and s.is_peer]
        ours = [(s, way) for g, _, s, way in tested if g == group and s.system == OURS]
        for system, way in ours if peers else []:
            pairs = [
                (study.name(peer[0]), Pair.of(study, (system, way), peer, draws)) for peer in peers
            ]
            parts: dict[str, Over] = {BOTH: _ua(study)[BOTH]}
            for corpus, members in ((MEAN, study.trusted), *((c, [c]) for c in study.styles)):
                parts[corpus] = partial(over_corpora, corpora=members, of=unweighted_accuracy)
            for corpus, over in parts.items():
                against = [(pair.difference(over), peer) for peer, pair in pairs]
                known = [found for found in against if np.isfinite(found[0]["difference"])]
                if known:
                    least, peer_name = min(known, key=lambda found: found[0]["difference"])
                    yield {
                        "group": group,
                        "name": study.name(system),
                        "peer": peer_name,
                        "corpus": corpus,
                        **least,
                    }


def _anger(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for condition in ("clean", "mulaw"):
        for group, name, system, way in _in_groups(study, condition):
            tally = study.tally(system, way, "anger")
            pooled = _pooled(tally.samples(draws), study.trusted)
            if pooled is not None:
                yield {
                    "group": group,
                    "name": name,
                    "condition": condition,
                    **_columns("ua", estimate(unweighted_accuracy(pooled))),
                    **_columns("recall", estimate(_recall(1)(pooled))),
                    **_columns("false", estimate(1 - _recall(0)(pooled))),
                }


def _style(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Where lambda is 1 the style head learns nothing."""
    for group, name, system, way in _in_groups(study, "clean"):
        tally = study.tally(system, way, "style")
        if system.ser_weight == 1.0:
            continue
        pooled = _pooled(tally.samples(draws), list(study.styles))
        if pooled is not None:
            yield {
                "group": group,
                "name": name,
                **_columns("accuracy", estimate(weighted_accuracy(pooled))),
                **{style.value: float(_recall(row)(pooled)[0]) for row, style in enumerate(STYLES)},
            }


def _confusions(study: Study) -> Iterator[dict[str, Any]]:
    for group, name, system, way in _in_groups(study, "clean"):
        drawn = study.tally(system, way).samples(0)
        for style in STYLES:
            corpora = [corpus for corpus in study.corpora(style) if corpus in drawn]
            if not corpora:
                continue
            mean = _mean([row_shares(drawn[corpus])[0] for corpus in corpora])
            for was, row in zip(EMOTIONS, mean, strict=True):
                yield {
                    "group": group,
                    "name": name,
                    "system": system.system,
                    "style": style.value,
                    "was": was.value,
                    **{told.value: float(n) for told, n in zip(EMOTIONS, row, strict=True)},
                }


def _weights(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Over the speakers whom every point of the curve was tested on."""
    way = CLEAN
    tallies = {
        system: tally
        for system in study.runs
        if system.network == study.network and system.share == 1.0
        if system.system in ("combined", "mtl", "selective-mtl")
        for tally in [study.tally(system, way)]
        if len(tally)
    }
    curves = [s.system for s in tallies]
    if curves.count("selective-mtl") < 2 and curves.count("mtl") < 2:
        return
    for system, tally in tallies.items():
        for other in tallies.values():
            tally = tally.among(other)
        drawn = tally.samples(draws)
        yield {
            **_identity(study, system),
            "speakers": len(tally),
            **_columns("ua", estimate(over_styles(study, drawn, unweighted_accuracy))),
            **_columns(
                "ua_without", estimate(over_styles(study, drawn, unweighted_accuracy, CONFOUNDED))
            ),
            **{
                style.value: float(
                    over_corpora(drawn, study.corpora(style), unweighted_accuracy)[0]
                )
                for style in STYLES
            },
        }


def _reliability(study: Study) -> Iterator[dict[str, Any]]:
    for group, name, system, way in _in_groups(study, "clean"):
        for calibrated in (False, True):
            probability, truth = study.probabilities(system, way, calibrated)
            if not len(truth):
                continue
            found = reliability(probability, truth)
            for confidence, accuracy, share in zip(
                found.confidence, found.accuracy, found.share, strict=True
            ):
                if share:
                    yield {
                        "group": group,
                        "name": name,
                        "calibrated": calibrated,
                        "confidence": float(confidence),
                        "accuracy": float(accuracy),
                        "share": float(share),
                        "utterances": round(share * len(truth)),
                    }


def _calibration(study: Study) -> Iterator[dict[str, Any]]:
    for group, name, system, way in _in_groups(study, "clean"):
        raw, truth = study.probabilities(system, way, calibrated=False)
        if not len(truth):
            continue
        scaled, _ = study.probabilities(system, way, calibrated=True)
        normalisation = way.split("/")[0]
        temperatures = [
            a.temperature[normalisation]
            for a in study.runs[system]
            if normalisation in a.temperature
        ]
        yield {
            "group": group,
            "name": name,
            "temperature": float(np.mean(temperatures)),
            "before": reliability(raw, truth).error,
            "after": reliability(scaled, truth).error,
        }


def _lines(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for condition in CONDITIONS:
        for group, name, system, way in _in_groups(study, condition):
            drawn = study.tally(system, way).samples(draws)
            found = over_corpora(drawn, study.trusted, unweighted_accuracy)
            yield {
                "group": group,
                "name": name,
                "condition": condition,
                **_columns("ua", estimate(found)),
            }


def _costs(study: Study) -> Iterator[dict[str, Any]]:
    for system, answers in study.runs.items():

        def mean(fact: str, answers: list[Any] = answers) -> float:
            known = [float(a.about[fact]) for a in answers if a.about.get(fact) is not None]
            return float(np.mean(known)) if known else np.nan

        yield {
            **_identity(study, system),
            "runs": len(answers),
            **{
                fact: mean(fact)
                for fact in ("seconds", "epochs", "epoch", "parameters", "operations")
            },
        }
