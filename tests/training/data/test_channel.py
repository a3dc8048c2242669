import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from model.audio import FRAME_SAMPLES, SAMPLE_RATE, Pcm, alaw_decode, mulaw_decode
from training.data.channel import (
    BURST_PACKETS,
    CLEAN,
    CONDITIONS,
    TELEPHONE,
    TRAINING_CHANNELS,
    Channel,
    ChannelError,
    active_level,
    lost_packets,
    speech_noise,
)


def tone(hz: float, duration_s: float = 1.0) -> Pcm:
    at_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.round(8000 * np.sin(2 * np.pi * hz * at_s)).astype(np.int16)


def loudest_hz(pcm: Pcm) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm))) * SAMPLE_RATE / len(pcm))


def test_the_clean_channel_changes_nothing() -> None:
    np.testing.assert_array_equal(CLEAN.apply(tone(440)), tone(440))


def level_db(pcm: Pcm) -> float:
    return float(10 * np.log10(np.mean(pcm.astype(np.float64) ** 2)))


def syllables(seed: int, duration_s: float = 2.0) -> Pcm:
    """Returns bursts of sound with silence between, loud enough to measure, too quiet to clip."""
    tones = tone(300 + 50 * seed, duration_s).reshape(-1, 1600) // 4
    tones[::2] = 0
    return tones.reshape(-1)


@pytest.mark.parametrize(("name", "decode"), [("mulaw", mulaw_decode), ("alaw", alaw_decode)])
def test_a_telephone_channel_gives_values_of_g711(
    name: str, decode: Callable[[bytes], Pcm]
) -> None:
    channel = CONDITIONS[name]
    pcm = channel.apply(tone(440))
    assert set(pcm.tolist()) <= set(decode(bytes(range(256))).tolist())
    assert 0 < np.abs(pcm.astype(np.int32) - tone(440)).max() <= 256
    np.testing.assert_array_equal(channel.apply(pcm), pcm)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_length_and_pitch(speed: float) -> None:
    pcm = Channel(speed=speed).apply(tone(440))
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(SAMPLE_RATE / speed, abs=1)
    assert loudest_hz(pcm) == pytest.approx(440 * speed, abs=2)


def test_training_includes_the_channel_that_is_scored() -> None:
    assert TELEPHONE in TRAINING_CHANNELS
    assert CONDITIONS["mulaw"] == TELEPHONE
    assert CONDITIONS["clean"] == CLEAN


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_same_recording_in_the_same_channel_gives_the_same_samples(name: str) -> None:
    pcm = syllables(1)
    before = pcm.copy()
    once, again = CONDITIONS[name].apply(pcm), CONDITIONS[name].apply(pcm)
    np.testing.assert_array_equal(pcm, before)
    np.testing.assert_array_equal(once, again)
    assert (once.dtype, once.shape) == (pcm.dtype, pcm.shape)
    assert (name == "clean") == np.array_equal(once, pcm)


def test_other_recordings_and_other_channels_have_other_noise() -> None:
    def noise(channel: Channel, pcm: Pcm) -> bytes:
        added = channel.apply(pcm).astype(np.int32) - pcm
        return added[:1600].tobytes()  # where `syllables` are silent

    channel, other = Channel(noise_db=10), Channel(noise_db=9)
    drawn = {noise(channel, syllables(1)), noise(channel, syllables(2)), noise(other, syllables(1))}
    assert len(drawn) == 3


def test_the_draws_are_those_that_the_shipped_model_was_trained_with() -> None:
    """Losses and noise are seeded by the channel's text, which may not follow a renaming."""
    pcm = np.arange(-4000, 4000, dtype=np.int16)
    received = hashlib.sha256(Channel(loss=0.1).apply(pcm).tobytes()).hexdigest()
    assert received == "8964d577e23b93a771909267f2f1b34aa5501e0474c496b4fddbe3bfcbbbc09f"
    noise = Channel(noise_db=10.0).apply(pcm)[:6].astype(int) - pcm[:6]
    assert noise.tolist() == pytest.approx([343, 383, -298, -755, -160, -62], abs=1)


@pytest.mark.parametrize("noise_db", [20.0, 10.0, 0.0])
def test_noise_is_noise_db_below_the_speech(noise_db: float) -> None:
    pcm = syllables(1)
    added = Channel(noise_db=noise_db).apply(pcm) - pcm
    speech_db = level_db(pcm[pcm.nonzero()])
    assert level_db(added) == pytest.approx(speech_db - noise_db, abs=0.3)


