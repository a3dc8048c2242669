from dataclasses import dataclass, field

import pytest

from service.loadtest.schedule import Arrivals, FrameSchedule


@dataclass
class PacedCall:
    """Frames every `frame_s` from `origin_s` on, so many of them."""

    name: str
    origin_s: float
    frame_s: float
    frames: int
    sent: list[float] = field(default_factory=list)

    @property
    def due_s(self) -> float | None:
        number = len(self.sent)
        return None if number == self.frames else self.origin_s + (number + 1) * self.frame_s


def play(schedule: FrameSchedule[PacedCall], now_s: float, most: int = 1000) -> list[str]:
    """Sends what is due, and returns whose frames those were."""
    names = []
    for due_s, call in schedule.due(now_s, most):
        call.sent.append(due_s)
        names.append(call.name)
    return names


def test_frames_of_all_calls_come_in_the_order_in_which_they_are_due() -> None:
    schedule: FrameSchedule[PacedCall] = FrameSchedule()
    slow, quick = PacedCall("slow", 0.0, 0.5, 10), PacedCall("quick", 0.1, 0.25, 10)
    for call in (slow, quick):
        schedule.add(call)
    assert schedule.next_s == 0.35
    assert play(schedule, 0.3) == []
    assert play(schedule, 1.0) == ["quick", "slow", "quick", "quick", "slow"]
    assert schedule.next_s == 1.1


def test_a_late_frame_makes_no_later_one_late() -> None:
    schedule: FrameSchedule[PacedCall] = FrameSchedule()
    call = PacedCall("a", 5.0, 0.02, 1000)
    schedule.add(call)
    play(schedule, 6.0)  # nothing was sent for a second
    assert call.sent == pytest.approx([5 + 0.02 * n for n in range(1, len(call.sent) + 1)])
    assert len(call.sent) in (49, 50)
    assert schedule.next_s == pytest.approx(5.02 + 0.02 * len(call.sent))


def test_a_call_that_is_over_is_not_scheduled_any_more() -> None:
    schedule: FrameSchedule[PacedCall] = FrameSchedule()
    schedule.add(PacedCall("short", 0.0, 1.0, 2))
    assert play(schedule, 10.0) == ["short"] * 2
    assert len(schedule) == 0
    assert schedule.next_s is None


def test_so_many_frames_at_most_are_sent_in_a_turn() -> None:
    schedule: FrameSchedule[PacedCall] = FrameSchedule()
    schedule.add(PacedCall("a", 0.0, 0.02, 1000))
    assert len(play(schedule, 10.0, most=7)) == 7
    assert len(schedule) == 1


def test_calls_arrive_at_a_rate_and_what_was_missed_is_not_made_up() -> None:
    arrivals = Arrivals(10.0)
    begun = [arrivals.begin(50 + tick / 100, 1000) for tick in range(100)]
    assert sum(begun) in (10, 11, 12)
    assert max(begun[1:]) == 1
    assert arrivals.begin(80.0, 1000) <= 2  # half a minute later


def test_without_a_rate_all_calls_begin_at_once() -> None:
    assert Arrivals(None).begin(0.0, 40) == 40


def test_a_refused_caller_is_not_replaced_until_they_call_again() -> None:
    arrivals = Arrivals(None, retry_s=5.0)
    arrivals.refuse(100.0)
    arrivals.refuse(101.0)
    assert arrivals.refused == 2
    assert arrivals.begin(104.9, 3) == 1  # two of the three that are missing wait
    assert arrivals.begin(105.0, 2) == 1
    assert arrivals.begin(106.0, 1) == 1
    assert arrivals.refused == 0
