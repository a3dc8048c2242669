"""The table that `kanjo classify --csv` writes: a row for each recording."""

import csv
import io
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from model.labels import EMOTIONS, STYLES
from service.errors import KanjoError

if TYPE_CHECKING:
    from service.classification import Classification

KEY = ("file", "channel", "model", "version")
COLUMNS = (*KEY, "emotion", *EMOTIONS, *STYLES, "duration_s", "speech_s")


class UnusableTable(KanjoError):
    """A file can't take the answers."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class AnswersCsv:
    """A CSV file to which each answer is appended as soon as it is known.

    Rows of an earlier command stay, and `has` knows them, so that an interrupted command goes on
    where it was. A last row that was not written whole is removed.

    Raises:
        UnusableTable: the file can't be written, or is another table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: set[tuple[str, ...]] = set()  # the key of each
        self._any_model: set[tuple[str, ...]] = set()  # the same without the model
        if path.exists() and not path.is_file():  # a device may have no end
            raise UnusableTable(path, "got something that is no regular file, expected a table")
        try:
            self._file = path.open("a+", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise UnusableTable(path, error.strerror or str(error)) from error
        try:
            self._take_over()
        except BaseException:
            self._file.close()
            raise
        self._writer = csv.writer(self._file, lineterminator="\n")

    def _take_over(self) -> None:
        self._file.seek(0)
        text = self._file.read()
        whole = text[: text.rfind("\n") + 1]
        header = ",".join(COLUMNS) + "\n"
        if text and not whole.startswith(header):
            raise UnusableTable(
                self._path, "got a file with something else in it, expected a new one or answers"
            )
        try:
            rows = list(csv.DictReader(io.StringIO(whole, newline="")))
        except csv.Error as error:
            raise UnusableTable(self._path, f"got no CSV: {error}") from error
        for row in rows:
            self._remember(tuple(row[name] or "" for name in KEY))
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

    def has(self, file: Path, channel: str | None, model: tuple[str, str] | None) -> bool:
        """Returns whether there is an answer about this channel of a file, None: the caller's.

        Args:
            model: name and version of the model, None for any.
        """
        key = (str(file), channel or "caller")
        return key in self._any_model if model is None else (*key, *model) in self._rows

    def add(self, file: Path, channel: str | None, answer: "Classification") -> None:
        """Appends an answer, and returns when the operating system has it.

        Raises:
            UnusableTable: it can't be written.
        """
        key = (str(file), channel or "caller", answer.model.name, answer.model.version)
        emotions, styles = answer.probabilities or {}, answer.style or {}
        cells: list[object] = [*key, answer.emotion or ""]
        for share in (*map(emotions.get, EMOTIONS), *map(styles.get, STYLES)):
            cells.append("" if share is None else f"{share:.4f}")
        cells += [f"{answer.duration_s:.2f}", f"{answer.speech_s:.2f}"]
        try:
            self._writer.writerow(cells)
            self._file.flush()
        except OSError as error:
            raise UnusableTable(self._path, error.strerror or str(error)) from error
        self._remember(key)

    def _remember(self, key: tuple[str, ...]) -> None:
        self._rows.add(key)
        self._any_model.add(key[:2])
