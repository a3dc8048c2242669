"""The table that `kanjo classify --csv` writes: a row for each recording."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.labels import EMOTIONS, STYLES
from service.cells import text_cell
from service.cli.csv_table import CsvTable, file_cell

if TYPE_CHECKING:
    from service.classification import Classification

KEY = ("file", "channel", "model", "version")
COLUMNS = (*KEY, "emotion", *EMOTIONS, *STYLES, "duration_s", "speech_s")


class AnswersCsv(CsvTable):
    """A table of answers.

    Rows of an earlier command stay, and `has` finds them, so that an interrupted command goes on
    where it was.

    Raises:
        UnusableTable: the file can't be written, or is another table.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, COLUMNS, "answers")
        self._keys: set[tuple[str, ...]] = set()  # the key of each row
        self._any_model: set[tuple[str, ...]] = set()  # the same without the model
        for row in self.rows:
            self._remember(tuple(row[name] or "" for name in KEY))

    def has(self, file: Path, channel: str | None, model: tuple[str, str] | None) -> bool:
        """Returns whether there is an answer about this channel of a file, None: the caller's.

        Args:
            model: name and version of the model, None for any.
        """
        if model is None:
            return (file_cell(file), channel or "caller") in self._any_model
        return _key(file, channel, *model) in self._keys

    def add_answer(self, file: Path, channel: str | None, answer: "Classification") -> None:
        """Appends an answer, and returns when the operating system has it.

        Raises:
            UnusableTable: it can't be written.
        """
        key = _key(file, channel, answer.model.name, answer.model.version)
        emotions, styles = answer.probabilities or {}, answer.style or {}
        cells: list[object] = [*key, answer.emotion or ""]
        for share in (*map(emotions.get, EMOTIONS), *map(styles.get, STYLES)):
            cells.append("" if share is None else f"{share:.4f}")
        cells += [f"{answer.duration_s:.2f}", f"{answer.speech_s:.2f}"]
        self.add(cells)
        self._remember(key)

    def _remember(self, key: tuple[str, ...]) -> None:
        self._keys.add(key)
        self._any_model.add(key[:2])


def _key(file: Path, channel: str | None, model: str, version: str) -> tuple[str, ...]:
    return file_cell(file), channel or "caller", text_cell(model), text_cell(version)
