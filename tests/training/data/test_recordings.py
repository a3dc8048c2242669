from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.audio import resample
from model.features import log_mel
from model.gate import speech_spans
from tests.training.data.examples import GATE, SPEC, voice
from training.data.channel import CLEAN
from training.data.recordings import RecordingError, read_recording, speech_frames


def test_a_recording_is_read_at_8_khz(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-3000, 3000, 16000).astype(np.int16)
    for rate in (8000, 16000, 48000):
        soundfile.write(tmp_path / "a.flac", pcm, rate)
        np.testing.assert_array_equal(read_recording(tmp_path / "a.flac"), resample(pcm, rate))


def test_unusable_recordings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(RecordingError, match="a.wav"):
        read_recording(path)
    path.write_text("no sound")
    with pytest.raises(RecordingError, match="a.wav"):
        read_recording(path)
    soundfile.write(path, np.zeros((100, 2), np.int16), 8000)
    with pytest.raises(RecordingError, match=r"shape \(100, 2\), expected one channel"):
        read_recording(path)
    soundfile.write(path, np.zeros(0, np.int16), 8000)
    with pytest.raises(RecordingError, match="got 0 samples, expected a recording"):
        read_recording(path)
    soundfile.write(path, np.zeros(199, np.int16), 8000)
    with pytest.raises(RecordingError, match="199 samples, expected 200 or more"):
        speech_frames(path, CLEAN, SPEC, GATE)


def test_silence_around_the_speech_is_left_out(tmp_path: Path) -> None:
    silence = np.zeros(12000, np.int16)
    pcm = np.concatenate((silence, voice(1.5), silence))
    soundfile.write(tmp_path / "a.flac", pcm, 8000)
    spans = speech_spans(pcm, GATE)
    assert spans
    frames = speech_frames(tmp_path / "a.flac", CLEAN, SPEC, GATE)
    np.testing.assert_array_equal(frames, log_mel(pcm, SPEC)[spans[0].start : spans[-1].end])
    assert 130 <= len(frames) <= 230


def test_a_recording_without_speech_is_taken_whole(tmp_path: Path) -> None:
    pcm = np.full(8000, 5, np.int16)
    assert not speech_spans(pcm, GATE)
    soundfile.write(tmp_path / "a.flac", pcm, 8000)
    assert len(speech_frames(tmp_path / "a.flac", CLEAN, SPEC, GATE)) == SPEC.frames_in(8000)
