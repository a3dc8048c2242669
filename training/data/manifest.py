"""The list of a corpus' utterances: `manifest.csv` beside the recordings."""

import csv
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.files import atomic_write
from model.labels import EMOTIONS, Emotion, Style
from training.data.tables import read_table

COLUMNS = ("path", "corpus", "style", "language", "speaker", "emotion", "duration_s")
ALL_COLUMNS = (
    "path",
    "corpus",
    "style",
    "language",
    "speaker",
    "session",
    "recording",
    "emotion",
    "original_emotion",
    "duration_s",
    "votes",
)


class ManifestError(ValueError):
    """A manifest can't be used; the message names the file, the line, what came and what should."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one speaker in one emotion."""

    path: Path
    corpus: str
    style: Style
    language: str
    speaker: str  # "" in a corpus whose speakers are not known
    emotion: Emotion
    duration_s: float
    session: str = ""
    recording: str = ""  # the longer recording that it was cut from
    soft: tuple[float, ...] | None = None  # share of the votes an emotion, as in EMOTIONS

    @property
    def voice(self) -> str:
        """The speaker if known, else the recording, else the path: this utterance alone."""
        return self.speaker or self.recording or str(self.path)


def rows_by_voice(utterances: Sequence[Utterance]) -> dict[tuple[str, str], list[int]]:
    """Returns the rows of every voice, by corpus and voice: equal names may be different people."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, utterance in enumerate(utterances):
        rows.setdefault((utterance.corpus, utterance.voice), []).append(row)
    return rows


def write_votes(votes: Mapping[str, int]) -> str:
    """Formats the number of annotators of each emotion, largest first: `anger=2;neutral=1`."""
    ordered = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    return ";".join(f"{emotion}={count}" for emotion, count in ordered)


def read_votes(text: str, emotion: Emotion) -> tuple[float, ...] | None:
    """Returns the share of the votes of each of EMOTIONS, or None if the text names none.

    `anger=2;disgust=1` counts annotators; votes for other emotions are ignored. `recognised=90.00%`
    is the share of listeners who recognised the label's emotion; the rest is spread evenly over the
    other emotions, because the corpora do not publish it.
    """
    shares = {
        match["name"]: float(match["number"]) / (100 if match["percent"] else 1)
        for match in re.finditer(
            r"(?:^|;)(?P<name>[^=;]+)=(?P<number>\d+(?:\.\d+)?)(?P<percent>%?)(?=;|$)", text
        )
    }
    if 0 <= (recognised := shares.get("recognised", math.nan)) <= 1:
        rest = (1 - recognised) / (len(EMOTIONS) - 1)
        return tuple(recognised if e == emotion else rest for e in EMOTIONS)
    ours = [shares.get(e.value, 0.0) for e in EMOTIONS]
    return tuple(share / sum(ours) for share in ours) if sum(ours) else None


def read_manifest(path: Path) -> list[Utterance]:
    """Returns the utterances of one corpus, in the manifest's order.

    Raises:
        ManifestError: it can't be read, a column is missing, a value is not among those expected,
            a recording is missing or listed twice, or only some of the utterances have a speaker.
    """
    utterances: list[Utterance] = []
    seen: set[str] = set()
    without_speaker = ""  # the first such line
    table = read_table(path, ManifestError)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise ManifestError(f"{path}: columns {list(table.columns)}, expected also {missing}")
    for where, row in table.rows:
        try:
            emotion = Emotion(row["emotion"])
            utterance = Utterance(
                path=path.parent / row["path"],
                corpus=row["corpus"],
                style=Style(row["style"]),
                language=row["language"],
                speaker=row["speaker"],
                emotion=emotion,
                duration_s=float(row["duration_s"]),
                session=row.get("session", ""),
                recording=row.get("recording", ""),
                soft=read_votes(row.get("votes", ""), emotion),
            )
        except ValueError as error:
            raise ManifestError(
                f"{where}: {error}, expected a style of {[s.value for s in Style]}, an emotion "
                f"of {[e.value for e in Emotion]} and a duration in seconds"
            ) from error
        if not utterance.speaker:
            without_speaker = without_speaker or where
        if row["path"] in seen:
            raise ManifestError(f"{where}: {row['path']} is listed twice")
        if not utterance.path.is_file():
            raise ManifestError(f"{where}: no recording {utterance.path}")
        seen.add(row["path"])
        utterances.append(utterance)
    if without_speaker and any(utterance.speaker for utterance in utterances):
        raise ManifestError(
            f"{without_speaker}: no speaker, expected one as on other lines: folds are divided by "
            "speaker"
        )
    return utterances


def write_manifest(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Writes rows of ALL_COLUMNS, all of them or nothing."""
    with (
        atomic_write(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, ALL_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def folders_of(corpora: str) -> list[Path]:
    """Returns the folders that `KANJO_CORPORA` names, separated as those of `PATH` are."""
    return [Path(folder) for folder in corpora.split(os.pathsep) if folder]


def manifests_in(folders: Path | Sequence[Path]) -> list[Path]:
    """Returns the manifest of every corpus below one folder or several, by the corpora's names.

    Raises:
        ManifestError: a folder holds no corpus, or two of them hold one of the same name.
    """
    found: dict[str, Path] = {}
    for folder in [folders] if isinstance(folders, Path) else folders:
        manifests = sorted(folder.glob("*/manifest.csv"))
        if not manifests:
            raise ManifestError(f"{folder}: found no CORPUS/manifest.csv, expected at least one")
        for manifest in manifests:
            name = manifest.parent.name
            if name in found:
                raise ManifestError(
                    f"{manifest}: a corpus of this name is at {found[name]} too, expected one"
                )
            found[name] = manifest
    return [found[name] for name in sorted(found)]


def read_corpora(folders: Path | Sequence[Path]) -> list[Utterance]:
    """Returns the utterances of every corpus below one folder or several, as `manifests_in`.

    Raises:
        ManifestError: as `read_manifest` and `manifests_in`.
    """
    return [utterance for path in manifests_in(folders) for utterance in read_manifest(path)]
