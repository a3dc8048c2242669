from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import SAMPLE_RATE, Pcm, alaw_decode, mulaw_decode
from model.features import FeatureSpec, Frames
from service.calls.track import CONCEALED_S, REPEATED_S
from training.data.channel import (
    BURST_PACKETS,
    CLEAN,
    CONCEALED_PACKETS,
    CONDITIONS,
    NO_MASKS,
    PACKET_SAMPLES,
    TELEPHONE,
    TRAINING_CHANNELS,
    Channel,
    ChannelError,
    MaskSpec,
    active_level,
    conceal_packets,
    cuts,
    lost_packets,
    mask,
    speech_noise,
)

SPEC = FeatureSpec()
MASKS = MaskSpec()


def frames_of(count: int, spec: FeatureSpec = SPEC) -> Frames:
    """Frames (count, channels) without a zero."""
    drawn = np.random.default_rng(count).uniform(1, 9, (count, spec.channels))
    return drawn.astype(np.float32)


def tone(hz: float, s: float = 1.0) -> Pcm:
    at_s = np.arange(round(s * SAMPLE_RATE)) / SAMPLE_RATE
    return np.round(8000 * np.sin(2 * np.pi * hz * at_s)).astype(np.int16)


def loudest_hz(pcm: Pcm) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(pcm))) * SAMPLE_RATE / len(pcm))


def test_a_clean_line_changes_nothing() -> None:
    np.testing.assert_array_equal(CLEAN.apply(tone(440)), tone(440))


def level_db(pcm: Pcm) -> float:
    return float(10 * np.log10(np.mean(pcm.astype(np.float64) ** 2)))


def syllables(seed: int, s: float = 2.0) -> Pcm:
    """Bursts of sound with silence between, loud enough to measure, too quiet to clip."""
    tones = tone(300 + 50 * seed, s).reshape(-1, 1600) // 4
    tones[::2] = 0
    return tones.reshape(-1)


@pytest.mark.parametrize(("name", "decode"), [("mulaw", mulaw_decode), ("alaw", alaw_decode)])
def test_a_telephone_line_gives_what_g711_can_say(
    name: str, decode: Callable[[bytes], Pcm]
) -> None:
    line = CONDITIONS[name]
    pcm = line.apply(tone(440))
    assert set(pcm.tolist()) <= set(decode(bytes(range(256))).tolist())
    assert 0 < np.abs(pcm.astype(np.int32) - tone(440)).max() <= 256
    np.testing.assert_array_equal(line.apply(pcm), pcm)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_length_and_pitch(speed: float) -> None:
    pcm = Channel(speed=speed).apply(tone(440))
    assert pcm.dtype == np.int16
    assert len(pcm) == pytest.approx(SAMPLE_RATE / speed, abs=1)
    assert loudest_hz(pcm) == pytest.approx(440 * speed, abs=2)


def test_training_hears_the_line_that_is_scored() -> None:
    assert TELEPHONE in TRAINING_CHANNELS
    assert CONDITIONS["mulaw"] == TELEPHONE
    assert CONDITIONS["clean"] == CLEAN


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_same_recording_over_the_same_line_is_the_same_samples(name: str) -> None:
    pcm = syllables(1)
    before = pcm.copy()
    once, again = CONDITIONS[name].apply(pcm), CONDITIONS[name].apply(pcm)
    np.testing.assert_array_equal(pcm, before)
    np.testing.assert_array_equal(once, again)
    assert (once.dtype, once.shape) == (pcm.dtype, pcm.shape)
    assert (name == "clean") == np.array_equal(once, pcm)


def test_other_recordings_and_other_lines_have_other_noise() -> None:
    def noise(line: Channel, pcm: Pcm) -> bytes:
        added = line.apply(pcm).astype(np.int32) - pcm
        return added[:1600].tobytes()  # where `syllables` are silent

    line, other = Channel(noise_db=10), Channel(noise_db=9)
    drawn = {noise(line, syllables(1)), noise(line, syllables(2)), noise(other, syllables(1))}
    assert len(drawn) == 3


@pytest.mark.parametrize("noise_db", [20.0, 10.0, 0.0])
def test_noise_is_so_much_below_the_speech_itself(noise_db: float) -> None:
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
def test_digital_silence_stays_what_it_is_but_for_the_codec(samples: int) -> None:
    silence = np.zeros(samples, np.int16)
    for line in (*CONDITIONS.values(), Channel(band_hz=(300, 3400), gain_db=6)):
        assert np.abs(line.apply(silence)).max() <= 8


def test_noise_has_the_spectrum_of_speech() -> None:
    noise = speech_noise(10 * SAMPLE_RATE, np.random.default_rng(0))
    assert np.mean(noise**2) == pytest.approx(1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)

    def band_db(centre_hz: float) -> float:
        """Of a third-octave."""
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


def test_an_analogue_line_has_a_narrower_band() -> None:
    line = Channel(band_hz=(300, 3400))
    for hz, least_db, most_db in ((100, -80, -25), (1000, -0.5, 0.5), (3900, -80, -15)):
        change_db = level_db(line.apply(tone(hz))) - level_db(tone(hz))
        assert least_db < change_db < most_db


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.1, 0.5])
def test_so_many_packets_are_lost_and_in_bursts(loss: float) -> None:
    lost = lost_packets(200_000, loss, np.random.default_rng(0))
    assert lost.mean() == pytest.approx(loss, abs=0.005)
    if loss:
        runs = np.count_nonzero(np.diff(lost.astype(int)) == 1)
        assert lost.sum() / runs == pytest.approx(BURST_PACKETS, abs=0.1)


