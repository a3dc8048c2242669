"""Who is trained on, who chooses the model, who is only ever tested on: never the same speaker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from training.manifest import Utterance


class SplitError(ValueError):
    """Utterances can't be split as asked; the message says what came and what was expected."""


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts with no speaker in common."""

    train: list[Utterance]
    valid: list[Utterance]
    test: list[Utterance]


def speaker_split(utterances: Sequence[Utterance], test_fold: int, folds: int, seed: int) -> Split:
    """Within each corpus, one fold of speakers to test, the next to validate, the others to train.

    Raises:
        SplitError: a corpus has too few speakers or utterances, or there is no such fold.
    """
    if folds < 3 or not 0 <= test_fold < folds:
        raise SplitError(
            f"found fold {test_fold} of {folds}, expected one of 3 or more, counted from 0"
        )
    parts: dict[int, list[Utterance]] = {fold: [] for fold in range(folds)}
    for corpus, members in groupby(sorted(utterances, key=lambda u: u.corpus), lambda u: u.corpus):
        own = list(members)
        speakers = [u.speaker for u in own]
        if len(set(speakers)) < folds:
            raise SplitError(
                f"{corpus} has {len(set(speakers))} speakers, expected {folds} or more"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        emotions = [u.emotion.value for u in own]
        if max(Counter(emotions).values()) < folds:
            raise SplitError(
                f"{corpus} has {Counter(emotions)}, expected {folds} utterances of some emotion"
            )
        for fold, (_, held) in enumerate(splitter.split(np.zeros(len(own)), emotions, speakers)):
            parts[fold].extend(own[i] for i in held)
    valid_fold = (test_fold + 1) % folds
    return Split(
        train=[u for f, part in parts.items() if f not in (test_fold, valid_fold) for u in part],
        valid=parts[valid_fold],
        test=parts[test_fold],
    )
