import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.events import Audio, Event, Gap, Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.jitter_buffer import JitterBuffer

LOST = np.iinfo(np.int16).min  # the byte of our tests' samples is never negative


def jitter_buffer(
    depth: int = 0,
    slack_ms: int = 10,
    origin_ms: int = 0,
    message_errors: Counter[str] | None = None,
) -> JitterBuffer:
    errors = Counter() if message_errors is None else message_errors
    return JitterBuffer(Track.CALLER, Encoding.L16, 8000, origin_ms, slack_ms, depth, errors)


def l16(samples: range) -> bytes:
    return np.array(samples, "<i2").tobytes()


def chunk_at(number: int) -> tuple[int, int, bytes]:
    """The nth 20 ms of 0, 1, 2, ..."""
    return number + 1, number * 20, l16(range(number * 160, (number + 1) * 160))


def samples_of(events: list[Event]) -> list[int]:
    """Returns every sample; a lost one is LOST."""
    samples: list[int] = []
    for event in events:
        assert isinstance(event, Audio | Gap)
        assert event.track is Track.CALLER
        samples += event.pcm.tolist() if isinstance(event, Audio) else [LOST] * event.samples
    return samples


def test_chunks_in_order_are_one_run_of_samples() -> None:
    errors: Counter[str] = Counter()
    buffer = jitter_buffer(message_errors=errors)
    events = [event for number in range(3) for event in buffer.place(*chunk_at(number))]
    assert samples_of(events) == list(range(480))
    assert not errors


def test_a_missing_chunk_is_a_gap_of_its_length() -> None:
    buffer = jitter_buffer()
    buffer.place(*chunk_at(0))
    assert samples_of(buffer.place(*chunk_at(3))) == [LOST] * 320 + list(range(480, 640))


def test_time_before_the_first_chunk_is_a_gap() -> None:
    assert samples_of(jitter_buffer().place(*chunk_at(2)))[:321] == [LOST] * 320 + [320]
    assert samples_of(jitter_buffer(origin_ms=40).place(*chunk_at(2)))[0] == 320


def test_a_duplicate_chunk_is_dropped() -> None:
    errors: Counter[str] = Counter()
    buffer = jitter_buffer(message_errors=errors)
    buffer.place(*chunk_at(0))
    buffer.place(*chunk_at(1))
    assert buffer.place(*chunk_at(0)) == []
    assert buffer.place(*chunk_at(1)) == []
    assert errors == {"late": 2}


def test_only_the_new_samples_of_an_overlapping_chunk_are_released() -> None:
    errors: Counter[str] = Counter()
    buffer = jitter_buffer(message_errors=errors)
    buffer.place(1, 0, l16(range(320)))
    assert samples_of(buffer.place(2, 20, l16(range(160, 480)))) == list(range(320, 480))
    assert buffer.place(3, 0, l16(range(160))) == []
    assert errors == {"overlap": 2}


@given(jitter_ms=st.lists(st.integers(-10, 10), min_size=1, max_size=50))
def test_a_jittering_clock_changes_nothing(jitter_ms: list[int]) -> None:
    buffer = jitter_buffer()
    events: list[Event] = []
    for number, jitter in enumerate(jitter_ms):
        chunk, at_ms, data = chunk_at(number)
        events += buffer.place(chunk, max(0, at_ms + jitter), data)
    assert samples_of(events) == list(range(160 * len(jitter_ms)))


def test_a_clock_that_drifts_is_followed() -> None:
    buffer = jitter_buffer()
    events = [
        event
        for number in range(1000)
        for event in buffer.place(number, number * 21, bytes(320))  # 5 % slow
    ]
    assert abs(len(samples_of(events)) - 1000 * 21 * 8) <= 160
    assert max(event.samples for event in events if isinstance(event, Gap)) <= 160


@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_cuts_give_the_same_samples(cuts: list[int]) -> None:
    data = l16(range(1000))
    buffer = jitter_buffer()
    events: list[Event] = []
    borders = [0, *sorted(cuts), len(data)]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        events += buffer.place(number, left // 2 // 8, data[left:right])
    assert samples_of(events) == list(range(1000))


def test_half_a_sample_is_completed_but_not_across_a_gap() -> None:
    buffer = jitter_buffer()
    data = l16(range(161))
    assert samples_of(buffer.place(1, 0, data[:321])) == list(range(160))
    assert samples_of(buffer.place(2, 20, data[321:])) == [160]
    buffer = jitter_buffer()
    buffer.place(1, 0, data[:321])
    assert samples_of(buffer.place(*chunk_at(3))) == [LOST] * 320 + list(range(480, 640))


# Chunks that arrive in another order.


@given(late=st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_order_is_restored_if_chunks_are_late_by_at_most_the_depth(late: list[int]) -> None:
    errors: Counter[str] = Counter()
    buffer = jitter_buffer(depth=5, message_errors=errors)
    arrival = sorted(range(len(late)), key=lambda number: number + late[number])
    events = [event for number in arrival for event in buffer.place(*chunk_at(number))]
    assert samples_of(events + buffer.flush()) == list(range(160 * len(late)))
    assert not errors


def test_the_depth_bounds_how_many_chunks_are_queued_for_a_missing_one() -> None:
    errors: Counter[str] = Counter()
    buffer = jitter_buffer(depth=3, message_errors=errors)
    buffer.place(*chunk_at(0))
    for number in (2, 3, 4):
        assert buffer.place(*chunk_at(number)) == []
    assert samples_of(buffer.place(*chunk_at(5))) == [LOST] * 160 + list(range(320, 960))
    assert buffer.place(*chunk_at(1)) == []
    assert errors == {"late": 1}


def test_a_silence_that_was_not_sent_queues_nothing() -> None:
    buffer = jitter_buffer(depth=3)
    buffer.place(*chunk_at(0))
    events = buffer.place(2, 1000, bytes(320))  # the next chunk, much later
    assert len(samples_of(events)) == 980 * 8 + 160


def test_chunk_numbers_shared_by_two_tracks_queue_nothing() -> None:
    buffer = jitter_buffer(depth=3)
    for number in range(10):
        _, at_ms, data = chunk_at(number)
        assert len(samples_of(buffer.place(2 * number + 1, at_ms, data))) == 160


def test_flush_releases_the_queued_chunks() -> None:
    buffer = jitter_buffer(depth=3)
    buffer.place(*chunk_at(0))
    buffer.place(*chunk_at(3))
    buffer.place(*chunk_at(2))
    assert samples_of(buffer.flush()) == [LOST] * 160 + list(range(320, 640))
    assert buffer.flush() == []


@pytest.mark.parametrize("depth", [0, 3])
@given(
    chunks=st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 10**7), st.binary(max_size=9)), max_size=40
    )
)
def test_no_order_of_chunks_makes_time_go_back_or_exceed_its_bound(
    depth: int, chunks: list[tuple[int, int, bytes]]
) -> None:
    buffer = jitter_buffer(depth)
    events: list[Event] = []
    for one in chunks:
        events += buffer.place(*one)
        assert len(buffer) <= depth
    length = len(samples_of([event for event in events if isinstance(event, Audio)])) + sum(
        event.samples for event in events if isinstance(event, Gap)
    )
    assert all(event.samples > 0 for event in events if isinstance(event, Gap))
    latest = max((at_ms for _, at_ms, _ in chunks), default=0)
    assert length <= latest * 8 + sum(len(data) for *_, data in chunks)
