from collections import Counter

import numpy as np
import pytest
import soundfile

from model.audio import mulaw_encode
from service.calls.audio_watch import AudioWatch, UnusableAudio
from service.events import Audio, Pcm, Track
from tests.paths import SAMPLES

RATE = 8_000
SPEECH: Pcm = soundfile.read(SAMPLES / "sounds-angry.flac", dtype="int16")[0][: 20 * RATE, 0]


def watch(pcm: Pcm, rate: int = RATE) -> tuple[UnusableAudio | None, bool]:
    """Returns the problem that is reported in audio, and whether the watch is done."""
    watch = AudioWatch(rate)
    problem = None
    for at in range(0, len(pcm), 160):
        found = watch.receive([Audio(Track.CALLER, pcm[at : at + 160])], {})
        assert not (problem and found), "reported twice"
        problem = problem or found
    return problem, watch.done


def tone(hertz: float) -> Pcm:
    wave = np.sin(2 * np.pi * hertz * np.arange(6 * RATE) / RATE)
    return (wave * 20_000).astype(np.int16)


def noise(level: float) -> Pcm:
    return np.random.default_rng(0).normal(0, level, 10 * RATE).clip(-32_768, 32_767).astype("i2")


def test_speech_in_the_wrong_byte_order_or_encoding_is_reported() -> None:
    for pcm in (SPEECH.byteswap(), np.frombuffer(mulaw_encode(SPEECH).tobytes(), "<i2")):
        problem, done = watch(pcm)
        assert problem
        assert problem.reason == "noise"
        assert done


@pytest.mark.parametrize("gain", [0.1, 1, 2])
def test_speech_is_not(gain: float) -> None:
    pcm = (SPEECH * gain).clip(-32_768, 32_767).astype(np.int16)
    assert watch(pcm) == (None, True)


@pytest.mark.parametrize("hertz", [50, 440, 1_400, 2_000, 2_100, 3_000, 3_400])
def test_a_tone_is_not(hertz: float) -> None:
    assert watch(tone(hertz)) == (None, True)


def test_silence_and_the_noise_of_a_line_are_not_but_the_watch_goes_on() -> None:
    assert watch(np.zeros(10 * RATE, np.int16)) == (None, False)
    assert watch(noise(20)) == (None, False)
    assert watch(noise(1_500)) == (None, False)
    assert watch(np.concatenate((noise(20), SPEECH.byteswap())))[0]


def test_a_stream_whose_messages_are_all_dropped_is_deaf() -> None:
    watch = AudioWatch(RATE)
    assert watch.receive([], {"unknown_track": 49}) is None
    dropped = watch.receive([], Counter({"bad_media": 2, "unknown_track": 49}))
    text = "got no audio that can be used, dropped messages: unknown_track 49, bad_media 2"
    assert dropped == UnusableAudio("dropped", text)
    assert watch.done


def test_a_short_stream_is_judged_at_its_end() -> None:
    assert AudioWatch(RATE).ended({}) is None
    dropped = AudioWatch(RATE).ended({"bad_media": 1})
    assert dropped
    assert dropped.reason == "dropped"
    watch = AudioWatch(RATE)
    watch.receive([Audio(Track.CALLER, np.zeros(160, np.int16))], {"bad_media": 1})
    assert watch.receive([], {"bad_media": 500}) is None
    assert watch.ended({"bad_media": 500}) is None
