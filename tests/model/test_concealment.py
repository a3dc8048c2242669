from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE, Pcm
from model.concealment import CONCEALED_S, REPEATED_S, LossConcealment, conceal_packets


def samples(count: int) -> Pcm:
    return np.arange(1, count + 1, dtype=np.int16)


def split(pcm: Pcm) -> list[Pcm]:
    return [pcm[start : start + FRAME_SAMPLES] for start in range(0, len(pcm), FRAME_SAMPLES)]


def streamed(packets: list[Pcm], lost: list[bool]) -> Pcm:
    """Each packet as it is received, each run of lost ones as one loss; gaps are silence."""
    concealment = LossConcealment(SAMPLE_RATE)
    received: list[Pcm] = []
    for is_lost, run in groupby(zip(packets, lost, strict=True), key=lambda packet: packet[1]):
        run_packets = [packet for packet, _ in run]
        if is_lost:
            count = sum(map(len, run_packets))
            filled = concealment.fill(count)
            received.append(np.zeros(count, np.int16) if filled is None else filled)
        else:
            for packet in run_packets:
                concealment.receive(packet)
                received.append(packet)
    return np.concatenate(received)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, FRAME_SAMPLES))
def test_a_stream_is_concealed_as_the_recording_bit_for_bit(
    lost: list[bool], last_packet_samples: int
) -> None:
    pcm = samples((len(lost) - 1) * FRAME_SAMPLES + last_packet_samples)
    offline = conceal_packets(pcm, np.array(lost))
    np.testing.assert_array_equal(streamed(split(pcm), lost), offline)


def test_a_frame_is_repeated_for_up_to_five_lost_ones() -> None:
    assert FRAME_S * SAMPLE_RATE == FRAME_SAMPLES
    assert REPEATED_S * SAMPLE_RATE == FRAME_SAMPLES
    assert CONCEALED_S * SAMPLE_RATE == 5 * FRAME_SAMPLES


def test_a_short_loss_repeats_the_last_packet_and_a_long_one_is_silence() -> None:
    pcm = samples(20 * 160 - 60)  # the last packet is 100 samples
    packets = split(pcm)
    lost = np.zeros(20, np.bool_)
    lost[[0, 3, *range(5, 10), *range(11, 17), 18, 19]] = True
    received = conceal_packets(pcm, lost)
    expected = list(packets)
    expected[0] = np.zeros(160, np.int16)  # nothing was received before
    expected[3] = packets[2]
    expected[5:10] = [packets[4]] * 5
    expected[11:17] = [np.zeros(160, np.int16)] * 6
    expected[18:] = [packets[17], packets[17][:100]]
    np.testing.assert_array_equal(received, np.concatenate(expected))
    np.testing.assert_array_equal(conceal_packets(pcm, ~lost)[:160], packets[0])


def test_the_recording_itself_stays_as_it_was() -> None:
    pcm = samples(800)
    conceal_packets(pcm, np.array([False, True, True, False, True]))
    np.testing.assert_array_equal(pcm, samples(800))


def test_before_the_first_sample_there_is_nothing_to_repeat() -> None:
    assert LossConcealment().fill(1) is None


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_at_any_rate_a_tenth_of_a_second_is_filled_with_the_last_20_ms(rate: int) -> None:
    concealment = LossConcealment(rate)
    concealment.receive(samples(rate // 2))
    frame = samples(rate // 2)[-rate // 50 :]
    assert concealment.fill(rate // 10 + 1) is None
    filled = concealment.fill(rate // 10)
    assert filled is not None
    np.testing.assert_array_equal(filled, np.tile(frame, 5))


def test_what_was_filled_in_is_repeated_by_the_next_loss() -> None:
    concealment = LossConcealment()
    concealment.receive(samples(FRAME_SAMPLES))
    concealment.fill(100)
    filled = concealment.fill(200)
    np.testing.assert_array_equal(filled, np.tile(samples(100), 2))
