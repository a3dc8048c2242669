from collections import Counter
from pathlib import Path

import pytest

from model.labels import Emotion, Style
from tests.training.corpora.shapes import iemocap_folder
from training.corpora import iemocap
from training.corpora.preparation import prepare
from training.corpora.source import CorpusError, LeftOut, Reason, Source
from training.data.splits import speaker_split


def test_a_line_is_read_with_its_annotators(tmp_path: Path) -> None:
    root = iemocap_folder(tmp_path, sessions=1)
    sources = {s.path.stem: s for s in iemocap.read(tmp_path) if isinstance(s, Source)}
    name = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    assert sources["Ses01F_impro01_F000"] == Source(
        path=root / name,
        name=name,
        style=Style.ACTED,
        language="en",
        speaker="iemocap_Ses01F",
        emotion="neutral",
        original_emotion="neu",
        session="Session1",
        recording="Ses01F_impro01",
        votes={"neutral": 3, "frustration": 1},  # the actress' own label does not count
    )


def test_excitement_is_happiness_in_labels_and_in_votes(tmp_path: Path) -> None:
    iemocap_folder(tmp_path, sessions=1)
    sources = {s.path.stem: s for s in iemocap.read(tmp_path) if isinstance(s, Source)}
    excited = sources["Ses01F_impro01_M000"]
    assert (excited.emotion, excited.original_emotion) == ("happiness", "exc")
    assert excited.votes == {"happiness": 3}
    assert sources["Ses01F_impro01_M001"].votes == {"happiness": 2, "neutral": 1}


def test_the_speaker_is_the_utterance_s_not_the_dialog_s(tmp_path: Path) -> None:
    iemocap_folder(tmp_path, sessions=2)
    speakers = {s.path.stem: s.speaker for s in iemocap.read(tmp_path) if isinstance(s, Source)}
    assert speakers["Ses01F_impro01_M000"] == "iemocap_Ses01M"
    assert speakers["Ses02M_impro01_F000"] == "iemocap_Ses02F"
    assert len(set(speakers.values())) == 4


@pytest.mark.parametrize("below", ["", "IEMOCAP_full_release"])
def test_the_release_or_the_folder_it_lies_in_is_given(tmp_path: Path, below: str) -> None:
    iemocap_folder(tmp_path, sessions=1)
    assert sum(isinstance(found, Source) for found in iemocap.read(tmp_path / below)) == 12


def test_no_majority_no_label_and_no_recording_are_named(tmp_path: Path) -> None:
    wav = iemocap_folder(tmp_path / "in", sessions=1) / "Session1/sentences/wav/Ses01F_impro01"
    (wav / "Ses01F_impro01_F001.wav").rename(wav / "Ses01F_impro01_FXX0.wav")
    report = prepare("iemocap", tmp_path / "in", tmp_path / "out")
    below = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_"
    assert [one for one in report.left_out if "Ses01F_" in one.title.rsplit("/")[-1]] == [
        LeftOut(f"{below}M003.wav", Reason.DISAGREEMENT, "anger=1;frustration=1;neutral=1"),
        LeftOut(
            f"{below}FXX0.wav", Reason.UNLABELLED, "expected a line in its dialog's EmoEvaluation"
        ),
        LeftOut(f"{below}M002.wav", Reason.OTHER_EMOTION, "fru"),
        LeftOut(f"{below}F001.wav", Reason.UNREADABLE, "no such file"),
    ]


def test_a_number_other_than_the_paper_s_is_a_warning(tmp_path: Path) -> None:
    iemocap_folder(tmp_path / "in")
    report = prepare("iemocap", tmp_path / "in", tmp_path / "out")
    counts = "anger 10 of 1103, happiness 20 of 1636, sadness 10 of 1084, neutral 10 of 1708"
    assert report.warnings == (f"50 of 5531 utterances: {counts}",)
    assert f"warning: {report.warnings[0]}" in report.text()


def test_the_paper_s_number_is_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iemocap_folder(tmp_path / "in", sessions=1)
    counts = {Emotion.ANGER: 2, Emotion.HAPPINESS: 4, Emotion.SADNESS: 2, Emotion.NEUTRAL: 2}
    monkeypatch.setattr(iemocap, "EXPECTED", counts)
    assert prepare("iemocap", tmp_path / "in", tmp_path / "out").warnings == ()


def test_a_session_is_a_fold(tmp_path: Path) -> None:
    iemocap_folder(tmp_path / "in")
    utterances = prepare("iemocap", tmp_path / "in", tmp_path / "out").utterances
    for fold in range(5):
        split = speaker_split(utterances, fold, 5, seed=fold)
        assert {u.session for u in split.test} == {f"Session{fold + 1}"}
        assert {u.session for u in split.valid} == {f"Session{(fold + 1) % 5 + 1}"}
        assert len({u.session for u in split.train}) == 3
        assert Counter(u.speaker for u in split.test) == {
            f"iemocap_Ses0{fold + 1}F": 6,
            f"iemocap_Ses0{fold + 1}M": 4,
        }


def test_a_folder_without_sessions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="found no labels, expected Session1/dialog/EmoEvaluat"):
        list(iemocap.read(tmp_path))


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    root = iemocap_folder(tmp_path, sessions=1)
    evaluation = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    evaluation.write_text(evaluation.read_text().replace("\tfru\t", "\tjoy\t"))
    with pytest.raises(CorpusError, match=r"Ses01F_impro01_M002 'joy', expected one of \['ang', "):
        list(iemocap.read(tmp_path))
