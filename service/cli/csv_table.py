"""A CSV file to which a command appends a row as soon as it is known."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from service.cells import is_formula
from service.errors import KanjoError


class UnusableTable(KanjoError):
    """A file has other columns or can't be written, so that rows can't be appended to it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def file_cell(path: Path) -> str:
    """Returns a path of the same file as a cell that no spreadsheet takes for a formula."""
    return f"./{path}" if is_formula(str(path)) else str(path)


class CsvTable:
    """A table of fixed columns; rows that are in the file already stay.

    A last row that was not written whole is removed.

    Args:
        path: the file, new or with rows of the same columns.
        columns: their names, which are the first line.
        holds: what the rows are, for the error.

    Raises:
        UnusableTable: the file can't be written, or is another table.
    """

    def __init__(self, path: Path, columns: Sequence[str], holds: str) -> None:
        self._path = path
        self.rows: Iterable[Mapping[str, str | None]] = ()  # that were there before
        if path.exists() and not path.is_file():  # a device may have no end
            raise UnusableTable(path, "got something that is no regular file, expected a table")
        try:
            self._file = path.open("a+", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise UnusableTable(path, error.strerror or str(error)) from error
        try:
            self._take_over(",".join(columns) + "\n", holds)
        except BaseException:
            self._file.close()
            raise
        self._writer = csv.writer(self._file, lineterminator="\n")

    def _take_over(self, header: str, holds: str) -> None:
        self._file.seek(0)
        text = self._file.read()
        whole = text[: text.rfind("\n") + 1]
        if text and not whole.startswith(header):
            raise UnusableTable(
                self._path, f"got a file with something else in it, expected a new one or {holds}"
            )
        try:
            self.rows = list(csv.DictReader(io.StringIO(whole, newline="")))
        except csv.Error as error:
            raise UnusableTable(self._path, f"got no CSV: {error}") from error
        try:
            self._file.truncate(len(whole.encode("utf-8", "surrogateescape")))
            if not text:
                self._file.write(header)
                self._file.flush()
        except OSError as error:
            raise UnusableTable(self._path, error.strerror or str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError as error:  # what `add` could not write can't be written now either
            if failure is None:
                raise UnusableTable(self._path, error.strerror or str(error)) from error

    def add(self, cells: Iterable[object]) -> None:
        """Appends a row, and returns when the operating system has it.

        Raises:
            UnusableTable: it can't be written.
        """
        try:
            self._writer.writerow(cells)
            self._file.flush()
        except OSError as error:
            raise UnusableTable(self._path, error.strerror or str(error)) from error
