import re
from pathlib import Path

import pytest

from model.labels import Style
from tests.training.corpora.shapes import named_folder
from training.corpora.source import (
    CorpusError,
    LeftOut,
    Reason,
    Source,
    below,
    by_name,
    emotion_word,
    recordings,
)

NAME = re.compile(r"(?P<speaker>\d)(?P<emotion>[AN])")


def found(folder: Path) -> list[Source | LeftOut]:
    emotions = {"a": "anger", "n": "neutral"}
    return list(by_name("stage", folder, NAME, emotions, Style.ACTED, "xx", "wav/1A.wav"))


def test_names_are_read_below_any_folder_and_in_any_case(tmp_path: Path) -> None:
    named_folder(tmp_path, ["1A.wav", "wav/2n.WAV"])
    assert found(tmp_path) == [
        Source(
            path=tmp_path / "1A.wav",
            name="1A.wav",
            style=Style.ACTED,
            language="xx",
            speaker="stage_1",
            emotion="anger",
            original_emotion="anger (A)",
            channel=0,
        ),
        Source(
            path=tmp_path / "wav" / "2n.WAV",
            name="wav/2n.WAV",
            style=Style.ACTED,
            language="xx",
            speaker="stage_2",
            emotion="neutral",
            original_emotion="neutral (n)",
            channel=0,
        ),
    ]


@pytest.mark.parametrize("name", ["11A.wav", "1A2.wav", "x1A.wav", "1B.wav"])
def test_a_name_that_does_not_match_is_left_out(tmp_path: Path, name: str) -> None:
    named_folder(tmp_path, [name])
    detail = "expected a name like wav/1A.wav"
    assert found(tmp_path) == [LeftOut(name, Reason.UNLABELLED, detail)]


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1A.txt").touch()
    with pytest.raises(CorpusError, match="found no recordings, expected some like wav/1A.wav"):
        found(tmp_path)


def test_resource_forks_and_other_files_are_skipped(tmp_path: Path) -> None:
    named_folder(tmp_path, ["b/2.flac", "a/1.wav"])
    (tmp_path / "a" / "._1.wav").write_bytes(b"\0\5\x16\7")
    (tmp_path / "a" / "1.txt").touch()
    (tmp_path / "folder.wav").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in recordings(tmp_path)]
    assert names == ["a/1.wav", "b/2.flac"]


def test_a_cut_has_a_name_of_its_own() -> None:
    whole = Source(Path("/c/a.b.wav"), "calls/a.b.wav", Style.SPONTANEOUS, "ja", "")
    cut = Source(
        Path("/c/a.b.wav"),
        "calls/a.b.wav",
        Style.SPONTANEOUS,
        "ja",
        "",
        start_s=12.0,
        end_s=13.5,
        channel=1,
    )
    assert (whole.title, whole.flac.as_posix()) == ("calls/a.b.wav", "calls/a.b.flac")
    assert cut.title == "calls/a.b.wav 12.000-13.500 s, channel 1"
    assert cut.flac.as_posix() == "calls/a.b-0012000-0013500-c1.flac"


@pytest.mark.parametrize(
    ("text", "word"),
    [(" Angry ", "anger"), ("Neutral  state", "neutral"), ("sadness", "sadness"), ("Fear", "fear")],
)
def test_annotators_words_become_names_of_emotions(text: str, word: str) -> None:
    assert emotion_word(text) == word


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("calls/a.wav", "calls/a.wav"),
        (" a.wav", "a.wav"),
        ("calls/../..a.wav", "..a.wav"),
        ("link/a.wav", "link/a.wav"),
        ("", None),
        (".", None),
        ("..", None),
        ("../a.wav", None),
        ("calls/../../a.wav", None),
        ("/a.wav", None),
    ],
)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_name_in_a_table_may_not_lead_out_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inside: str | None, absolute: bool
) -> None:
    (tmp_path / "link").symlink_to("/")
    monkeypatch.chdir(tmp_path)
    assert below(tmp_path if absolute else Path(), name) == inside
