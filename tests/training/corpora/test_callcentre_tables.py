"""A call centre's table is read in its encoding, or refused with what to do."""

from pathlib import Path

import pytest

from training.corpora.callcentre import read
from training.corpora.source import CorpusError, LeftOut

TABLE = "recording,transcript,annotator_1\n,いつまで待たせるんですか é,angry\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "labels.csv").write_bytes(TABLE.encode(encoding))
    assert [type(one) for one in read(tmp_path)] == [LeftOut]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", TABLE.replace("é", "")),
        ("cp1252", "recording,transcript,annotator_1\na.wav,é,angry\n"),
        ("utf-16-le", "recording,annotator_1\na.wav,angry\n"),
    ],
)
def test_other_encodings_are_refused_with_a_remedy(
    tmp_path: Path, encoding: str, text: str
) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    with pytest.raises(CorpusError, match="labels.csv: .*expected .*UTF-8: save it as"):
        list(read(tmp_path))
