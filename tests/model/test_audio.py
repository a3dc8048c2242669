import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.audio import (
    SAMPLE_RATE,
    Pcm,
    Resampler,
    alaw_decode,
    alaw_encode,
    mulaw_decode,
    mulaw_encode,
    resample,
)

Decode = Callable[[bytes | NDArray[np.uint8]], Pcm]
Encode = Callable[[Pcm], NDArray[np.uint8]]

CODES = np.arange(256, dtype=np.uint8)
LEVELS = np.arange(-32768, 32768).astype(np.int16)
LAWS = pytest.mark.parametrize(
    ("subtype", "decode", "encode"),
    [("ULAW", mulaw_decode, mulaw_encode), ("ALAW", alaw_decode, alaw_encode)],
)
RATES = (11025, 16000, 22050, 24000, 32000, 44100, 48000)


def libsndfile_decode(codes: bytes, subtype: str) -> Pcm:
    pcm, _ = soundfile.read(
        io.BytesIO(codes),
        format="RAW",
        samplerate=SAMPLE_RATE,
        channels=1,
        subtype=subtype,
        dtype="int16",
    )
    return pcm


def libsndfile_encode(pcm: Pcm, subtype: str) -> NDArray[np.uint8]:
    file = io.BytesIO()
    soundfile.write(file, pcm, SAMPLE_RATE, format="RAW", subtype=subtype)
    return np.frombuffer(file.getvalue(), np.uint8)


def chord(rate: int, s: float = 0.5, peak: float = 10000) -> Pcm:
    at_s = np.arange(round(rate * s)) / rate
    wave = 0.6 * np.sin(2 * np.pi * 440 * at_s) + 0.4 * np.sin(2 * np.pi * 1500 * at_s)
    return np.round(peak * wave).astype(np.int16)


@LAWS
def test_every_code_word_decodes_as_libsndfile_decodes_it(
    subtype: str, decode: Decode, encode: Encode
) -> None:
    np.testing.assert_array_equal(decode(CODES), libsndfile_decode(CODES.tobytes(), subtype))
    np.testing.assert_array_equal(decode(CODES.tobytes()), decode(CODES))
    assert decode(b"").shape == (0,)


@LAWS
def test_every_level_is_encoded_as_libsndfile_encodes_it(
    subtype: str, decode: Decode, encode: Encode
) -> None:
    levels = decode(CODES)
    np.testing.assert_array_equal(encode(levels), libsndfile_encode(levels, subtype))


@LAWS
def test_every_sample_becomes_the_nearest_code_word(
    subtype: str, decode: Decode, encode: Encode
) -> None:
    samples = LEVELS.astype(np.int32)
    levels = np.sort(decode(CODES)).astype(np.int32)
    above = np.searchsorted(levels, samples).clip(1, 255)
    nearest = np.minimum(np.abs(levels[above] - samples), np.abs(levels[above - 1] - samples))
    np.testing.assert_array_equal(np.abs(decode(encode(LEVELS)) - samples), nearest)
    libsndfile_errors = np.abs(
        libsndfile_decode(libsndfile_encode(LEVELS, subtype).tobytes(), subtype) - samples
    )
    assert (nearest <= libsndfile_errors).all()


def test_code_words_survive_a_round_trip_but_for_the_second_zero_of_mulaw() -> None:
    np.testing.assert_array_equal(alaw_encode(alaw_decode(CODES)), CODES)
    back = mulaw_encode(mulaw_decode(CODES))
    assert np.flatnonzero(back != CODES).tolist() == [0x7F]
    assert back[0x7F] == 0xFF


@LAWS
def test_only_int16_is_encoded(subtype: str, decode: Decode, encode: Encode) -> None:
    with pytest.raises(AssertionError, match="float32"):
        encode(np.zeros(4, np.float32))  # type: ignore[arg-type]


@given(
    rate=st.sampled_from(RATES),
    cuts=st.lists(st.floats(0, 1), max_size=12),
    seed=st.integers(0, 9),
)
def test_a_resampled_stream_in_any_pieces_equals_the_whole(
    rate: int, cuts: list[float], seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32768, rate // 10).astype(np.int16)
    stream = Resampler(rate)
    pieces = np.split(noise, sorted(round(cut * len(noise)) for cut in cuts))
    resampled = [stream.feed(piece) for piece in pieces]
    resampled.append(stream.feed(np.zeros(0, np.int16), last=True))
    np.testing.assert_array_equal(np.concatenate(resampled), resample(noise, rate))


@pytest.mark.parametrize("rate", RATES)
def test_resampling_keeps_the_telephone_band(rate: int) -> None:
    resampled, expected = resample(chord(rate), rate), chord(SAMPLE_RATE)
    assert resampled.dtype == np.int16
    assert len(resampled) == len(expected)
    inside = slice(200, -200)  # at the ends the filter covers the silence around
    assert np.abs(resampled[inside].astype(np.int32) - expected[inside]).max() <= 3


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 11025])
def test_resampling_removes_what_would_alias_at_8_khz(rate: int) -> None:
    at_s = np.arange(rate) / rate
    whistle = np.round(20000 * np.sin(2 * np.pi * 5500 * at_s)).astype(np.int16)
    inside = resample(whistle, rate)[400:-400]
    assert np.abs(inside).max() <= 2


def test_resampling_clips_instead_of_wrapping_around() -> None:
    square = np.where(np.arange(16000) // 80 % 2, 32767, -32768).astype(np.int16)
    resampled = resample(square, 16000).astype(np.int32)
    expected = square[::2].astype(np.int32)
    assert resampled.max() == 32767
    assert resampled.min() == -32768
    middle_of_steps = np.arange(len(resampled)) % 40 == 20
    assert (np.sign(resampled) == np.sign(expected))[middle_of_steps].all()


def test_8_khz_passes_unchanged() -> None:
    pcm = chord(SAMPLE_RATE)
    stream = Resampler(SAMPLE_RATE)
    np.testing.assert_array_equal(stream.feed(pcm), pcm)
    assert len(stream.feed(np.zeros(0, np.int16), last=True)) == 0
    np.testing.assert_array_equal(resample(pcm, SAMPLE_RATE), pcm)
