"""Who is trained on, who chooses the model, who is only ever tested on: never the same speaker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.data.manifest import Utterance


class SplitError(ValueError):
    """Utterances can't be split as asked; the message says what came and what was expected."""


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts with no speaker in common, as far as speakers are known."""

    train: list[Utterance]
    valid: list[Utterance]
    test: list[Utterance]
    without_speakers: tuple[str, ...] = ()  # corpora of which only recordings are kept apart


def _sessions(own: Sequence[Utterance], folds: int) -> list[str]:
    """The names of a corpus' sessions where they make the folds: nobody speaks in two."""
    sessions = sorted({u.session for u in own})
    pairs = {(u.session, u.speaker) for u in own if u.speaker}
    speakers = {speaker for _, speaker in pairs}
    apart = "" not in sessions and len(sessions) == folds and len(pairs) == len(speakers)
    return sessions if apart else []


def _grouped(own: Sequence[Utterance], folds: int, seed: int) -> list[list[Utterance]]:
    """The folds of one corpus, in which no speaker, or else no recording, is twice.

    Emotions are spread as evenly as that allows. An utterance of which neither is known stands for
    itself: the paper's random division (section 4.1).
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
    return [[own[i] for i in held] for _, held in divided]


def speaker_split(utterances: Sequence[Utterance], test_fold: int, folds: int, seed: int) -> Split:
    """Within each corpus, one fold of speakers to test, the next to validate, the others to train.

    Where a corpus has as many sessions as there are folds, a session is a fold, as the paper has it
    for IEMOCAP (section 4.1). Where it has no speakers, its recordings are kept apart instead.

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
        if sessions := _sessions(own, folds):
            divided = [[u for u in own if u.session == session] for session in sessions]
        else:
            divided = _grouped(own, folds, seed)
        for part, held in zip(parts, divided, strict=True):
            part.extend(held)
    valid_fold = (test_fold + 1) % folds
    return Split(
        train=[u for f, part in enumerate(parts) if f not in (test_fold, valid_fold) for u in part],
        valid=parts[valid_fold],
        test=parts[test_fold],
        without_speakers=tuple(without_speakers),
    )
