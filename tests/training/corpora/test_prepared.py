import csv
import os
from pathlib import Path

import pytest
import soundfile

from model.labels import Emotion
from training.corpora import prepared
from training.corpora.preparation import prepare
from training.corpora.source import CorpusError, LeftOut, Reason
from training.data.manifest import folders_of, manifests_in, read_manifest

HEADER = "path,corpus,style,language,speaker,session,emotion,original_emotion,votes"
LINE = "a.flac,stage,acted,de,stage_01,1,anger,W,recognised=90.00%"


def manifest(folder: Path, *lines: str, header: str = HEADER) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.csv").write_text("\n".join((header, *lines)) + "\n")
    return folder


def test_all_columns_of_a_manifest_are_kept(corpora: Path, tmp_path: Path) -> None:
    before = read_manifest(corpora / "stage" / "manifest.csv")
    report = prepare("prepared", corpora / "stage", tmp_path)
    assert report.left_out == ()
    assert report.corpus == "stage"
    assert [(u.speaker, u.emotion, u.style, u.language) for u in report.utterances] == [
        (u.speaker, u.emotion, u.style, u.language) for u in before
    ]
    assert {soundfile.info(u.path).samplerate for u in before} == {16000}
    assert {soundfile.info(u.path).samplerate for u in report.utterances} == {8000}


def test_session_and_votes_are_kept(tmp_path: Path) -> None:
    folder = manifest(tmp_path / "in", LINE)
    soundfile.write(folder / "a.flac", [0.1] * 800, 8000)
    (utterance,) = prepare("prepared", folder, tmp_path / "out").utterances
    assert (utterance.session, utterance.emotion) == ("1", Emotion.ANGER)
    assert utterance.soft == pytest.approx((0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3))


def test_other_emotions_no_emotion_and_no_file_are_left_out(tmp_path: Path) -> None:
    lines = (
        LINE,
        "b.flac,stage,acted,de,stage_01,1,fear,A,",
        "c.flac,stage,acted,de,stage_01,1,,,",
        "d.flac,stage,acted,de,stage_01,1,sadness,T,",
    )
    folder = manifest(tmp_path / "in", *lines)
    soundfile.write(folder / "a.flac", [0.1] * 800, 8000)
    assert prepare("prepared", folder, tmp_path / "out").left_out == (
        LeftOut("b.flac", Reason.OTHER_EMOTION, "A"),
        LeftOut("c.flac", Reason.UNLABELLED),
        LeftOut("d.flac", Reason.UNREADABLE, "no such file"),
    )


@pytest.mark.parametrize(
    ("was", "found", "message"),
    [
        ("acted", "staged", "manifest.csv:2: 'staged' is not a valid Style, expected one of"),
        ("a.flac", "../a.flac", "manifest.csv:2: ../a.flac, expected a path below"),
        (",W,", ",", "manifest.csv:2: found fewer cells than columns, expected 9 cells"),
    ],
)
def test_a_bad_line_is_named_by_its_number(
    tmp_path: Path, was: str, found: str, message: str
) -> None:
    folder = manifest(tmp_path / "in", LINE.replace(was, found))
    with pytest.raises(CorpusError) as refused:
        list(prepared.read(folder))
    assert message in str(refused.value)


def test_a_missing_column_or_manifest_is_refused(tmp_path: Path) -> None:
    folder = manifest(tmp_path / "in", header=HEADER.replace("speaker,", ""))
    with pytest.raises(CorpusError, match=r"expected also \['speaker'\]"):
        list(prepared.read(folder))
    with pytest.raises(CorpusError, match="found no manifest.csv, expected one"):
        list(prepared.read(tmp_path))


@pytest.mark.corpora
def test_the_first_utterances_of_every_real_corpus_are_prepared(tmp_path: Path) -> None:
    for folder in (path.parent for path in manifests_in(folders_of(os.environ["KANJO_CORPORA"]))):
        part = tmp_path / "in" / folder.name
        part.mkdir(parents=True)
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[:8]
        for row in rows:
            (part / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (part / row["path"]).symlink_to(folder / row["path"])
        with (part / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        report = prepare("prepared", part, tmp_path / "out")
        assert len(report.utterances) + len(report.left_out) == len(rows)
        assert {one.reason for one in report.left_out} <= {Reason.DUPLICATE}
        for utterance, row in zip(report.utterances, rows, strict=False):
            assert (utterance.speaker, utterance.emotion) == (row["speaker"], row["emotion"])
