"""What a reader finds in a corpus: utterances where they lie, as labelled, nothing decided."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from model.labels import Style


class CorpusError(ValueError):
    """A corpus can't be prepared; the message says what was found and what was expected."""


class Reason(StrEnum):
    """Why something is left out."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    OUTSIDE = "outside its recording"
    CHANNEL = "no one channel"
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


@dataclass(frozen=True, slots=True)
class Source:
    """One utterance where it lies."""

    path: Path
    name: str  # the path as people know it: below the corpus, with "/"
    style: Style
    language: str
    speaker: str  # "" where the corpus tells nobody's voice from another's
    emotion: str = ""  # one of model.labels.EMOTIONS, or any other, or "" where only votes are
    original_emotion: str = ""
    session: str = ""
    recording: str = ""  # what an utterance was cut out of
    start_s: float | None = None  # with end_s; without: the whole file
    end_s: float | None = None
    channel: int | None = None  # None: the file must have one channel only
    votes: Mapping[str, int] = field(default_factory=dict)  # emotion to number of annotators
    listeners: str = ""  # a manifest's votes as they stood there
    transcript: str = ""

    @property
    def title(self) -> str:
        """For people: `calls/a.wav 12.000-13.500 s, channel 1`."""
        cut = "" if self.start_s is None else f" {self.start_s:.3f}-{self.end_s:.3f} s"
        return self.name + cut + (f", channel {self.channel}" if self.channel else "")

    @property
    def flac(self) -> PurePosixPath:
        """Where the utterance goes, below the prepared corpus."""
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


def emotion_word(said: str) -> str:
    """An annotator's word as ours, where it is one of ours: `Angry` is `anger`."""
    word = " ".join(said.split()).casefold()
    return _WORDS.get(word, word)


def below(folder: Path, name: str) -> str | None:
    """What a table calls a file, without detours; None if that leads out of the folder.

    Links may lead where they want.
    """
    root = os.path.abspath(folder)
    inside = os.path.relpath(os.path.join(root, name.strip()), root)
    return None if inside == "." or inside.split(os.sep)[0] == ".." else Path(inside).as_posix()


def recordings(folder: Path) -> Iterator[Path]:
    """Every sound file below a folder, in the order of the names.

    Macintosh resource forks (`._x.wav`), which some archives carry, are no sound files.
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
    """The recordings of a corpus whose names say everything.

    The pattern has to match the end of the path below the folder, without the suffix, and names
    the groups `speaker` and `emotion`; case doesn't matter. One person speaks alone: of a stereo
    file the first channel is taken.

    Raises:
        CorpusError: there is no recording at all.
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
