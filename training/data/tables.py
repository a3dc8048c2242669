"""Reads tables (CSV) and lists as people save them, or names the encoding that they are in."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KANA = re.compile("[\u3040-\u30ff]")  # hardly any Japanese text is without them
REMEDY = "save it as UTF-8 (of a spreadsheet: 'CSV UTF-8')"
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class Table:
    """The header of a table and an iterator over its rows."""

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[tuple[str, dict[str, str]]]  # where (`labels.csv:12`), and cells by column


def read_text(path: Path, error: type[Exception]) -> str:
    """Returns a file's text: UTF-8, with a byte order mark or without, or UTF-16 with one.

    Args:
        error: what is raised if the file can't be read or is in another encoding; its message names
            file, encoding and remedy.
    """
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise error(f"{path}: {failure.strerror or failure}") from failure
    if data.startswith(b"PK\x03\x04"):
        raise error(f"{path}: found a spreadsheet or an archive, expected text: {REMEDY}")
    encoding = next((MARKS[mark] for mark in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as failure:
        raise error(
            f"{path}: byte {failure.start} is not {encoding.removesuffix('-sig').upper()}; "
            f"{_looks_like(data)}"
        ) from failure
    if "\0" in text:
        raise error(
            f"{path}: found zero bytes, as in UTF-16 without a mark, expected UTF-8: {REMEDY}"
        )
    return text


def _looks_like(data: bytes) -> str:
    """Returns in what encoding a text seems to be, and how to bring it to UTF-8."""
    for encoding in ("cp932", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252" or KANA.search(text):
            convert = f"iconv -f {encoding.upper()} -t UTF-8"
            return f"it looks like {encoding}, expected UTF-8: {REMEDY}, or convert it: {convert}"
    return f"its encoding is not known, expected UTF-8: {REMEDY}"


def read_table(path: Path, error: type[Exception]) -> Table:
    """Returns a table; every row has as many cells as there are columns.

    Args:
        error: what is raised, now or by an iteration over the rows, if the file can't be read, is
            in another encoding or is no CSV.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, error), newline=""))
    try:
        columns = tuple(reader.fieldnames or ())
    except csv.Error as failure:
        raise error(f"{path}: {failure}, expected a table (CSV)") from failure
    return Table(path, columns, _rows(path, reader, len(columns), error))


def _rows(
    path: Path, reader: "csv.DictReader[str]", columns: int, error: type[Exception]
) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        for row in reader:
            where = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                amount = "more" if None in row else "fewer"
                raise error(f"{where}: found {amount} cells than columns, expected {columns} cells")
            yield where, row
    except csv.Error as failure:
        raise error(f"{path}:{reader.line_num}: {failure}, expected a table (CSV)") from failure
