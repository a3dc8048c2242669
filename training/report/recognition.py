"""How well emotion, anger and style are recognised: by emotion, corpus and channel."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from model.labels import EMOTIONS, STYLES
from training.metrics import estimate, row_shares, unweighted_accuracy, weighted_accuracy
from training.report.means import (
    BOTH,
    MEAN,
    Over,
    Pair,
    columns,
    identity,
    mean_without_nan,
    over_corpora,
    plain_setting,
    pooled,
    recall,
    settings_under,
    ua_measures,
)
from training.report.results import Study
from training.report.systems import CONDITIONS, GIVEN, OURS


def emotions(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for style in STYLES:
        corpora = study.corpora(style)
        for system in study.main_systems:
            setting = plain_setting(study, system)
            if system.is_reference or setting is None:
                continue
            drawn = study.tally(system, setting).samples(draws)
            yield {
                "style": style.value,
                **identity(study, system),
                **{
                    emotion.value: float(over_corpora(drawn, corpora, recall(row))[0])
                    for row, emotion in enumerate(EMOTIONS)
                },
                **columns("ua", estimate(over_corpora(drawn, corpora, unweighted_accuracy))),
                **columns("wa", estimate(over_corpora(drawn, corpora, weighted_accuracy))),
            }


def by_corpus(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for given, name, system, setting in settings_under(study, "clean"):
        tally = study.tally(system, setting)
        drawn = tally.samples(draws)
        for corpus, members in ((MEAN, study.unconfounded), *((c, [c]) for c in study.styles)):
            yield {
                "given": given,
                "name": name,
                "system": system.system,
                "network": system.network,
                "setting": setting,
                "corpus": corpus,
                "speakers": int(np.isin(tally.corpus[tally.tested], members).sum()),
                **columns("ua", estimate(over_corpora(drawn, members, unweighted_accuracy))),
                **columns("wa", estimate(over_corpora(drawn, members, weighted_accuracy))),
            }


def advantage(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields Kanjo minus the best reference system, over both styles and over corpora.

    The best is chosen on each compared test itself, which favours the reference systems.
    """
    tested = list(settings_under(study, "clean"))
    for given in GIVEN:
        own = [(system, setting) for g, _, system, setting in tested if g == given]
        references = [one for one in own if one[0].is_reference]
        for ours in [one for one in own if one[0].system == OURS] if references else []:
            pairs = [(study.name(one[0]), Pair.of(study, ours, one, draws)) for one in references]
            measures: dict[str, Over] = {BOTH: ua_measures(study)[BOTH]}
            for corpus, members in ((MEAN, study.unconfounded), *((c, [c]) for c in study.styles)):
                measures[corpus] = partial(over_corpora, corpora=members, of=unweighted_accuracy)
            for corpus, over in measures.items():
                found = [(pair.difference(over), reference) for reference, pair in pairs]
                finite = [one for one in found if np.isfinite(one[0]["difference"])]
                if finite:
                    least, reference = min(finite, key=lambda one: one[0]["difference"])
                    yield {
                        "given": given,
                        "name": study.name(ours[0]),
                        "reference": reference,
                        "corpus": corpus,
                        **least,
                    }


def anger(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for condition in ("clean", "mulaw"):
        for given, name, system, setting in settings_under(study, condition):
            tally = study.tally(system, setting, "anger")
            every = pooled(tally.samples(draws), study.unconfounded)
            if every is not None:
                yield {
                    "given": given,
                    "name": name,
                    "condition": condition,
                    **columns("ua", estimate(unweighted_accuracy(every))),
                    **columns("recall", estimate(recall(1)(every))),
                    **columns("false", estimate(1 - recall(0)(every))),
                }


def style(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    """Yields the accuracy of style; a system with lambda 1 has no trained style head."""
    for given, name, system, setting in settings_under(study, "clean"):
        tally = study.tally(system, setting, "style")
        if system.ser_weight == 1.0:
            continue
        every = pooled(tally.samples(draws), list(study.styles))
        if every is not None:
            yield {
                "given": given,
                "name": name,
                **columns("accuracy", estimate(weighted_accuracy(every))),
                **{style.value: float(recall(row)(every)[0]) for row, style in enumerate(STYLES)},
            }


def confusions(study: Study) -> Iterator[dict[str, Any]]:
    for given, name, system, setting in settings_under(study, "clean"):
        drawn = study.tally(system, setting).samples(0)
        for style in STYLES:
            corpora = [corpus for corpus in study.corpora(style) if corpus in drawn]
            if not corpora:
                continue
            mean = mean_without_nan([row_shares(drawn[corpus])[0] for corpus in corpora])
            for labelled, row in zip(EMOTIONS, mean, strict=True):
                yield {
                    "given": given,
                    "name": name,
                    "system": system.system,
                    "style": style.value,
                    "labelled": labelled.value,
                    **{
                        recognised.value: float(n)
                        for recognised, n in zip(EMOTIONS, row, strict=True)
                    },
                }


def channels(study: Study, draws: int) -> Iterator[dict[str, Any]]:
    for condition in CONDITIONS:
        for given, name, system, setting in settings_under(study, condition):
            drawn = study.tally(system, setting).samples(draws)
            found = over_corpora(drawn, study.unconfounded, unweighted_accuracy)
            yield {
                "given": given,
                "name": name,
                "condition": condition,
                **columns("ua", estimate(found)),
            }
