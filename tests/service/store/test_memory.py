import pytest

from service.store.entries import HeartbeatEntry, ReadingEntry
from service.store.memory import MemoryQueue
from service.store.views import ReadingView
from tests.service.store.facts import reading


def kept(number: int) -> HeartbeatEntry:
    return HeartbeatEntry(f"s{number}", "call-1")


def droppable(number: int) -> ReadingEntry:
    r = reading(number)
    view = ReadingView(
        call_id=r.call_id,
        number=r.number,
        track=r.track,
        start_s=r.start_s,
        end_s=r.end_s,
        heard_s=r.heard_s,
        probabilities=dict(r.probabilities),
        at=0.0,
    )
    return ReadingEntry("s1", view)


def test_entries_are_taken_in_their_order() -> None:
    queue = MemoryQueue(5)
    for number in range(3):
        queue.append(kept(number))
    assert queue.take(2) == [kept(0), kept(1)]
    assert queue.take(2) == [kept(2)]
    assert len(queue) == 0


def test_the_oldest_droppable_entry_makes_room() -> None:
    queue = MemoryQueue(3)
    for entry in (kept(0), droppable(1), droppable(2), droppable(3), kept(4)):
        queue.append(entry)
    assert (len(queue), queue.dropped, queue.rejected) == (3, 2, 0)
    assert queue.take(3) == [kept(0), droppable(3), kept(4)]


def test_without_a_droppable_entry_the_new_one_is_discarded() -> None:
    queue = MemoryQueue(1)
    for entry in (kept(0), kept(1), droppable(2)):
        queue.append(entry)
    assert (queue.dropped, queue.rejected) == (1, 1)
    assert queue.take(3) == [kept(0)]


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="got a queue of 0 entries"):
        MemoryQueue(0)
