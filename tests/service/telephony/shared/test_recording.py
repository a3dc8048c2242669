from pathlib import Path

import numpy as np
import pytest
import soundfile

from service.errors import UnreadableRecording
from service.events import Track
from service.telephony.shared.recording import Recording


def test_mono_is_the_caller(tmp_path: Path) -> None:
    pcm = np.array([0, 1, -1, 32767, -32768], np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 8000)
    read = Recording.read(tmp_path / "a.wav")
    assert (read.name, read.tracks) == ("a.wav", (Track.CALLER,))
    assert read.pcm.dtype == np.int16
    assert read.pcm[:, 0].tolist() == pcm.tolist()


@pytest.mark.parametrize(
    ("swap", "tracks"),
    [(False, (Track.CALLER, Track.AGENT)), (True, (Track.AGENT, Track.CALLER))],
)
def test_stereo_is_the_caller_left_unless_swapped(
    tmp_path: Path, swap: bool, tracks: tuple[Track, ...]
) -> None:
    soundfile.write(tmp_path / "a.flac", np.array([[1, 2], [3, 4]], np.int16), 8000)
    read = Recording.read(tmp_path / "a.flac", swap=swap)
    assert read.tracks == tracks
    assert read.pcm.tolist() == [[1, 2], [3, 4]]


def test_float_and_wide_band_files_sound_the_same_at_8_khz(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "a.wav", tone, 44_100, subtype="FLOAT")
    read = Recording.read(tmp_path / "a.wav")
    assert read.pcm.shape == (8000, 1)
    expected = 16_384 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(read.pcm[1000:7000, 0], expected[1000:7000], atol=40)


def test_a_file_that_is_no_recording_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "six.wav", np.zeros((9, 6), np.int16), 8000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.int16), 8000)
    for name, problem in [
        ("text.wav", "text.wav: "),
        ("absent.wav", "absent.wav: "),
        ("six.wav", "got 6 channels, expected 1 or 2"),
        ("none.wav", "got 0 samples"),
    ]:
        with pytest.raises(UnreadableRecording, match=problem):
            Recording.read(tmp_path / name)
