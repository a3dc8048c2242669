"""Tables and lists in the encodings in which people save them, at every reader of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.corpora import callcentre, prepared
from training.corpora.cleaning import read_backchannels
from training.corpora.source import CorpusError
from training.data.manifest import ALL_COLUMNS, ManifestError, read_manifest

JAPANESE = "いつまで待たせるんですか"
GERMAN = "Wie lange noch? Unmöglich für Müller"


def callcentre_table(folder: Path, data: Callable[[str], bytes], word: str) -> Any:
    text = f"recording,transcript,annotator_1\na.wav,{word},angry\n"
    (folder / "labels.csv").write_bytes(data(text))
    return [source.transcript for source in callcentre.read(folder)]  # type: ignore[union-attr]


def manifest_text(word: str) -> str:
    cells = dict.fromkeys(ALL_COLUMNS, "") | {
        "path": "a.wav", "corpus": "c", "style": "acted", "language": "ja", "speaker": word,
        "emotion": "anger", "duration_s": "1.0",
    }  # fmt: skip
    return ",".join(ALL_COLUMNS) + "\n" + ",".join(cells.values()) + "\n"


def prepared_table(folder: Path, data: Callable[[str], bytes], word: str) -> Any:
    (folder / "manifest.csv").write_bytes(data(manifest_text(word)))
    return [source.speaker for source in prepared.read(folder)]  # type: ignore[union-attr]


def training_manifest(folder: Path, data: Callable[[str], bytes], word: str) -> Any:
    (folder / "a.wav").touch()
    (folder / "manifest.csv").write_bytes(data(manifest_text(word)))
    return [utterance.speaker for utterance in read_manifest(folder / "manifest.csv")]


def backchannel_list(folder: Path, data: Callable[[str], bytes], word: str) -> Any:
    (folder / "words.txt").write_bytes(data(f"{word}\n"))
    return list(read_backchannels(folder / "words.txt"))


READERS = [callcentre_table, prepared_table, training_manifest, backchannel_list]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be with a mark"])
def test_utf_8_and_marked_utf_16_are_read(
    read: Callable[..., Any], encoding: str, tmp_path: Path
) -> None:
    def data(text: str) -> bytes:
        if encoding == "utf-16-be with a mark":
            return b"\xfe\xff" + text.encode("utf-16-be")
        return text.encode(encoding)

    assert read(tmp_path, data, JAPANESE) == [JAPANESE]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("encoding", "word", "named"),
    [
        ("cp932", JAPANESE, "it looks like cp932, expected UTF-8: save it as UTF-8"),
        ("cp932", JAPANESE, "iconv -f CP932 -t UTF-8"),
        ("cp1252", GERMAN, "it looks like cp1252, expected UTF-8: save it as UTF-8"),
        ("utf-16-le", JAPANESE, "UTF-8"),
        ("utf-16-le", GERMAN, "UTF-"),
    ],
)
def test_another_encoding_is_refused_with_file_encoding_and_remedy(
    read: Callable[..., Any], encoding: str, word: str, named: str, tmp_path: Path
) -> None:
    with pytest.raises((CorpusError, ManifestError)) as refused:
        read(tmp_path, lambda text: text.encode(encoding), word)
    assert str(refused.value).startswith(str(tmp_path))
    assert named in str(refused.value)
    assert "save it as UTF-8" in str(refused.value)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("data", [b"PK\x03\x04\x14\0", b"\x89PNG\r\n\x1a\n\0\0\0", b"", b"\0" * 9])
def test_what_is_no_table_is_refused_by_its_name(
    read: Callable[..., Any], data: bytes, tmp_path: Path
) -> None:
    with pytest.raises((CorpusError, ManifestError), match=f"^{tmp_path}"):
        read(tmp_path, lambda _: data, "")


def test_a_cell_without_an_end_is_refused(tmp_path: Path) -> None:
    text = 'recording,transcript,annotator_1\na.wav,"' + "never closed " * 20_000
    with pytest.raises(CorpusError, match="labels.csv:.*field larger than field limit"):
        callcentre_table(tmp_path, lambda _: text.encode(), "")
