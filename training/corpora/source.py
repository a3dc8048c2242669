"""What readers yield: utterances of a corpus with their original labels, before cleaning."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from model.labels import Style


class CorpusError(ValueError):
    """A corpus can't be prepared; the message states what was found and what was expected."""


class Reason(StrEnum):
    """Why an utterance or a file is left out."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    OUTSIDE = "outside its recording"
    CHANNEL = "channel not known"
    DUPLICATE = "duplicate"
    UNLABELLED = "unlabelled"
    DISAGREEMENT = "annotators disagree"
    OTHER_EMOTION = "another emotion"
    BACKCHANNEL = "neutral backchannel"
    NOT_DRAWN = "neutral, not drawn"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An utterance or a file that is not used."""

    title: str
    reason: Reason
    detail: str = ""

    @property
    def sentence(self) -> str:
        """What is left out, with the details if there are any."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


@dataclass(frozen=True, slots=True)
class Source:
    """One utterance in the corpus as it is distributed: a file, or a stretch of one."""

    path: Path
    name: str  # the path below the corpus, with "/"
    style: Style
    language: str
    speaker: str  # "" in a corpus whose speakers are not known
    emotion: str = ""  # one of model.labels.EMOTIONS or another; "" if there are only votes
    original_emotion: str = ""
    session: str = ""
    recording: str = ""  # the longer recording that it is cut from
    start_s: float | None = None  # given with end_s, or neither: the whole file
    end_s: float | None = None
    channel: int | None = None  # None: the file must have a single channel
    votes: Mapping[str, int] = field(default_factory=dict)  # emotion to number of annotators
    listeners: str = ""  # the votes of a prepared manifest, copied as they are
    transcript: str = ""

    @property
    def title(self) -> str:
        """The name in reports: `calls/a.wav 12.000-13.500 s, channel 1`."""
        cut = "" if self.start_s is None else f" {self.start_s:.3f}-{self.end_s:.3f} s"
        return self.name + cut + (f", channel {self.channel}" if self.channel else "")

    @property
    def flac(self) -> PurePosixPath:
        """The path of the prepared utterance, below the prepared corpus."""
        cut = ""
        if self.start_s is not None and self.end_s is not None:
            cut = f"-{round(self.start_s * 1000):07d}-{round(self.end_s * 1000):07d}"
        if self.channel:
            cut += f"-c{self.channel}"
        name = PurePosixPath(self.name)
        return name.with_name(f"{name.stem}{cut}.flac")

    def leave_out(self, reason: Reason, detail: str = "") -> LeftOut:
        return LeftOut(self.title, reason, detail)


Found = Source | LeftOut
Reader = Callable[[Path], Iterable[Found]]

_SUFFIXES = {".wav", ".flac", ".aif", ".aiff", ".au", ".ogg", ".opus", ".mp3", ".sph"}
_WORDS = {
    "angry": "anger",
    "happy": "happiness",
    "sad": "sadness",
    "disgusted": "disgust",
    "neutral state": "neutral",
}


def emotion_word(text: str) -> str:
    """Returns an annotator's word as the name of an emotion: `Angry` becomes `anger`.

    Other words are returned in lower case.
    """
    word = " ".join(text.split()).casefold()
    return _WORDS.get(word, word)


def below(folder: Path, name: str) -> str | None:
    """Returns a table's path of a file, normalised, or None if it is not below the folder.

    Symbolic links are not resolved, so they may point out of the folder.
    """
    root = os.path.abspath(folder)
    inside = os.path.relpath(os.path.join(root, name.strip()), root)
    return None if inside == "." or inside.split(os.sep)[0] == ".." else Path(inside).as_posix()


def recordings(folder: Path) -> Iterator[Path]:
    """Yields every sound file below a folder, in the order of the paths.

    Macintosh resource forks (`._x.wav`), which some archives contain, are skipped.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith("._") and path.is_file():
            yield path


def by_name(
    corpus: str,
    folder: Path,
    pattern: re.Pattern[str],
    emotions: Mapping[str, str],
    style: Style,
    language: str,
    example: str,
) -> Iterator[Found]:
    """Yields the recordings of a corpus that encodes speaker and emotion in its file names.

    The pattern must match the end of the path below the folder, without the suffix, and define the
    groups `speaker` and `emotion`; case is ignored. A recording holds one speaker, so the first
    channel of a stereo file is taken.

    Raises:
        CorpusError: the folder holds no recording.
    """
    nothing = True
    for path in recordings(folder):
        nothing = False
        name = path.relative_to(folder).as_posix()
        match = re.search(f"(?:^|/){pattern.pattern}$", name[: -len(path.suffix)], re.IGNORECASE)
        if match is None:
            detail = f"expected a name like {example}"
            yield LeftOut(name, Reason.UNLABELLED, detail)
            continue
        code = match["emotion"]
        emotion = emotions[code.lower()]
        yield Source(
            path=path,
            name=name,
            style=style,
            language=language,
            speaker=f"{corpus}_{match['speaker']}",
            emotion=emotion,
            original_emotion=f"{emotion} ({code})",
            channel=0,
        )
    if nothing:
        raise CorpusError(f"{folder}: found no recordings, expected some like {example}")
