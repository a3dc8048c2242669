"""Cleans a labelled corpus: decides which utterances are kept (paper section 3.2)."""

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
from training.data.tables import read_text

# "Hai (Yes.)", "ee (Emm...)" and noise, as the paper names them, in both kana and in Latin letters.
BACKCHANNELS = frozenset(
    ("hai", "はい", "ハイ", "ee", "ええ", "エエ", "えー", "エー", "noise", "雑音", "ノイズ")
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of `clean`."""

    backchannels: frozenset[str] = BACKCHANNELS
    neutral: int | None = None  # number of neutral utterances to draw; None: all are kept
    seed: int = 0


def majority(votes: Mapping[str, int]) -> str | None:
    """Returns the emotion with more than half of the votes, or None."""
    emotion = max(votes, key=lambda word: votes[word], default=None)
    return emotion if emotion is not None and 2 * votes[emotion] > sum(votes.values()) else None


def is_backchannel(transcript: str, backchannels: Collection[str]) -> bool:
    """Returns whether a transcript consists of backchannels alone: `はい、はい。`, `[noise]`.

    Case, width, punctuation and white space are ignored.
    """
    tokens = _tokens(transcript)
    only = _repeated(frozenset(backchannels))
    return bool(tokens) and all(only.fullmatch(token) for token in tokens)


@cache
def _repeated(backchannels: frozenset[str]) -> re.Pattern[str]:
    """Returns a pattern of one or more backchannels: はいはい, without a space, is one token."""
    units = {"".join(_tokens(backchannel)) for backchannel in backchannels} - {""}
    return re.compile(f"(?:{'|'.join(map(re.escape, sorted(units)))})+")


def _tokens(text: str) -> list[str]:
    """Returns the runs of letters, marks and digits, in compatible form and lower case."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split()


def read_backchannels(path: Path) -> frozenset[str]:
    """Reads a list of backchannels, one a line.

    Raises:
        CorpusError: the file can't be read or contains no words.
    """
    lines = read_text(path, CorpusError).splitlines()
    found = frozenset(line.strip() for line in lines if _tokens(line))
    if not found:
        raise CorpusError(f"{path}: found no words, expected backchannels, one a line")
    return found


def draw(count: int, among: int, seed: int) -> set[int]:
    """Draws `count` different numbers below `among`, or all if there are not more."""
    drawn = np.random.default_rng(seed).permutation(among)[:count]
    return set(drawn.tolist())


def clean(sources: Iterable[Source], rules: Rules) -> tuple[list[Source], list[LeftOut]]:
    """Returns the utterances of the four emotions that are kept, in their order, and all others.

    If a corpus has annotators' votes instead of an emotion, the emotion is that of the majority.
    Neutral utterances that are backchannels are left out if their transcript is known.
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
    """Applies the rules that concern one utterance alone."""
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
