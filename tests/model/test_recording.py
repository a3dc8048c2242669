"""Recordings as people have them are read whole, or refused with what is wrong."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from model.audio import SAMPLE_RATE, Pcm
from model.containers import PAGES_MAX, PARTS_MAX
from model.recording import BadRecording, RecordingTooLong, decode, decode_all

NOISE = np.random.default_rng(0).integers(-9000, 9000, 2 * SAMPLE_RATE).astype(np.int16)
PCM_KINDS = ("WAV", "RF64", "AU", "AIFF", "W64", "CAF")
# Each container's fields that hold a length: what stands before, offset from there, format.
LENGTHS = {
    "WAV": [(b"data", 4, "<I")],
    "RF64": [(b"ds64", 8, "<Q"), (b"ds64", 16, "<Q"), (b"ds64", 24, "<Q")],
    "AU": [(b".snd", 8, ">I")],
    "AIFF": [(b"SSND", 4, ">I"), (b"COMM", 10, ">I")],
    "W64": [(b"data", 16, "<Q")],
    "CAF": [(b"data", 4, ">Q")],
}


def written(samples: np.ndarray, form: str, subtype: str | None = None, rate: int = 8000) -> bytes:
    into = io.BytesIO()
    soundfile.write(into, samples, rate, format=form, subtype=subtype)
    return into.getvalue()


def without_length(form: str, filled: bool) -> bytes:
    data = bytearray(written(NOISE, form, "PCM_16"))
    for name, beyond, layout in LENGTHS[form]:
        at = data.find(name) + beyond
        size = struct.calcsize(layout)
        data[at : at + size] = (b"\xff" if filled else b"\0") * size
    return bytes(data)


def decoded(data: bytes) -> Pcm:
    return decode(io.BytesIO(data))


@pytest.mark.parametrize("filled", [False, True], ids=["zero", "all ones"])
@pytest.mark.parametrize("form", PCM_KINDS)
def test_a_header_that_does_not_know_its_length_is_read_whole(form: str, filled: bool) -> None:
    np.testing.assert_array_equal(decoded(without_length(form, filled)), NOISE)


@pytest.mark.parametrize("form", [*PCM_KINDS, "FLAC", "MP3", "OGG"])
def test_a_file_that_is_cut_off_is_refused(form: str) -> None:
    data = written(np.tile(NOISE, 5), form)
    with pytest.raises(BadRecording):
        decoded(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16")],
)
def test_joined_files_are_heard_whole(form: str, subtype: str) -> None:
    one = written(NOISE, form, subtype)
    first = decoded(one)
    assert len(first) == len(NOISE)
    np.testing.assert_array_equal(decoded(one + one), np.tile(first, 2))


def test_joined_wav_files_are_refused() -> None:
    one = written(NOISE, "WAV")
    with pytest.raises(BadRecording, match="a second recording after the first"):
        decoded(one + one)


def test_joined_files_count_together_for_the_longest_length() -> None:
    data = written(NOISE, "OGG", "VORBIS") * 2
    assert len(decode(io.BytesIO(data), max_s=4)) == 4 * SAMPLE_RATE
    with pytest.raises(RecordingTooLong):
        decode(io.BytesIO(data), max_s=3.5)


@pytest.mark.parametrize(
    ("samples", "what"),
    [
        (np.where(np.arange(8000) == 5000, np.nan, 0.1), "samples that are not finite"),
        (NOISE.astype(np.float32), "samples up to 9e?[0-9.]*"),
    ],
)
def test_float_samples_that_are_no_sound_are_refused(samples: np.ndarray, what: str) -> None:
    with pytest.raises(BadRecording, match=f"got {what}, expected numbers from -1 to 1"):
        decoded(written(samples, "WAV", "FLOAT"))


def test_float_samples_a_little_beyond_one_are_clipped() -> None:
    pcm = decoded(written(np.full(8000, 1.5), "WAV", "FLOAT"))
    assert set(pcm.tolist()) == {32767}


def test_the_mean_of_opposite_channels_is_refused_and_each_is_heard() -> None:
    data = written(np.stack((NOISE, -NOISE), axis=1), "WAV")
    with pytest.raises(BadRecording, match="two channels that cancel each other"):
        decode(io.BytesIO(data), "mix")
    np.testing.assert_array_equal(decode(io.BytesIO(data), "1"), -NOISE)


@pytest.mark.parametrize("caller", [0, 1])
def test_by_default_only_the_caller_is_heard(caller: int) -> None:
    stereo = np.stack((NOISE, NOISE[::-1]), axis=1)
    file = io.BytesIO(written(stereo, "FLAC"))
    np.testing.assert_array_equal(decode(file, caller=caller), stereo[:, caller])
    np.testing.assert_array_equal(decode_all(file), stereo)
    mono = io.BytesIO(written(NOISE, "FLAC"))
    np.testing.assert_array_equal(decode(mono, caller=caller), NOISE)


def test_ten_minutes_of_wide_band_stereo_take_less_than_100_mb() -> None:
    """As 32-bit floats the recording is 230 MB; it is 110 kB as FLAC."""
    script = """
import io, resource, sys, numpy as np, soundfile
from model.recording import decode
file = io.BytesIO()
with soundfile.SoundFile(file, "w", 48000, 2, "PCM_16", format="FLAC") as sound:
    for _ in range(600):
        sound.write(np.zeros((48000, 2), np.int16))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(decode(file, "mix")) == 600 * 8000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100_000  # kB


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"RIFF\0\0\0\0WAVE",
        b"FORM\0\0\0\0AIFF",
        b"riff" * 10,
        b"caff\0\1\0\0",
        b".snd",
        b"OggS",
        b"fLaC\0\0\0\x22",
        b"ID3",
        b"\xff\xfb\x90\x00",
        b"RF64....WAVEds64",
    ],
)
def test_garbage_is_refused_in_a_sentence(start: bytes) -> None:
    random = np.random.default_rng(1)
    for size in (0, 1, 7, 30, 500, 100_000):
        with pytest.raises(BadRecording, match="^got .*expected "):
            decoded(start + random.bytes(size))


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\xff\xfb\x90"])
def test_a_search_for_mp3_frames_ends(filler: bytes) -> None:
    with pytest.raises(BadRecording, match="^got .*expected "):
        decoded(b"ID3" + bytes(7) + filler * (3_000_000 // len(filler)))


def ogg_page(flags: int = 0) -> bytes:
    """A page without content."""
    return b"OggS\0" + bytes([flags]) + bytes(21)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (ogg_page(2) + ogg_page() * PAGES_MAX, f"more than {PAGES_MAX} Ogg pages"),
        ((ogg_page(2) + ogg_page()) * (PARTS_MAX + 1), f"{PARTS_MAX + 1} joined recordings"),
        (b"fLaC\0\0\0\x22" * (PARTS_MAX + 1), f"{PARTS_MAX + 1} joined recordings"),
    ],
    ids=["pages", "joined Ogg", "joined FLAC"],
)
def test_what_takes_long_to_walk_through_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(BadRecording, match=f"got {problem}"):
        decode(io.BytesIO(data))
