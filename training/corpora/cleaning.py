"""What is kept of a labelled corpus, and what is not and why (paper section 3.2)."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from model.labels import EMOTIONS, Emotion
from training.corpora.source import CorpusError, LeftOut, Reason, Source
from training.data.manifest import write_votes

# "Hai (Yes.)", "ee (Emm...)" and noise, as the paper names them, in both kana and in Latin letters.
BACKCHANNELS = frozenset(
    ("hai", "はい", "ハイ", "ee", "ええ", "エエ", "えー", "エー", "noise", "雑音", "ノイズ")
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What `clean` goes by."""

    backchannels: frozenset[str] = BACKCHANNELS
    neutral: int | None = None  # so many neutral utterances are drawn; None: all are kept
    seed: int = 0


def majority(votes: Mapping[str, int]) -> str | None:
    """The emotion that more than half of the votes are for; None if there is none."""
    emotion = max(votes, key=lambda word: votes[word], default=None)
    return emotion if emotion is not None and 2 * votes[emotion] > sum(votes.values()) else None


def is_backchannel(transcript: str, backchannels: Collection[str]) -> bool:
    """Whether nothing but backchannels is said, however often: `はい、はい。`, `[noise]`.

    Case, width, punctuation and white space do not matter.
    """
    tokens = _tokens(transcript)
    only = _repeated(frozenset(backchannels))
    return bool(tokens) and all(only.fullmatch(token) for token in tokens)


@cache
def _repeated(backchannels: frozenset[str]) -> re.Pattern[str]:
    """Japanese leaves no space between words: はいはい is one token."""
    units = {"".join(_tokens(backchannel)) for backchannel in backchannels} - {""}
    return re.compile(f"(?:{'|'.join(map(re.escape, sorted(units)))})+")


def _tokens(text: str) -> list[str]:
    """Runs of letters, marks and digits."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split()


def read_backchannels(path: Path) -> frozenset[str]:
    """A list of one's own, one a line.

    Raises:
        CorpusError: the file can't be read or names nothing.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: {error}, expected backchannels, one a line") from error
    found = frozenset(line.strip() for line in lines if _tokens(line))
    if not found:
        raise CorpusError(f"{path}: found no words, expected backchannels, one a line")
    return found


def draw(count: int, among: int, seed: int) -> set[int]:
    """`count` different numbers below `among`, or all where there are not more."""
    drawn = np.random.default_rng(seed).permutation(among)[:count]
    return set(drawn.tolist())


def clean(sources: Iterable[Source], rules: Rules) -> tuple[list[Source], list[LeftOut]]:
    """The utterances of the four emotions that are kept, in their order, and all others.

    Where a corpus gives annotators' votes instead of an emotion, their majority is the emotion.
    Backchannels are dropped where they are neutral and the transcript is known.
    """
    kept: list[Source] = []
    left_out: list[LeftOut] = []
    for source in sources:
        outcome = _judged(source, rules.backchannels)
        if isinstance(outcome, Source):
            kept.append(outcome)
        else:
            left_out.append(outcome)
    if rules.neutral is None:
        return kept, left_out
    neutral = [i for i, source in enumerate(kept) if source.emotion == Emotion.NEUTRAL]
    drawn = draw(rules.neutral, len(neutral), rules.seed)
    undrawn = {row for number, row in enumerate(neutral) if number not in drawn}
    detail = f"{len(drawn)} of {len(neutral)} drawn, seed {rules.seed}"
    left_out += [kept[row].leave_out(Reason.NOT_DRAWN, detail) for row in sorted(undrawn)]
    return [source for row, source in enumerate(kept) if row not in undrawn], left_out


def _judged(source: Source, backchannels: Collection[str]) -> Source | LeftOut:
    if not source.emotion:
        if not source.votes:
            return source.leave_out(Reason.UNLABELLED)
        emotion = majority(source.votes)
        if emotion is None:
            return source.leave_out(Reason.DISAGREEMENT, write_votes(source.votes))
        source = replace(source, emotion=emotion, original_emotion=emotion)
    if source.emotion not in EMOTIONS:
        return source.leave_out(Reason.OTHER_EMOTION, source.original_emotion or source.emotion)
    if source.emotion == Emotion.NEUTRAL and is_backchannel(source.transcript, backchannels):
        return source.leave_out(Reason.BACKCHANNEL, source.transcript)
    return source