def test_pauses_do_not_lower_the_level_of_speech() -> None:
    wave = syllables(1).astype(np.float64)
    longer = np.concatenate((wave, np.zeros(5 * len(wave) + 7)))
    assert active_level(longer) == pytest.approx(active_level(wave))
    assert active_level(wave) == pytest.approx(np.sqrt(2) * np.sqrt(np.mean(wave**2)), rel=1e-3)


@pytest.mark.parametrize("samples", [1, 2, 3, 161])
def test_digital_silence_changes_by_the_codec_alone(samples: int) -> None:
    silence = np.zeros(samples, np.int16)
    for channel in (*CONDITIONS.values(), Channel(band_hz=(300, 3400), gain_db=6)):
        assert np.abs(channel.apply(silence)).max() <= 8


def test_noise_has_the_spectrum_of_speech() -> None:
    noise = speech_noise(10 * SAMPLE_RATE, np.random.default_rng(0))
    assert np.mean(noise**2) == pytest.approx(1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)

    def band_db(centre_hz: float) -> float:
        """Returns the level of a third-octave."""
        own = (hz >= centre_hz * 2 ** (-1 / 6)) & (hz < centre_hz * 2 ** (1 / 6))
        return float(10 * np.log10(power[own].sum()))

    # Byrne et al. 1994, table II
    for centre_hz, below_500_db in ((125, 4.4), (250, 1.8), (1000, 8.4), (2000, 13.4)):
        assert band_db(500) - band_db(centre_hz) == pytest.approx(below_500_db, abs=1.5)
    assert power[hz < 60].sum() < 1e-9 * power.sum()


def test_a_gain_is_in_decibels_and_clips() -> None:
    pcm = tone(440)
    assert level_db(Channel(gain_db=-6).apply(pcm)) == pytest.approx(level_db(pcm) - 6, abs=0.01)
    loud = Channel(gain_db=20).apply(pcm)
    assert (loud.min(), loud.max()) == (-32_768, 32_767)
    assert np.all(loud.astype(np.int32) * pcm >= 0)


def test_an_analogue_channel_has_a_narrower_band() -> None:
    channel = Channel(band_hz=(300, 3400))
    for hz, least_db, most_db in ((100, -80, -25), (1000, -0.5, 0.5), (3900, -80, -15)):
        change_db = level_db(channel.apply(tone(hz))) - level_db(tone(hz))
        assert least_db < change_db < most_db


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.1, 0.5])
def test_the_asked_share_of_packets_is_lost_in_bursts(loss: float) -> None:
    lost = lost_packets(200_000, loss, np.random.default_rng(0))
    assert lost.mean() == pytest.approx(loss, abs=0.005)
    if loss:
        runs = np.count_nonzero(np.diff(lost.astype(int)) == 1)
        assert lost.sum() / runs == pytest.approx(BURST_PACKETS, abs=0.1)


@pytest.mark.parametrize("name", ["loss5", "loss10"])
def test_packets_that_are_not_lost_are_unchanged(name: str) -> None:
    pcm = np.random.default_rng(0).integers(-3000, 3000, 2000 * FRAME_SAMPLES).astype(np.int16)
    clear, damaged = TELEPHONE.apply(pcm), CONDITIONS[name].apply(pcm)
    harmed = (clear != damaged).reshape(-1, FRAME_SAMPLES).any(axis=1)
    assert harmed.mean() == pytest.approx(CONDITIONS[name].loss, rel=0.3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"speed": 0.0}, "speed above 0"),
        ({"codec": "opus"}, "codec linear, mulaw or alaw"),
        ({"loss": 1.0}, "loss from 0 to 0.5"),
        ({"loss": float("nan")}, "loss from 0 to 0.5"),
        ({"band_hz": (3400, 300)}, "band_hz within 0 to 4000 Hz"),
        ({"band_hz": (300, 4000)}, "band_hz within 0 to 4000 Hz"),
    ],
)
def test_an_impossible_channel_is_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ChannelError, match=f"found Channel.*, expected {expected}"):
        Channel(**values)


def test_a_channel_names_its_effects() -> None:
    assert str(CLEAN) == "clean"
    assert str(Channel(0.9, codec="mulaw")) == "speed 0.9, codec mulaw"
    assert str(CONDITIONS["noise10"]) == "noise_db 10.0, codec mulaw"
