"""Reads a call centre's own recordings, labelled in a table (paper section 3.2).

    recording,start,end,transcript,annotator_1,annotator_2,annotator_3
    calls/0001.wav,12.40,15.02,"いつまで待たせるんですか",angry,angry,disgust

Every column whose name begins with `annotator` is one annotator. Optional columns: `start`, `end`
(seconds; without them the whole recording is one utterance), `transcript`, `speaker`, `channel`
(0 or 1, in stereo recordings) and `language` (a BCP 47 tag).
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.labels import Style
from training.corpora.source import CorpusError, Found, LeftOut, Reason, Source, below, emotion_word
from training.data.tables import read_table

EMOTIONS = ("anger", "happiness", "disgust", "sadness", "neutral")
UNKNOWN_LANGUAGE = "und"


def read(folder: Path, labels: Path | None = None) -> Iterator[Found]:
    """Yields the rows of `labels`, or of the only table in the folder of the recordings.

    Raises:
        CorpusError: there is no table or more than one, it can't be read, a column is missing, a
            cell is invalid.
    """
    table = labels or _only_table(folder)
    found = read_table(table, CorpusError)
    annotators = [column for column in found.columns if column.startswith("annotator")]
    if "recording" not in found.columns or not annotators:
        expected = "recording, start, end, transcript, annotator_1, annotator_2..."
        raise CorpusError(f"{table}: columns {list(found.columns)}, expected {expected}")
    for where, row in found.rows:
        yield _utterance(row, annotators, folder, where)


def _only_table(folder: Path) -> Path:
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        found = [table.name for table in tables]
        raise CorpusError(
            f"{folder}: found the tables {found}, expected one, or the option --labels"
        )
    return tables[0]


def _utterance(
    row: Mapping[str, str], annotators: list[str], folder: Path, where: str
) -> Source | LeftOut:
    name = below(folder, row["recording"])
    if name is None:
        return LeftOut(
            row["recording"] or where, Reason.UNREADABLE, f"expected a recording in {folder}"
        )
    start_s, end_s = _seconds(row, "start", where), _seconds(row, "end", where)
    if (start_s is None) != (end_s is None):
        raise CorpusError(f"{where}: start {start_s}, end {end_s}, expected both or neither")
    channel = row.get("channel", "").strip()
    if channel not in ("", "0", "1"):
        raise CorpusError(f"{where}: channel {channel!r}, expected 0, 1 or nothing")
    votes = Counter[str]()
    for annotator in annotators:
        if word := emotion_word(row[annotator]):
            if word not in EMOTIONS:
                expected = f"expected one of {', '.join(EMOTIONS)}"
                raise CorpusError(f"{where}: {annotator} {row[annotator]!r}, {expected}")
            votes[word] += 1
    return Source(
        path=folder / name,
        name=name,
        style=Style.SPONTANEOUS,
        language=row.get("language", "").strip() or UNKNOWN_LANGUAGE,
        speaker=row.get("speaker", "").strip(),
        recording=name,
        start_s=start_s,
        end_s=end_s,
        channel=int(channel) if channel else None,
        votes=votes,
        transcript=row.get("transcript", ""),
    )


def _seconds(row: Mapping[str, str], column: str, where: str) -> float | None:
    cell = row.get(column, "").strip()
    if not cell:
        return None
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise CorpusError(f"{where}: {column} {cell!r}, expected seconds")
    return seconds
