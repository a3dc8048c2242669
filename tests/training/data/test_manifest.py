from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import EMOTIONS, Emotion, Style
from training.data.manifest import (
    ALL_COLUMNS,
    ManifestError,
    Utterance,
    folders_of,
    read_corpora,
    read_manifest,
    read_votes,
    write_manifest,
    write_votes,
)

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


def test_utterances_are_in_the_manifest_s_order(tmp_path: Path) -> None:
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
def test_a_bad_line_is_named_by_its_number(
    tmp_path: Path, was: str, found: str, message: str
) -> None:
    bad = "b.flac" + GOOD.removeprefix("a.flac") if was != "a.flac" else GOOD
    path = manifest(tmp_path, GOOD, bad.replace(was, found))
    assert refusal(path).startswith(f"{path}:3: ")
    assert message in refusal(path)


def test_a_recording_listed_twice_is_refused(tmp_path: Path) -> None:
    path = manifest(tmp_path, GOOD, GOOD)
    assert refusal(path) == f"{path}:3: a.flac is listed twice"


def test_corpora_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    manifest(tmp_path / "street", GOOD.replace("stage", "street"))
    manifest(tmp_path / "stage", GOOD)
    (tmp_path / "notes").mkdir()
    assert [u.corpus for u in read_corpora(tmp_path)] == ["stage", "street"]


def test_a_folder_without_corpora_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="found no CORPUS/manifest.csv, expected at least one"):
        read_corpora(tmp_path)


def test_corpora_may_lie_in_several_folders(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    manifest(tmp_path / "first" / "street", GOOD.replace("stage", "street"))
    manifest(tmp_path / "second" / "stage", GOOD)
    folders = folders_of(f"{tmp_path / 'first'}:{tmp_path / 'second'}:")
    assert folders == [tmp_path / "first", tmp_path / "second"]
    assert [u.corpus for u in read_corpora(folders)] == ["stage", "street"]
    manifest(tmp_path / "second" / "street", GOOD)
    with pytest.raises(ManifestError) as refused:
        read_corpora(folders)
    assert str(refused.value) == (
        f"{tmp_path / 'second' / 'street' / 'manifest.csv'}: a corpus of this name is at "
        f"{tmp_path / 'first' / 'street' / 'manifest.csv'} too, expected one"
    )


def test_a_corpus_may_have_no_speakers_at_all(tmp_path: Path) -> None:
    second = "b.flac,stage,spontaneous,pl,,neutral,7.5,"
    found = read_manifest(manifest(tmp_path, GOOD.replace("stage_01", ""), second))
    assert [u.speaker for u in found] == ["", ""]
    path = manifest(tmp_path, second, GOOD)
    assert refusal(path).startswith(
        f"{path}:2: no speaker, expected one as on other lines: folds are"
    )


def test_session_recording_and_votes_are_read_if_present(tmp_path: Path) -> None:
    header = "path,corpus,style,language,speaker,session,recording,emotion,duration_s,votes"
    line = "a.flac,calls,spontaneous,ja,,Session2,calls/1.wav,anger,1.250,anger=3;neutral=1"
    (found,) = read_manifest(manifest(tmp_path, line, header=header))
    assert (found.session, found.recording) == ("Session2", "calls/1.wav")
    assert found.soft == (0.75, 0.0, 0.0, 0.25)


def test_a_written_manifest_is_read_again(tmp_path: Path) -> None:
    manifest(tmp_path)
    row = dict.fromkeys(ALL_COLUMNS, "") | {
        "path": "a.flac",
        "corpus": "calls",
        "style": "spontaneous",
        "language": "ja",
        "recording": 'a "loud", long call.wav',
        "emotion": "sadness",
        "duration_s": "1.5",
        "votes": "sadness=2;neutral=1",
    }
    write_manifest(tmp_path / "manifest.csv", [row])
    (found,) = read_manifest(tmp_path / "manifest.csv")
    assert found.recording == 'a "loud", long call.wav'
    assert found.soft == pytest.approx((0, 0, 2 / 3, 1 / 3))
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize(
    ("text", "soft"),
    [
        ("recognised=90.00%;natural=75.00%", (0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3)),
        ("recognised=100.00%", (0, 1, 0, 0)),
        ("happiness=2;anger=1", (1 / 3, 2 / 3, 0, 0)),
        ("happiness=2;disgust=1", (0, 1, 0, 0)),
        ("disgust=3", None),
        ("natural=75.00%", None),
        ("recognised=190%", None),
        ("happiness=0", None),
        ("happiness", None),
        ("3", None),
        ("", None),
    ],
)
def test_votes_become_shares_of_the_four(text: str, soft: tuple[float, ...] | None) -> None:
    found = read_votes(text, Emotion.HAPPINESS)
    assert (found is None) == (soft is None)
    if soft is not None:
        assert found == pytest.approx(soft)


@given(st.dictionaries(st.sampled_from([*EMOTIONS, "disgust"]), st.integers(1, 9)))
def test_written_votes_are_read_in_proportion(votes: dict[str, int]) -> None:
    ours = sum(votes.get(e, 0) for e in EMOTIONS)
    found = read_votes(write_votes(votes), Emotion.ANGER)
    if ours:
        assert found == pytest.approx([votes.get(e, 0) / ours for e in EMOTIONS])
    else:
        assert found is None


def test_a_voice_is_the_speaker_else_the_call_else_the_utterance() -> None:
    def voice(speaker: str, recording: str) -> str:
        return Utterance(
            Path("a.flac"), "c", Style.ACTED, "xx", speaker, Emotion.ANGER, 1.0, "", recording
        ).voice

    assert (voice("s", "r"), voice("", "r"), voice("", "")) == ("s", "r", "a.flac")
