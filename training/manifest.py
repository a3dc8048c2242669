"""The list of a corpus' utterances: `manifest.csv` beside the recordings."""

import csv
from dataclasses import dataclass
from pathlib import Path

from model.labels import Emotion, Style

COLUMNS = ("path", "corpus", "style", "language", "speaker", "emotion", "duration_s")


class ManifestError(ValueError):
    """A manifest can't be used; the message names the file, the line, what came and what should."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording of one speaker in one emotion."""

    path: Path
    corpus: str
    style: Style
    language: str
    speaker: str
    emotion: Emotion
    duration_s: float


def read_manifest(path: Path) -> list[Utterance]:
    """The utterances of one corpus, in the manifest's order.

    Raises:
        ManifestError: a column is missing, a value is not among those expected, a recording is
            missing or listed twice.
    """
    utterances: list[Utterance] = []
    seen: set[str] = set()
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise ManifestError(f"{path}: columns {rows.fieldnames}, expected also {missing}")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if None in row or None in row.values():
                raise ManifestError(
                    f"{where}: found {'more' if None in row else 'fewer'} cells than columns, "
                    f"expected {len(rows.fieldnames or ())}"
                )
            try:
                utterance = Utterance(
                    path=path.parent / row["path"],
                    corpus=row["corpus"],
                    style=Style(row["style"]),
                    language=row["language"],
                    speaker=row["speaker"],
                    emotion=Emotion(row["emotion"]),
                    duration_s=float(row["duration_s"]),
                )
            except ValueError as error:
                raise ManifestError(
                    f"{where}: {error}, expected a style of {[s.value for s in Style]}, an emotion "
                    f"of {[e.value for e in Emotion]} and a duration in seconds"
                ) from error
            if not utterance.speaker:
                raise ManifestError(f"{where}: no speaker, expected one to keep folds apart by")
            if row["path"] in seen:
                raise ManifestError(f"{where}: {row['path']} is listed twice")
            if not utterance.path.is_file():
                raise ManifestError(f"{where}: no recording {utterance.path}")
            seen.add(row["path"])
            utterances.append(utterance)
    return utterances


def read_corpora(folder: Path) -> list[Utterance]:
    """The utterances of every corpus below a folder, corpora in the order of their names.

    Raises:
        ManifestError: as `read_manifest`, or no corpus is there.
    """
    manifests = sorted(folder.glob("*/manifest.csv"))
    if not manifests:
        raise ManifestError(f"{folder}: found no CORPUS/manifest.csv, expected at least one")
    return [utterance for manifest in manifests for utterance in read_manifest(manifest)]
