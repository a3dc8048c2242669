import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import quantised
from model.labels import EMOTIONS, Style
from tests.training.corpora.shapes import CALLS, callcentre_folder, record, write_table
from training.corpora import callcentre
from training.corpora.preparation import prepare
from training.corpora.source import CorpusError, LeftOut, Reason, Source
from training.data.splits import speaker_split

Row = dict[str, object]


def change_rows(folder: Path, how: Callable[[Row], Row]) -> None:
    """Replaces every row of the table."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [how(dict(row)) for row in csv.DictReader(file)]
    write_table(folder / "labels.csv", rows)


def test_a_row_is_a_stretch_of_a_recording_with_its_votes(tmp_path: Path) -> None:
    callcentre_folder(tmp_path, calls=1)
    first = next(iter(callcentre.read(tmp_path)))
    assert first == Source(
        path=tmp_path / "calls" / "0000.wav",
        name="calls/0000.wav",
        style=Style.SPONTANEOUS,
        language="und",
        speaker="",
        recording="calls/0000.wav",
        start_s=0.0,
        end_s=0.5,
        votes={"anger": 2, "disgust": 1},
        transcript="いつまで待たせるんですか",
    )


def test_what_the_paper_drops_is_left_out_and_named(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    report = prepare("callcentre", folder, tmp_path / "out")
    assert [u.emotion for u in report.utterances] == list(EMOTIONS)
    assert report.left_out == (
        LeftOut("calls/0000.wav 2.000-2.500 s", Reason.BACKCHANNEL, "はい、はい。"),
        LeftOut("calls/0000.wav 2.500-3.000 s", Reason.DISAGREEMENT, "anger=1;neutral=1;sadness=1"),
        LeftOut("calls/0000.wav 3.000-3.500 s", Reason.OTHER_EMOTION, "disgust"),
    )


def test_the_annotators_votes_are_kept(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    soft = [u.soft for u in prepare("callcentre", folder, tmp_path / "out").utterances]
    assert soft[2] == pytest.approx((0, 0, 2 / 3, 1 / 3))  # sad, sad, neutral
    assert soft[3] == pytest.approx((0, 0, 0, 1))


def test_utterances_are_cut_out_of_the_recording(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    report = prepare("callcentre", folder, tmp_path / "out")
    whole, _ = soundfile.read(folder / "calls" / "0000.wav", dtype="float32")
    second, rate = soundfile.read(report.utterances[1].path, dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(second, quantised(whole[4000:8000]))


def test_no_recording_is_in_two_parts_and_the_split_says_that_speakers_may_be(
    tmp_path: Path,
) -> None:
    folder = callcentre_folder(tmp_path / "in")
    utterances = prepare("callcentre", folder, tmp_path / "out").utterances
    for fold in range(5):
        split = speaker_split(utterances, fold, 5, seed=0)
        parts = [{u.recording for u in part} for part in (split.train, split.valid, split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == CALLS
        assert split.without_speakers == ("callcentre",)


def test_neutral_utterances_are_drawn_with_a_seed(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in")
    drawn = []
    for seed in (0, 0, 1):
        report = prepare("callcentre", folder, tmp_path / "out", neutral=3, seed=seed)
        drawn.append([u.path.name for u in report.utterances if u.emotion == "neutral"])
        assert report.reasons[Reason.NOT_DRAWN] == CALLS - 3
    assert len(drawn[0]) == 3
    assert drawn[0] == drawn[1] != drawn[2]


def test_of_a_stereo_recording_the_named_channel_is_used(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1, channels=2)
    report = prepare("callcentre", folder, tmp_path / "out")
    whole, _ = soundfile.read(folder / "calls" / "0000.wav", dtype="float32")
    first, _ = soundfile.read(report.utterances[0].path, dtype="int16")
    np.testing.assert_array_equal(first, quantised(whole[:4000, 1]))


def test_a_stereo_recording_without_a_channel_is_refused(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=2)
    record(folder / "calls" / "0000.wav", channels=2, seconds=3.5, rate=8000)
    report = prepare("callcentre", folder, tmp_path / "out")
    refused = [one for one in report.left_out if one.reason == Reason.CHANNEL]
    assert len(refused) == 4
    assert refused[0] == LeftOut(
        "calls/0000.wav 0.000-0.500 s",
        Reason.CHANNEL,
        "2 channels, expected one or a channel number",
    )


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=2, channels=2)
    record(folder / "calls" / "0000.wav", channels=1, seconds=3.5, rate=8000)
    report = prepare("callcentre", folder, tmp_path / "out")
    refused = [one.detail for one in report.left_out if one.reason == Reason.CHANNEL]
    assert refused == ["1 channels, expected channel 1"] * 4


def test_speakers_and_languages_are_read_if_present(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in")
    change_rows(folder, lambda row: row | {"speaker": str(row["recording"])[-5], "language": "ja"})
    utterances = prepare("callcentre", folder, tmp_path / "out", corpus="osaka").utterances
    assert {u.language for u in utterances} == {"ja"}
    assert {u.corpus for u in utterances} == {"osaka"}
    assert len({u.speaker for u in utterances}) == CALLS
    assert speaker_split(utterances, 0, 5, 0).without_speakers == ()


def test_a_recording_may_be_one_utterance(tmp_path: Path) -> None:
    record(tmp_path / "in" / "a.wav", seconds=0.4)
    write_table(tmp_path / "in" / "any.csv", [{"recording": "a.wav", "annotator": "angry"}])
    report = prepare("callcentre", tmp_path / "in", tmp_path / "out")
    assert [u.duration_s for u in report.utterances] == [0.4]


@pytest.mark.parametrize(
    ("cells", "reason", "detail"),
    [
        ({"end": 9}, Reason.OUTSIDE, "the recording has 3.500 s"),
        ({"start": 3.52, "end": 3.58}, Reason.OUTSIDE, "the recording has 3.500 s"),
        ({"start": 2, "end": 1}, Reason.OUTSIDE, "the recording has 3.500 s"),
        ({"end": 0.02}, Reason.EMPTY, "160 samples at 8 kHz, expected 200 or more"),
        ({"recording": "gone.wav"}, Reason.UNREADABLE, "no such file"),
        ({"recording": "labels.csv"}, Reason.UNREADABLE, "Format not recognised"),
        ({"recording": "../x.wav"}, Reason.UNREADABLE, "expected a recording in "),
        ({"annotator_1": "", "annotator_2": "", "annotator_3": ""}, Reason.UNLABELLED, ""),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    tmp_path: Path, cells: Row, reason: Reason, detail: str
) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    first = iter([cells])
    change_rows(folder, lambda row: row | next(first, {}))
    report = prepare("callcentre", folder, tmp_path / "out")
    named = [one for one in report.left_out if one.reason == reason]
    assert len(named) == 1
    assert detail in named[0].detail
    assert len(report.utterances) == 3


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"annotator_2": "angri"}, "labels.csv:2: annotator_2 'angri', expected one of anger, "),
        ({"start": "early"}, "labels.csv:2: start 'early', expected seconds"),
        ({"end": "nan"}, "labels.csv:2: end 'nan', expected seconds"),
        ({"start": ""}, "labels.csv:2: start None, end 0.5, expected both or neither"),
        ({"channel": "left"}, "labels.csv:2: channel 'left', expected 0, 1 or nothing"),
    ],
)
def test_an_invalid_cell_is_named_by_its_line(tmp_path: Path, cells: Row, message: str) -> None:
    folder = callcentre_folder(tmp_path, calls=1)
    change_rows(folder, lambda row: row | cells)
    with pytest.raises(CorpusError) as named:
        list(callcentre.read(folder))
    assert message in str(named.value)


def test_a_line_with_too_few_cells_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("recording,annotator_1\na.wav\n")
    with pytest.raises(CorpusError, match="labels.csv:2: found fewer .* expected 2 cells"):
        list(callcentre.read(tmp_path))


@pytest.mark.parametrize("header", ["recording,start,end", "file,annotator_1"])
def test_missing_columns_are_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "labels.csv").write_text(f"{header}\n")
    with pytest.raises(CorpusError, match="expected recording, start, end, transcript, annotator"):
        list(callcentre.read(tmp_path))


def test_one_of_several_tables_must_be_named(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    (folder / "labels.csv").rename(tmp_path / "other.csv")
    with pytest.raises(CorpusError, match=r"found the tables \[\], expected one"):
        list(callcentre.read(folder))
    assert len(list(callcentre.read(folder, tmp_path / "other.csv"))) == 7


def test_some_speakers_without_the_others_are_refused(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=2)
    change_rows(folder, lambda row: row | {"speaker": str(row["start"]).strip("0.")})
    with pytest.raises(CorpusError, match=r"0\.000-0\.500 s: no speaker, but .* has one, expected"):
        prepare("callcentre", folder, tmp_path / "out")


def test_an_end_that_was_rounded_up_is_the_recording_s(tmp_path: Path) -> None:
    folder = callcentre_folder(tmp_path / "in", calls=1)
    first = iter([{"start": 3.1, "end": 3.55}])
    change_rows(folder, lambda row: row | next(first, {}))
    report = prepare("callcentre", folder, tmp_path / "out")
    assert report.utterances[0].duration_s == pytest.approx(0.4)
