"""Normalises openSMILE's functionals by corpus, by speaker, or by earlier speech of the caller."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.preprocessing import StandardScaler

from model.labels import Emotion
from model.speaker_baseline import BASELINE_UTTERANCES
from training.data.enrolment import Enrolments
from training.data.manifest import Utterance, rows_by_voice
from training.study.opensmile_features import FunctionalsTable

NORMALISATIONS = ("corpus", "caller", "speaker")
FURTHEST = 10.0  # standard deviations from the mean; some functionals are ratios without bound
NEUTRAL_ODDS = 10.0  # that a neutral utterance is drawn, against another: calls begin calmly


class OpenSmileError(ValueError):
    """An openSMILE system can't be run; the message states what came and what should."""


def corpus_scalers(
    functionals: FunctionalsTable, utterances: Sequence[Utterance]
) -> dict[str, StandardScaler]:
    """Fits the mean and standard deviation of each corpus."""
    corpora = np.array([u.corpus for u in utterances])
    return {
        str(name): StandardScaler().fit(functionals[corpora == name]) for name in np.unique(corpora)
    }


def by_corpus(
    functionals: FunctionalsTable,
    utterances: Sequence[Utterance],
    scalers: Mapping[str, StandardScaler],
) -> FunctionalsTable:
    """Scales every corpus with its own scaler.

    Raises:
        OpenSmileError: a corpus has no scaler.
    """
    corpora = np.array([u.corpus for u in utterances])
    strange = set(corpora.tolist()) - scalers.keys()
    if strange:
        raise OpenSmileError(f"found corpora {sorted(strange)}, expected some of {sorted(scalers)}")
    scaled = np.empty_like(functionals)
    for name, scaler in scalers.items():
        own = corpora == name
        if own.any():
            scaled[own] = scaler.transform(functionals[own])
    return np.clip(scaled, -FURTHEST, FURTHEST)


def by_speaker(functionals: FunctionalsTable, utterances: Sequence[Utterance]) -> FunctionalsTable:
    """Scales every voice by the mean and standard deviation of all its utterances."""
    scaled = np.empty_like(functionals)
    for own in rows_by_voice(utterances).values():
        scaled[own] = StandardScaler().fit_transform(functionals[own])
    return np.clip(scaled, -FURTHEST, FURTHEST)


def by_caller(scaled: FunctionalsTable, enrolments: Enrolments, shrink: float) -> FunctionalsTable:
    """Subtracts the mean of each utterance's enrolment from what `by_corpus` returned.

    The mean is shrunk towards that of the corpus, which is 0, as if the enrolment had `shrink` more
    utterances with the corpus' mean: the fewer utterances, the less their mean is trusted.
    """
    centred = scaled.copy()
    for row, enrolment in enumerate(enrolments):
        centred[row] -= scaled[list(enrolment)].sum(axis=0) / (len(enrolment) + shrink)
    return centred


def training_enrolments(utterances: Sequence[Utterance], rng: np.random.Generator) -> Enrolments:
    """Draws for every utterance up to BASELINE_UTTERANCES others of its voice, mostly neutral ones.

    Other than a network's training enrolments these are never all utterances of the voice, because
    a machine is trained for one normalisation only.
    """
    odds = np.array([NEUTRAL_ODDS if u.emotion is Emotion.NEUTRAL else 1.0 for u in utterances])
    drawn: Enrolments = [[] for _ in utterances]
    for own in rows_by_voice(utterances).values():
        for row in own:
            others = [other for other in own if other != row]
            count = min(int(rng.integers(BASELINE_UTTERANCES + 1)), len(others))
            if count:
                weights = odds[others] / odds[others].sum()
                drawn[row] = rng.choice(others, count, replace=False, p=weights).tolist()
    return drawn
