"""Reads a corpus that already has a `manifest.csv` beside its recordings."""

from collections.abc import Iterator
from pathlib import Path

from model.labels import Style
from training.corpora.source import CorpusError, Found, Source, below
from training.data.manifest import COLUMNS
from training.data.tables import read_table


def read(folder: Path) -> Iterator[Found]:
    """Yields the rows of the manifest, of any emotion.

    Raises:
        CorpusError: there is no manifest, it can't be read, a column is missing, a style is
            unknown.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise CorpusError(f"{folder}: found no manifest.csv, expected one")
    table = read_table(manifest, CorpusError)
    needed = [column for column in COLUMNS if column != "duration_s"]
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise CorpusError(f"{manifest}: columns {list(table.columns)}, expected also {missing}")
    for where, row in table.rows:
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
