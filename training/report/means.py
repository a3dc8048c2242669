"""Means over corpora and styles, and paired differences of two systems.

Every figure is taken per corpus first. A style's figure is the mean over its corpora, the overall
figure the mean of the styles: no large corpus and no style with many corpora outweighs others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.labels import STYLES
from training.metrics import Estimate, estimate, p_value, row_shares, unweighted_accuracy
from training.report.results import CONFOUNDED, Study
from training.report.systems import GIVEN, NOTHING_GIVEN, SystemKey
from training.report.tally import Samples

MEAN = "mean"  # over corpora, without the confounded ones
BOTH = "both styles"  # their mean
CLEAN = "utterance/clean"

Measure = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (1 + draws, C, C), (1 + draws,)
Over = Callable[[Samples], NDArray[np.float64]]  # to (1 + draws,)
Tested = tuple[SystemKey, str]  # a system and its test setting


def over_corpora(drawn: Samples, corpora: Sequence[str], of: Measure) -> NDArray[np.float64]:
    """Returns the mean over the corpora that have the figure: (1 + draws,), NaN if none has."""
    found = [of(drawn[corpus]) for corpus in corpora if corpus in drawn]
    return mean_without_nan(found) if found else np.full(1, np.nan)


def over_styles(
    study: Study, drawn: Samples, of: Measure, without: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Returns the mean of both styles' means over corpora: (1 + draws,), NaN if one has none."""
    by_style = [
        over_corpora(drawn, [c for c in study.corpora(style) if c not in without], of)
        for style in STYLES
    ]
    mean: NDArray[np.float64] = np.mean(np.broadcast_arrays(*by_style), axis=0)
    return mean


def mean_without_nan(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Returns the mean of arrays, element by element, over those that are not NaN there."""
    stacked = np.stack(arrays)
    finite = np.isfinite(stacked)
    count = finite.sum(0)
    mean: NDArray[np.float64] = np.where(finite, stacked, 0).sum(0) / np.where(count, count, np.nan)
    return mean


def pooled(drawn: Samples, corpora: Sequence[str]) -> NDArray[np.float64] | None:
    """Returns one confusion of all utterances, (1 + draws, C, C), or None without any."""
    found = [drawn[corpus] for corpus in corpora if corpus in drawn]
    return np.sum(found, axis=0) if found else None


def recall(row: int) -> Measure:
    return lambda confusion: row_shares(confusion)[..., row, row]


def columns(name: str, found: Estimate) -> dict[str, float]:
    """Returns an estimate as three columns of a table."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def identity(study: Study, system: SystemKey) -> dict[str, Any]:
    """Returns the columns that identify a system."""
    return {
        "name": study.name(system),
        "system": system.system,
        "network": system.network,
        "share": system.share,
        "ser_weight": system.ser_weight,
    }


def ua_measures(study: Study) -> dict[str, Over]:
    """Returns UA over both styles, the same without confounded corpora, and over each style."""
    both = partial(over_styles, study, of=unweighted_accuracy)
    by_style = {
        style.value: partial(over_corpora, corpora=study.corpora(style), of=unweighted_accuracy)
        for style in STYLES
    }
    return {BOTH: both, "without": partial(both, without=CONFOUNDED), **by_style}


def plain_setting(study: Study, system: SystemKey) -> str | None:
    """Returns the clean test setting in which nothing is given of the speaker."""
    tested = study.normalisations(system)
    names = [name for name in GIVEN[NOTHING_GIVEN] if name in tested]
    return f"{names[0]}/clean" if names else None


def settings_under(study: Study, condition: str) -> Iterator[tuple[str, str, SystemKey, str]]:
    """Yields (given, name, system, setting) of all main systems tested under a condition."""
    for given, names in GIVEN.items():
        for system in study.main_systems:
            for name in study.normalisations(system, condition):
                if name in names:
                    yield given, study.name(system), system, f"{name}/{condition}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems over the speakers whom both were tested on, with the same draws."""

    one: Samples
    other: Samples
    speakers: Mapping[str, int]  # by corpus

    @classmethod
    def of(cls, study: Study, one: Tested, other: Tested, draws: int) -> "Pair":
        first, second = study.tally(*one), study.tally(*other)
        first, second = first.restricted_to(second), second.restricted_to(first)
        corpora, counts = np.unique(first.corpus[first.tested], return_counts=True)
        speakers = dict(zip(corpora.tolist(), counts.tolist(), strict=True))
        return cls(first.samples(draws), second.samples(draws), speakers)

    def minus(self, over: Over) -> Estimate:
        return estimate(over(self.one) - over(self.other))

    def difference(self, over: Over) -> dict[str, float]:
        """Returns the columns of the difference, its p and the number of common speakers."""
        return {
            **columns("difference", self.minus(over)),
            "p": p_value(over(self.one) - over(self.other)),
            "speakers": sum(self.speakers.values()),
        }
