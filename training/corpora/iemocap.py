"""Reads IEMOCAP (Busso et al. 2008): American English, ten actors, two in each session."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from model.labels import Emotion, Style
from training.corpora.source import CorpusError, Found, LeftOut, Reason, Source, emotion_word
from training.data.manifest import write_votes

# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
LABEL = re.compile(
    r"\[[\d.]+ - [\d.]+\]\s+(?P<utterance>Ses\d\d\S+_[FM]\S*)\s+(?P<code>[a-z]{3})\b"
)
# C-E2:	Neutral; Frustration;	(a remark). C-F1 and C-M1 are the actors' own labels.
VOTE = re.compile(r"C-E\d+:\s*(?P<words>[^(\t]*)")

# Excitement goes with happiness, as in the paper (section 3.1).
EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "happiness",
    "sad": "sadness",
    "neu": "neutral",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
}
NO_MAJORITY = "xxx"
MERGED = {"excited": "happiness", "excitement": "happiness"}

# The utterances of the complete corpus (paper table 1).
EXPECTED = {
    Emotion.ANGER: 1103,
    Emotion.HAPPINESS: 1636,
    Emotion.SADNESS: 1084,
    Emotion.NEUTRAL: 1708,
}


def read(folder: Path) -> Iterator[Found]:
    """Yields the utterances of the folder `IEMOCAP_full_release`, or of the one in `folder`.

    Raises:
        CorpusError: there is no session with labels, or a label is unknown.
    """
    release = folder / "IEMOCAP_full_release"
    root = release if release.is_dir() else folder
    evaluations = [
        path
        for path in sorted(root.glob("Session*/dialog/EmoEvaluation/*.txt"))
        if not path.name.startswith("._")
    ]
    if not evaluations:
        expected = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and its like"
        raise CorpusError(f"{root}: found no labels, expected {expected}")
    labelled = set()
    for evaluation in evaluations:
        session = evaluation.relative_to(root).parts[0]
        for utterance, code, votes in _labels(evaluation):
            dialog = utterance.rsplit("_", 1)[0]
            path = root / session / "sentences" / "wav" / dialog / f"{utterance}.wav"
            labelled.add(path)
            name = path.relative_to(root).as_posix()
            if code == NO_MAJORITY:
                yield LeftOut(name, Reason.DISAGREEMENT, write_votes(votes))
                continue
            if code not in EMOTIONS:
                where = f"{evaluation.relative_to(root)}: {utterance}"
                raise CorpusError(f"{where} {code!r}, expected one of {[*EMOTIONS, NO_MAJORITY]}")
            gender = utterance.rsplit("_", 1)[1][0]
            yield Source(
                path=path,
                name=name,
                style=Style.ACTED,
                language="en",
                speaker=f"iemocap_{utterance[:5]}{gender}",  # not the F or M of the dialog's name
                emotion=EMOTIONS[code],
                original_emotion=code,
                session=session,
                recording=dialog,
                votes=votes,
            )
    for path in sorted(root.glob("Session*/sentences/wav/*/*.wav")):
        if path not in labelled and not path.name.startswith("._"):
            name = path.relative_to(root).as_posix()
            yield LeftOut(name, Reason.UNLABELLED, "expected a line in its dialog's EmoEvaluation")


def _labels(evaluation: Path) -> Iterator[tuple[str, str, Counter[str]]]:
    """Yields each utterance's id, code and annotators' votes; some annotators gave two emotions."""
    utterance, code, votes = "", "", Counter[str]()
    for line in evaluation.read_text(encoding="utf-8", errors="replace").splitlines():
        if label := LABEL.match(line):
            if utterance:
                yield utterance, code, votes
            utterance, code, votes = label["utterance"], label["code"], Counter()
        elif vote := VOTE.match(line):
            words = (emotion_word(word) for word in vote["words"].split(";"))
            votes.update(MERGED.get(word, word) for word in words if word)
    if utterance:
        yield utterance, code, votes
