"""The paper's comparison: its systems, their differences, and the weight of emotion, lambda."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from model.labels import STYLES
from training.metrics import estimate, unweighted_accuracy, weighted_accuracy
from training.report import paper
from training.report.means import (
    BOTH,
    CLEAN,
    Over,
    Pair,
    columns,
    identity,
    over_corpora,
    over_styles,
    plain_setting,
    settings_under,
    ua_measures,
)
from training.report.results import CONFOUNDED, Study
from training.report.systems import NOTHING_GIVEN, PAPER, SystemKey, label


def overall(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    ua = ua_measures(study)
    others = [name for name in ua if name != BOTH]
    for network in study.networks:
        baseline = SystemKey("baseline", network, 1.0, PAPER["baseline"])
        of_paper = [
            SystemKey(name, network, share, weight)
            for name, weight in PAPER.items()
            for share in ((1.0,) if name == "baseline" else (1.0, 0.5))
        ]
        if network != study.network:
            of_paper = [system for system in of_paper if system in study.runs]
        rows = [(NOTHING_GIVEN, s, plain_setting(study, s) or CLEAN) for s in of_paper]
        if network == study.network:
            rows += [
                (given, system, setting)
                for given, _, system, setting in settings_under(study, "clean")
                if system.system not in PAPER
            ]
        for given, system, setting in rows:
            drawn = study.tally(system, setting).samples(draws)
            by_seed = {
                str(seed): float(ua[BOTH](one.samples(0))[0])
                for seed in study.folds(system)
                for one in [study.tally(system, setting, seed=seed)]
                if len(one)
            }
            pair = (
                Pair({}, {}, {})
                if system == baseline
                else Pair.of(study, (system, setting), (baseline, CLEAN), draws)
            )
            row = {
                **identity(study, system),
                "given": given,
                "label": label(study.name(system), given),
                "main": system in study.main_systems,
                "setting": setting,
                "folds": sorted({f for folds in study.folds(system).values() for f in folds}),
                "seeds": list(study.folds(system)),
                **columns("ua", estimate(ua[BOTH](drawn))),
                **columns("wa", estimate(over_styles(study, drawn, weighted_accuracy))),
                "ua_by_seed": by_seed,
                **pair.difference(ua[BOTH]),
            }
            for name in others:
                row |= columns(f"ua_{name}", estimate(ua[name](drawn)))
                row |= columns(f"difference_{name}", pair.minus(ua[name]))
            yield row


def claim(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields selective MTL minus baseline over styles and corpora, beside the paper's difference.

    `needed` speakers of the same corpora would give an interval whose half-width equals the
    paper's difference: a half-width is proportional to 1 / sqrt(speakers). `constant` says of
    which systems some runs recognised one emotion alone, so that nothing follows from the rest.
    """
    names = ("selective-mtl", "baseline")
    tested = [(SystemKey(name, study.network, 1.0, PAPER[name]), CLEAN) for name in names]
    pair = Pair.of(study, tested[0], tested[1], draws)
    in_paper = [paper.OVERALL[name, 1.0][0] / 100 for name in names]
    gain = in_paper[0] - in_paper[1]
    ua = ua_measures(study)

    def mean(*corpora: str) -> Over:
        return partial(over_corpora, corpora=corpora, of=unweighted_accuracy)

    every, unconfounded = [*study.styles], study.unconfounded
    rows: list[tuple[str, list[str], Over, float]] = [(BOTH, every, ua[BOTH], gain)]
    if study.confounded:
        rows.append((BOTH + study.excluding, unconfounded, ua["without"], np.nan))
    rows.append(
        (f"mean of all corpora{study.excluding}", unconfounded, mean(*unconfounded), np.nan)
    )
    for style in STYLES:
        selective, baseline = (paper.BY_STYLE[style][name][-2] / 100 for name in names)
        rows.append((style.value, study.corpora(style), ua[style.value], selective - baseline))
    rows += [(corpus, [corpus], mean(corpus), np.nan) for corpus in every]
    constant = [
        f"{count} of {runs} runs of {study.name(system)}"
        for system, setting in tested
        for count, runs in [study.constant_runs(system, setting)]
        if count
    ]
    for over, corpora, measure, in_paper_over in rows:
        found = pair.difference(measure)
        speakers = sum(pair.speakers.get(corpus, 0) for corpus in corpora)
        half = (found["difference_high"] - found["difference_low"]) / 2
        yield {
            "over": over,
            **found,
            "half": half,
            "paper": in_paper_over,
            "constant": constant,
            "speakers": speakers,
            "needed": speakers * (half / gain) ** 2 if half > 0 else np.nan,
        }


def steps(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields each system of the paper minus the one before, and other networks minus the main."""

    def plain(name: str, network: str = study.network) -> SystemKey:
        return SystemKey(name, network, 1.0, PAPER[name])

    names = list(PAPER)
    pairs = [(plain(after), plain(before)) for after, before in zip(names[1:], names, strict=False)]
    pairs.append(
        (plain("selective-mtl"), plain("combined"))
    )  # what the style task adds to the data
    pairs += [
        (plain(name, network), plain(name)) for network in study.networks[1:] for name in names
    ]
    for system, other in pairs:
        pair = Pair.of(study, (system, CLEAN), (other, CLEAN), draws)
        for measured, of in (("UA", unweighted_accuracy), ("WA", weighted_accuracy)):
            row = {
                "system": study.name(system),
                "minus": study.name(other),
                "of": measured,
                **pair.difference(partial(over_styles, study, of=of)),
            }
            for style in STYLES:
                over = partial(over_corpora, corpora=study.corpora(style), of=of)
                row |= columns(f"difference_{style.value}", pair.minus(over))
            yield row


def weights(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields the points of UA against lambda, over the speakers that all points were tested on."""
    tallies = {
        system: tally
        for system in study.runs
        if system.network == study.network and system.share == 1.0
        if system.system in ("combined", "mtl", "selective-mtl")
        for tally in [study.tally(system, CLEAN)]
        if len(tally)
    }
    curves = [s.system for s in tallies]
    if curves.count("selective-mtl") < 2 and curves.count("mtl") < 2:
        return
    for system, tally in tallies.items():
        for other in tallies.values():
            tally = tally.restricted_to(other)
        drawn = tally.samples(draws)
        yield {
            **identity(study, system),
            "speakers": len(tally),
            **columns("ua", estimate(over_styles(study, drawn, unweighted_accuracy))),
            **columns(
                "ua_without", estimate(over_styles(study, drawn, unweighted_accuracy, CONFOUNDED))
            ),
            **{
                style.value: float(
                    over_corpora(drawn, study.corpora(style), unweighted_accuracy)[0]
                )
                for style in STYLES
            },
        }
