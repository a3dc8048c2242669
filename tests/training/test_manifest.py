from pathlib import Path

import pytest

from model.labels import Emotion, Style
from training.manifest import ManifestError, Utterance, read_corpora, read_manifest

HEADER = "path,corpus,style,language,speaker,emotion,duration_s,votes"
GOOD = "a.flac,stage,acted,de,stage_01,anger,1.250,3"


def manifest(folder: Path, *lines: str, header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("a.flac", "b.flac"):
        (folder / name).touch()
    path = folder / "manifest.csv"
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ManifestError) as refused:
        read_manifest(path)
    return str(refused.value)


def test_utterances_come_in_the_manifest_s_order(tmp_path: Path) -> None:
    second = "b.flac,stage,spontaneous,pl,stage_02,neutral,7.5,"
    found = read_manifest(manifest(tmp_path, second, GOOD))
    assert found == [
        Utterance(
            tmp_path / "b.flac",
            "stage",
            Style.SPONTANEOUS,
            "pl",
            "stage_02",
            Emotion.NEUTRAL,
            7.5,
        ),
        Utterance(tmp_path / "a.flac", "stage", Style.ACTED, "de", "stage_01", Emotion.ANGER, 1.25),
    ]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = manifest(tmp_path, header=HEADER.replace("speaker,", ""))
    assert "manifest.csv: columns ['path'," in refusal(path)
    assert "expected also ['speaker']" in refusal(path)


@pytest.mark.parametrize(
    ("was", "found", "message"),
    [
        ("acted", "staged", "'staged' is not a valid Style, expected a style of ['acted', "),
        ("anger", "fear", "'fear' is not a valid Emotion"),
        ("1.250", "long", "could not convert string to float: 'long'"),
        ("stage_01", "", "no speaker, expected one"),
        ("a.flac", "c.flac", "no recording"),
        (",3", "", "found fewer cells than columns, expected 8"),
        (",3", ",3,4", "found more cells than columns, expected 8"),
    ],
)
def test_a_bad_line_is_told_by_its_number(
    tmp_path: Path, was: str, found: str, message: str
) -> None:
    bad = "b.flac" + GOOD.removeprefix("a.flac") if was != "a.flac" else GOOD
    path = manifest(tmp_path, GOOD, bad.replace(was, found))
    assert refusal(path).startswith(f"{path}:3: ")
    assert message in refusal(path)


def test_a_recording_listed_twice_is_told(tmp_path: Path) -> None:
    path = manifest(tmp_path, GOOD, GOOD)
    assert refusal(path) == f"{path}:3: a.flac is listed twice"


def test_corpora_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    manifest(tmp_path / "street", GOOD.replace("stage", "street"))
    manifest(tmp_path / "stage", GOOD)
    (tmp_path / "notes").mkdir()
    assert [u.corpus for u in read_corpora(tmp_path)] == ["stage", "street"]


def test_a_folder_without_corpora_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found no CORPUS/manifest.csv, expected at least one"):
        read_corpora(tmp_path)
