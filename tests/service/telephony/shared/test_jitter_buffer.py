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


def timeline(depth: int = 0, slack_ms: int = 10, origin_ms: int = 0) -> JitterBuffer:
    return JitterBuffer(
        Track.CALLER, Encoding.L16, 8000, origin_ms, slack_ms, depth, problems=Counter()
    )


def problems(line: JitterBuffer) -> Counter[str]:
    return line._problems


def l16(samples: range) -> bytes:
    return np.array(samples, "<i2").tobytes()


def piece(number: int) -> tuple[int, int, bytes]:
    """The nth 20 ms of 0, 1, 2, ..."""
    return number + 1, number * 20, l16(range(number * 160, (number + 1) * 160))


def heard(events: list[Event]) -> list[int]:
    """Sample by sample; a lost one is LOST."""
    samples: list[int] = []
    for event in events:
        assert isinstance(event, Audio | Gap)
        assert event.track is Track.CALLER
        samples += event.pcm.tolist() if isinstance(event, Audio) else [LOST] * event.samples
    return samples


def test_pieces_in_their_order_are_one_run_of_samples() -> None:
    line = timeline()
    events = [event for number in range(3) for event in line.place(*piece(number))]
    assert heard(events) == list(range(480))
    assert not problems(line)


def test_what_never_came_is_a_gap_of_its_length() -> None:
    line = timeline()
    line.place(*piece(0))
    assert heard(line.place(*piece(3))) == [LOST] * 320 + list(range(480, 640))


def test_time_before_the_first_piece_is_a_gap() -> None:
    assert heard(timeline().place(*piece(2)))[:321] == [LOST] * 320 + [320]
    assert heard(timeline(origin_ms=40).place(*piece(2)))[0] == 320


def test_a_piece_that_came_before_is_dropped() -> None:
    line = timeline()
    line.place(*piece(0))
    line.place(*piece(1))
    assert line.place(*piece(0)) == []
    assert line.place(*piece(1)) == []
    assert problems(line) == {"late": 2}


def test_of_a_piece_that_overlaps_the_new_part_is_heard() -> None:
    line = timeline()
    line.place(1, 0, l16(range(320)))
    assert heard(line.place(2, 20, l16(range(160, 480)))) == list(range(320, 480))
    assert line.place(3, 0, l16(range(160))) == []
    assert problems(line) == {"overlap": 2}


@given(tremble_ms=st.lists(st.integers(-10, 10), min_size=1, max_size=50))
def test_a_clock_that_trembles_costs_nothing(tremble_ms: list[int]) -> None:
    line = timeline()
    events: list[Event] = []
    for number, tremble in enumerate(tremble_ms):
        chunk, at_ms, data = piece(number)
        events += line.place(chunk, max(0, at_ms + tremble), data)
    assert heard(events) == list(range(160 * len(tremble_ms)))


def test_a_clock_that_drifts_is_followed() -> None:
    line = timeline()
    events = [
        event
        for number in range(1000)
        for event in line.place(number, number * 21, bytes(320))  # 5 % slow
    ]
    assert abs(len(heard(events)) - 1000 * 21 * 8) <= 160
    assert max(event.samples for event in events if isinstance(event, Gap)) <= 160


@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_any_cuts_give_the_same_samples(cuts: list[int]) -> None:
    data = l16(range(1000))
    line = timeline()
    events: list[Event] = []
    borders = [0, *sorted(cuts), len(data)]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        events += line.place(number, left // 2 // 8, data[left:right])
    assert heard(events) == list(range(1000))


def test_half_a_sample_waits_for_its_rest_but_not_over_a_gap() -> None:
    line = timeline()
    data = l16(range(161))
    assert heard(line.place(1, 0, data[:321])) == list(range(160))
    assert heard(line.place(2, 20, data[321:])) == [160]
    line = timeline()
    line.place(1, 0, data[:321])
    assert heard(line.place(*piece(3))) == [LOST] * 320 + list(range(480, 640))


# Pieces that come in another order.


@given(late=st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_order_is_restored_where_pieces_are_late_by_no_more_than_the_depth(late: list[int]) -> None:
    line = timeline(depth=5)
    arrival = sorted(range(len(late)), key=lambda number: number + late[number])
    events = [event for number in arrival for event in line.place(*piece(number))]
    assert heard(events + line.flush()) == list(range(160 * len(late)))
    assert not problems(line)


def test_the_depth_bounds_how_much_waits_for_a_piece_that_never_comes() -> None:
    line = timeline(depth=3)
    line.place(*piece(0))
    for number in (2, 3, 4):
        assert line.place(*piece(number)) == []
    assert heard(line.place(*piece(5))) == [LOST] * 160 + list(range(320, 960))
    assert line.place(*piece(1)) == []
    assert problems(line) == {"late": 1}


def test_silence_that_was_not_sent_is_waited_for_by_nobody() -> None:
    line = timeline(depth=3)
    line.place(*piece(0))
    events = line.place(2, 1000, bytes(320))  # the next chunk, much later
    assert len(heard(events)) == 980 * 8 + 160


def test_numbers_that_two_tracks_share_make_no_piece_wait() -> None:
    line = timeline(depth=3)
    for number in range(10):
        _, at_ms, data = piece(number)
        assert len(heard(line.place(2 * number + 1, at_ms, data))) == 160


def test_flush_gives_what_still_waits() -> None:
    line = timeline(depth=3)
    line.place(*piece(0))
    line.place(*piece(3))
    line.place(*piece(2))
    assert heard(line.flush()) == [LOST] * 160 + list(range(320, 640))
    assert line.flush() == []


@pytest.mark.parametrize("depth", [0, 3])
@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 10**7), st.binary(max_size=9)), max_size=40
    )
)
def test_no_order_of_pieces_makes_time_go_back_or_grow_without_bound(
    depth: int, pieces: list[tuple[int, int, bytes]]
) -> None:
    line = timeline(depth)
    events: list[Event] = []
    for one in pieces:
        events += line.place(*one)
        assert len(line._waiting) <= depth
    length = len(heard([event for event in events if isinstance(event, Audio)])) + sum(
        event.samples for event in events if isinstance(event, Gap)
    )
    assert all(event.samples > 0 for event in events if isinstance(event, Gap))
    latest = max((at_ms for _, at_ms, _ in pieces), default=0)
    assert length <= latest * 8 + sum(len(data) for *_, data in pieces)
