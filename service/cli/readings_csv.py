"""The table that `kanjo replay --csv` writes: a row for each reading that a call received."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.labels import EMOTIONS
from service.cells import text_cell
from service.cli.csv_table import CsvTable, file_cell

if TYPE_CHECKING:
    from service.telephony.shared.client import ReadingReceived

COLUMNS = ("file", "call_id", "track", "start_s", "end_s", *EMOTIONS)


class ReadingsCsv(CsvTable):
    """A table of readings; those of earlier replays stay, and call ids tell the replays apart.

    Raises:
        UnusableTable: the file can't be written, or is another table.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, COLUMNS, "readings")

    def add_reading(self, file: Path, reading: "ReadingReceived") -> None:
        """Appends a reading of a recording, and returns when the operating system has it.

        Raises:
            UnusableTable: it can't be written.
        """
        cells = [file_cell(file), text_cell(reading.call_id), text_cell(reading.track)]
        cells += [f"{reading.start_s:.2f}", f"{reading.end_s:.2f}"]
        self.add([*cells, *(f"{reading.probabilities[emotion]:.4f}" for emotion in EMOTIONS)])
