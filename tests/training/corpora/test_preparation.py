import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import Pcm, quantised, resample
from tests.training.corpora.shapes import named_folder, record, voice
from training.corpora import preparation
from training.corpora.preparation import prepare
from training.corpora.source import CorpusError, LeftOut, Reason, Source
from training.data.manifest import read_corpora

NAMES = ["wav/03a01Fa.wav", "wav/08a01Wc.wav", "wav/16a05Td.wav"]

NOT_FINITE = "got samples that are not finite, expected numbers from -1 to 1"


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}


def test_the_prepared_corpus_is_8_khz_flac_with_a_manifest(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    report = prepare("emodb", folder, tmp_path / "out")
    assert read_corpora(tmp_path / "out") == list(report.utterances)
    for utterance, name in zip(report.utterances, NAMES, strict=True):
        assert utterance.path == tmp_path / "out" / "emodb" / name.replace(".wav", ".flac")
        info = soundfile.info(utterance.path)
        assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "PCM_16")
        assert utterance.duration_s == 0.3
        wide, _ = soundfile.read(folder / name, dtype="float32")
        narrow, _ = soundfile.read(utterance.path, dtype="int16")
        np.testing.assert_array_equal(narrow, resample(quantised(wide), 16000))


def test_of_a_stereo_file_of_one_person_the_first_channel_is_taken(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES[:1], channels=2)
    (utterance,) = prepare("emodb", folder, tmp_path / "out").utterances
    wide, _ = soundfile.read(folder / NAMES[0], dtype="float32")
    narrow, _ = soundfile.read(utterance.path, dtype="int16")
    np.testing.assert_array_equal(narrow, resample(quantised(wide[:, 0]), 16000))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_any_rate_becomes_8_khz(tmp_path: Path, rate: int) -> None:
    record(tmp_path / "in" / "03a01Fa.wav", seconds=0.5, rate=rate)
    (utterance,) = prepare("emodb", tmp_path / "in", tmp_path / "out").utterances
    assert utterance.duration_s == pytest.approx(0.5, abs=0.001)


def test_unusable_files_are_listed_by_name_and_reason(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    (folder / "wav" / "03a02Wa.wav").write_bytes(b"RIFF, but not really")
    soundfile.write(folder / "wav" / "03a04Wa.wav", np.zeros(0), 16000)
    soundfile.write(folder / "wav" / "03a05Wa.wav", np.zeros(8000), 16000)
    soundfile.write(folder / "wav" / "03a07Wa.wav", np.full(8000, np.nan), 16000, subtype="FLOAT")
    (folder / "wav" / "09a01Wc.wav").write_bytes((folder / NAMES[1]).read_bytes())
    (folder / "wav" / "09a02Tc.wav").write_bytes((folder / NAMES[1]).read_bytes())
    report = prepare("emodb", folder, tmp_path / "out")
    assert len(report.utterances) == 3
    assert report.left_out[1:] == (
        LeftOut("wav/03a04Wa.wav", Reason.EMPTY, "got 0 samples, expected a recording"),
        LeftOut("wav/03a05Wa.wav", Reason.EMPTY, "digital silence"),
        LeftOut("wav/03a07Wa.wav", Reason.UNREADABLE, NOT_FINITE),
        LeftOut("wav/09a01Wc.wav", Reason.DUPLICATE, "same sound as wav/08a01Wc.wav"),
        LeftOut(
            "wav/09a02Tc.wav",
            Reason.DUPLICATE,
            "same sound as wav/08a01Wc.wav, there anger, here sadness",
        ),
    )
    assert (report.left_out[0].title, report.left_out[0].reason) == (
        "wav/03a02Wa.wav",
        Reason.UNREADABLE,
    )


def test_two_files_with_the_same_target_are_named(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", ["03a01Fa.flac", "03a01Fa.wav"])
    report = prepare("emodb", folder, tmp_path / "out")
    assert report.left_out == (LeftOut("03a01Fa.wav", Reason.DUPLICATE, "listed twice"),)


def test_an_interrupted_preparation_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    cut = preparation.cut
    cuts: list[str] = []

    def interrupted(source: Source) -> Pcm:
        if len(cuts) == 2:
            raise KeyboardInterrupt
        cuts.append(source.name)
        return cut(source)

    monkeypatch.setattr(preparation, "cut", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("emodb", folder, tmp_path / "out")
    assert not (tmp_path / "out" / "emodb" / "manifest.csv").exists()
    written = times(tmp_path / "out")
    assert len(written) == 2
    monkeypatch.setattr(preparation, "cut", cut)
    resumed = prepare("emodb", folder, tmp_path / "out")
    assert times(tmp_path / "out").items() >= written.items()
    at_once = prepare("emodb", folder, tmp_path / "fresh")
    assert resumed.text() == at_once.text()
    for name in ("manifest.csv", "report.txt", *(str(u.path.name) for u in at_once.utterances)):
        (first,) = (tmp_path / "out").rglob(name)
        (second,) = (tmp_path / "fresh").rglob(name)
        assert first.read_bytes() == second.read_bytes()


def test_changed_and_broken_recordings_are_prepared_again(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    prepare("emodb", folder, tmp_path / "out")
    before = times(tmp_path / "out")
    soundfile.write(folder / NAMES[0], voice("another"), 16000)
    later_s = before["03a01Fa.flac"] / 1e9 + 10
    os.utime(folder / NAMES[0], (later_s, later_s))
    broken = tmp_path / "out" / "emodb" / "wav" / "08a01Wc.flac"
    broken.write_bytes(b"fLaC")
    prepare("emodb", folder, tmp_path / "out")
    wide, _ = soundfile.read(folder / NAMES[0], dtype="float32")
    narrow, _ = soundfile.read(tmp_path / "out" / "emodb" / "wav" / "03a01Fa.flac", dtype="int16")
    np.testing.assert_array_equal(narrow, resample(quantised(wide), 16000))
    assert soundfile.info(broken).frames == 2400
    assert times(tmp_path / "out")["16a05Td.flac"] == before["16a05Td.flac"]


def test_if_no_utterance_can_be_used_the_report_gives_the_reasons(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", ["wav/11b02La.wav"])
    with pytest.raises(CorpusError, match="nothing can be used\nemodb: 0 utterances"):
        prepare("emodb", folder, tmp_path / "out")
    report = (tmp_path / "out" / "emodb" / "report.txt").read_text()
    assert "another emotion:\n  wav/11b02La.wav: boredom (L)\n" in report


def test_a_list_of_other_backchannels_is_read(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    (tmp_path / "words.txt").write_text("\n")
    with pytest.raises(CorpusError, match="found no words, expected backchannels, one a line"):
        prepare("emodb", folder, tmp_path / "out", backchannels=tmp_path / "words.txt")


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    folder = named_folder(tmp_path / "in", NAMES)
    with pytest.raises(CorpusError, match="no reader 'emo', expected one of ased, callcentre, "):
        prepare("emo", folder, tmp_path / "out")
    with pytest.raises(CorpusError, match="no such folder"):
        prepare("emodb", tmp_path / "gone", tmp_path / "out")
    with pytest.raises(CorpusError, match="expected them only for callcentre"):
        prepare("emodb", folder, tmp_path / "out", labels=tmp_path / "labels.csv")
    for corpus in ("a/b", "..", "."):
        with pytest.raises(CorpusError, match="expected the name of one folder"):
            prepare("emodb", folder, tmp_path / "out", corpus=corpus)
    with pytest.raises(CorpusError, match="lies in the corpus itself, expected another folder"):
        prepare("emodb", folder, folder / "out")