def test_losses_are_concealed_as_the_service_does() -> None:
    assert PACKET_SAMPLES == REPEATED_S * SAMPLE_RATE
    assert CONCEALED_PACKETS * PACKET_SAMPLES == CONCEALED_S * SAMPLE_RATE


def test_after_a_short_loss_the_last_packet_is_heard_again_after_a_long_one_nothing() -> None:
    pcm = np.arange(1, 20 * 160 - 59, dtype=np.int16)  # the last packet is 100 samples
    packets = [pcm[start : start + 160] for start in range(0, len(pcm), 160)]
    lost = np.zeros(20, np.bool_)
    lost[[0, 3, *range(5, 10), *range(11, 17), 18, 19]] = True
    heard = conceal_packets(pcm, lost)
    expected = list(packets)
    expected[0] = np.zeros(160, np.int16)  # nothing was heard before
    expected[3] = packets[2]
    expected[5:10] = [packets[4]] * 5
    expected[11:17] = [np.zeros(160, np.int16)] * 6
    expected[18:] = [packets[17], packets[17][:100]]
    np.testing.assert_array_equal(heard, np.concatenate(expected))
    np.testing.assert_array_equal(conceal_packets(pcm, ~lost)[:160], packets[0])


@pytest.mark.parametrize("name", ["loss5", "loss10"])
def test_a_line_that_loses_gives_heard_packets_unharmed(name: str) -> None:
    pcm = np.random.default_rng(0).integers(-3000, 3000, 2000 * PACKET_SAMPLES).astype(np.int16)
    clear, damaged = TELEPHONE.apply(pcm), CONDITIONS[name].apply(pcm)
    harmed = (clear != damaged).reshape(-1, PACKET_SAMPLES).any(axis=1)
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
def test_an_impossible_line_is_refused(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(ChannelError, match=f"found Line.*, expected {expected}"):
        Channel(**values)


def test_a_line_says_what_it_does() -> None:
    assert str(CLEAN) == "clean"
    assert str(Channel(0.9, codec="mulaw")) == "speed 0.9, codec mulaw"
    assert str(CONDITIONS["noise10"]) == "noise_db 10.0, codec mulaw"


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_cuts_are_the_whole_and_parts_no_longer_than_a_window_and_not_too_short(
    frames: int, least: int, count: int, seed: int
) -> None:
    longest = SPEC.window_frames
    spans = cuts(frames, longest, least, count, np.random.default_rng(seed))
    assert spans.shape == (1 + count, 2)
    assert spans[0].tolist() == [0, min(frames, longest)]
    lengths = spans[:, 1] - spans[:, 0]
    assert (lengths >= min(least, frames)).all()
    assert (lengths <= longest).all()
    assert (spans >= 0).all()
    assert (spans <= frames).all()


def test_cuts_are_from_everywhere_and_of_any_length() -> None:
    spans = cuts(1000, 748, 150, 400, np.random.default_rng(0))[1:]
    lengths = spans[:, 1] - spans[:, 0]
    assert (lengths.min(), lengths.max()) == (
        pytest.approx(150, abs=10),
        pytest.approx(748, abs=10),
    )
    assert (spans[:, 0].min(), spans[:, 1].max()) == (
        pytest.approx(0, abs=10),
        pytest.approx(1000, abs=10),
    )


def test_a_short_utterance_is_never_cut() -> None:
    spans = cuts(100, SPEC.window_frames, 150, 50, np.random.default_rng(0))
    assert np.unique(spans, axis=0).tolist() == [[0, 100]]


@given(st.integers(1, 300), st.integers(0, 24), st.integers(0, 2**32 - 1))
def test_a_mask_puts_some_bands_and_moments_to_the_mean(count: int, lags: int, seed: int) -> None:
    spec = FeatureSpec(pitch_lags=lags)
    frames = frames_of(count, spec)
    before = frames.copy()
    masked = mask(frames, spec, MASKS, np.random.default_rng(seed))
    np.testing.assert_array_equal(frames, before)
    gone = masked == 0
    np.testing.assert_array_equal(masked[~gone], frames[~gone])
    bands, moments = gone.all(axis=0), gone.all(axis=1)
    np.testing.assert_array_equal(gone, bands[None, :] | moments[:, None])
    if not moments.all():
        assert bands.sum() <= MASKS.bands * MASKS.band_width
        assert not bands[spec.n_mels :].any()
    if not bands.all():
        assert moments.sum() <= MASKS.times * int(count * MASKS.time_share)


def test_masks_are_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    drawn = [mask(frames_of(200), SPEC, MASKS, rng) == 0 for _ in range(50)]
    assert any(gone.any() for gone in drawn)
    assert len({gone.tobytes() for gone in drawn}) > 40


def test_without_masks_nothing_is_masked() -> None:
    frames = frames_of(200)
    unmasked = mask(frames, SPEC, NO_MASKS, np.random.default_rng(0))
    np.testing.assert_array_equal(unmasked, frames)
