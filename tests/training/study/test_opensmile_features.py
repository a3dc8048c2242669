from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.features import log_mel
from training.data.channel import CLEAN, TELEPHONE, Channel
from training.data.manifest import Utterance
from training.data.recordings import PLAIN_GATE, RecordingError, speech_frames
from training.study.opensmile_features import (
    SPEC,
    FunctionalsTable,
    build,
    functionals_of,
    speech_samples,
)


def functionals_in(
    utterances: Sequence[Utterance],
    folder: Path,
    channel: Channel = CLEAN,
    kind: str = "eGeMAPSv02",
) -> FunctionalsTable:
    return build(utterances, kind, channel, folder)


def copied(utterances: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """Returns the same utterances as files that a test may change."""
    folder.mkdir()
    mine = []
    for utterance in utterances:
        path = folder / f"{utterance.corpus}-{utterance.path.name}"
        path.write_bytes(utterance.path.read_bytes())
        mine.append(replace(utterance, path=path))
    return mine


@pytest.mark.parametrize("channel", [CLEAN, TELEPHONE])
def test_the_samples_are_those_of_a_network_s_frames(
    utterances: list[Utterance], tmp_path: Path, channel: Channel
) -> None:
    """The first frame differs, because its pre-emphasis uses the sample before."""
    tones = np.concatenate([soundfile.read(u.path, dtype="int16")[0] for u in utterances[-30:]])
    silence = np.zeros(8000, np.int16)
    soundfile.write(tmp_path / "long.flac", np.concatenate((silence, tones, silence)), 8000)
    soundfile.write(tmp_path / "silent.flac", silence, 8000)
    for path in (tmp_path / "long.flac", tmp_path / "silent.flac", utterances[0].path):
        frames = speech_frames(path, channel, SPEC, PLAIN_GATE)[: SPEC.window_frames]
        own = log_mel(speech_samples(path, channel), SPEC)
        assert len(own) == len(frames)
        np.testing.assert_array_equal(own[1:], frames[1:])
    assert len(speech_samples(tmp_path / "long.flac", channel)) == 60_000 - 40


def test_a_recording_too_short_for_opensmile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(479, np.int16), 8000)
    with pytest.raises(RecordingError, match=r"a.flac: \d+ samples, expected 480 or more"):
        speech_samples(path, CLEAN)
    soundfile.write(path, np.zeros(600, np.int16), 8000)
    assert np.isfinite(functionals_of(path, "eGeMAPSv02", CLEAN)).all()


@pytest.mark.parametrize(("kind", "count"), [("eGeMAPSv02", 88), ("ComParE_2016", 6373)])
def test_every_utterance_has_its_functionals(
    utterances: list[Utterance], tmp_path: Path, kind: str, count: int
) -> None:
    some = utterances[38:42]
    extracted = functionals_in(some, tmp_path, TELEPHONE, kind)
    assert extracted.shape == (4, count)
    assert np.isfinite(extracted).all()
    for row, utterance in zip(extracted, some, strict=True):
        own = functionals_of(utterance.path, kind, TELEPHONE)
        np.testing.assert_array_equal(row, own)


def test_functionals_are_extracted_once_and_then_read(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    mine = copied(utterances[:3], tmp_path / "recordings")
    extracted = functionals_in(mine, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for utterance in mine:
        utterance.path.unlink()
    np.testing.assert_array_equal(functionals_in(mine, tmp_path / "cache"), extracted)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_each_setting_that_changes_the_functionals_has_its_own_file(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    few = utterances[:2]
    for number, (listed, channel) in enumerate(
        [(few, CLEAN), (few, TELEPHONE), (few[::-1], CLEAN), (few[:1], CLEAN)], start=1
    ):
        extracted = functionals_in(listed, tmp_path, channel)
        assert len(list(tmp_path.iterdir())) == number
        for row, utterance in zip(extracted, listed, strict=True):
            own = functionals_of(utterance.path, "eGeMAPSv02", channel)
            np.testing.assert_array_equal(row, own)


def test_an_interrupted_extraction_continues(utterances: list[Utterance], tmp_path: Path) -> None:
    mine = copied(utterances[:4], tmp_path / "recordings")
    expected = functionals_in(mine, tmp_path / "whole")
    recording = mine[2].path.read_bytes()
    mine[2].path.write_bytes(b"no sound")
    with pytest.raises(RecordingError, match=str(mine[2].path)):
        functionals_in(mine, tmp_path / "cache")
    (begun,) = (tmp_path / "cache").iterdir()
    assert begun.suffix == ".part"
    mine[2].path.write_bytes(recording)
    # Rows of an earlier call, marked, and half a row that a kill cut off.
    marked = np.full((2, expected.shape[1]), 7, np.float32)
    begun.write_bytes(marked.tobytes() + marked[0, :40].tobytes())
    extracted = functionals_in(mine, tmp_path / "cache")
    np.testing.assert_array_equal(extracted[:2], marked)
    np.testing.assert_array_equal(extracted[2:], expected[2:])
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]
