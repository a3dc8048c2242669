"""Divides utterances into training, validation and test parts without a common speaker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.data.manifest import Utterance


class SplitError(ValueError):
    """Utterances can't be split as asked; the message states what came and what was expected."""


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts with no speaker in common, as far as speakers are known."""

    train: list[Utterance]
    valid: list[Utterance]
    test: list[Utterance]
    without_speakers: tuple[str, ...] = ()  # corpora that were divided by recordings instead


def _session_folds(own: Sequence[Utterance], folds: int) -> list[str]:
    """Returns a corpus' sessions if they can be its folds, else nothing.

    They can if their number is right and no speaker is in two of them.
    """
    sessions = sorted({u.session for u in own})
    pairs = {(u.session, u.speaker) for u in own if u.speaker}
    speakers = {speaker for _, speaker in pairs}
    apart = "" not in sessions and len(sessions) == folds and len(pairs) == len(speakers)
    return sessions if apart else []


def _group_folds(own: Sequence[Utterance], folds: int, seed: int) -> list[list[Utterance]]:
    """Returns the folds of one corpus, no two of which share a speaker, or else a recording.

    Emotions are spread as evenly as that allows. If neither is known, an utterance is a group of
    its own: the paper's random division (section 4.1).
    """
    corpus = own[0].corpus
    kind = next((kind for kind in ("speaker", "recording") if getattr(own[0], kind)), "utterance")
    groups = [u.voice for u in own]
    if len(set(groups)) < folds:
        raise SplitError(f"{corpus} has {len(set(groups))} {kind}s, expected {folds} or more")
    emotions = [u.emotion.value for u in own]
    if max(Counter(emotions).values()) < folds:
        raise SplitError(
            f"{corpus} has {Counter(emotions)}, expected {folds} utterances of some emotion"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    divided = splitter.split(np.zeros(len(own)), emotions, groups)
    return [[own[i] for i in rows] for _, rows in divided]


def speaker_split(utterances: Sequence[Utterance], test_fold: int, folds: int, seed: int) -> Split:
    """Takes, within each corpus, one fold to test, the next to validate, the others to train.

    A corpus with as many sessions as folds is divided by sessions, as the paper divides IEMOCAP
    (section 4.1), others by speakers, and a corpus without speakers by recordings.

    Raises:
        SplitError: a corpus has too few speakers or utterances, or there is no such fold.
    """
    if folds < 3 or not 0 <= test_fold < folds:
        raise SplitError(
            f"found fold {test_fold} of {folds}, expected one of 3 or more, counted from 0"
        )
    parts: list[list[Utterance]] = [[] for _ in range(folds)]
    without_speakers = []
    for corpus, members in groupby(sorted(utterances, key=lambda u: u.corpus), lambda u: u.corpus):
        own = list(members)
        if not any(u.speaker for u in own):
            without_speakers.append(corpus)
        if sessions := _session_folds(own, folds):
            divided = [[u for u in own if u.session == session] for session in sessions]
        else:
            divided = _group_folds(own, folds, seed)
        for part, fold in zip(parts, divided, strict=True):
            part.extend(fold)
    valid_fold = (test_fold + 1) % folds
    return Split(
        train=[u for f, part in enumerate(parts) if f not in (test_fold, valid_fold) for u in part],
        valid=parts[valid_fold],
        test=parts[test_fold],
        without_speakers=tuple(without_speakers),
    )


def held_out_split(utterances: Sequence[Utterance], corpus: str, folds: int, seed: int) -> Split:
    """Takes one whole corpus to test; of the others one fold validates, and the rest trains.

    Raises:
        SplitError: there is no such corpus or no other one, or another has too few speakers.
    """
    test = [u for u in utterances if u.corpus == corpus]
    others = [u for u in utterances if u.corpus != corpus]
    if not test or not others:
        found = sorted({u.corpus for u in utterances})
        raise SplitError(f"found corpora {found}, expected {corpus} and others")
    split = speaker_split(others, test_fold=0, folds=folds, seed=seed)
    unknown = () if any(u.speaker for u in test) else (corpus,)
    train = [*split.train, *split.test]
    return Split(train, split.valid, test, (*split.without_speakers, *unknown))
