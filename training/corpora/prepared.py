"""Reads a corpus that already has a `manifest.csv` beside its recordings."""

import csv
from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import CorpusError, Found, Source, below
from training.data.manifest import COLUMNS


def read(folder: Path) -> Iterator[Found]:
    """Yields the rows of the manifest, of any emotion.

    Raises:
        CorpusError: there is no manifest, a column is missing, a style is unknown.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise CorpusError(f"{folder}: found no manifest.csv, expected one")
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        needed = [column for column in COLUMNS if column != "duration_s"]
        missing = [column for column in needed if column not in (rows.fieldnames or ())]
        if missing:
            raise CorpusError(f"{manifest}: columns {rows.fieldnames}, expected also {missing}")
        for row in rows:
            where = f"{manifest}:{rows.line_num}"
            if None in row or None in row.values():
                raise CorpusError(f"{where}: expected {len(rows.fieldnames or ())} cells")
            name = below(folder, row["path"])
            if name is None:
                raise CorpusError(f"{where}: {row['path']}, expected a path below {folder}")
            try:
                style = Style(row["style"])
            except ValueError as error:
                styles = [style.value for style in Style]
                raise CorpusError(f"{where}: {error}, expected one of {styles}") from error
            yield Source(
                path=folder / name,
                name=name,
                style=style,
                language=row["language"],
                speaker=row["speaker"],
                emotion=row["emotion"],
                original_emotion=row.get("original_emotion", ""),
                session=row.get("session", ""),
                recording=row.get("recording", ""),
                listeners=row.get("votes", ""),
            )
