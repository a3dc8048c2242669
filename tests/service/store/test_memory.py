import pytest

from service.store.entries import Entry, HeartbeatEntry, ReadingEntry
from service.store.memory import MemoryQueue
from service.store.receipt import Receipt
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


def entries(queue: MemoryQueue) -> list[Entry]:
    return [record.entry for record in queue.first(len(queue))]


def filled(limit: int, count: int) -> MemoryQueue:
    queue = MemoryQueue(limit)
    for number in range(count):
        queue.append(kept(number))
    return queue


def test_entries_leave_in_their_order_as_they_are_delivered() -> None:
    queue = filled(5, 3)
    queue.delivered(queue.first(2))
    assert entries(queue) == [kept(2)]
    queue.delivered(queue.first(2))
    assert len(queue) == 0


def test_the_oldest_droppable_entry_makes_room() -> None:
    queue = MemoryQueue(3)
    for entry in (kept(0), droppable(1), droppable(2), droppable(3), kept(4)):
        queue.append(entry)
    assert (len(queue), queue.dropped, queue.rejected) == (3, 2, 0)
    assert entries(queue) == [kept(0), droppable(3), kept(4)]


def test_without_a_droppable_entry_the_new_one_is_discarded() -> None:
    queue = MemoryQueue(1)
    for entry in (kept(0), kept(1), droppable(2)):
        queue.append(entry)
    assert (queue.dropped, queue.rejected) == (1, 1)
    assert entries(queue) == [kept(0)]


def test_what_is_on_disk_makes_room_first_and_is_lost_to_memory_alone() -> None:
    queue = MemoryQueue(3)
    for entry in (kept(0), droppable(1), kept(2)):
        queue.append(entry)
    queue.stored(queue.first_not_on_disk(2), range(7, 9))
    assert (queue.on_disk, queue.not_on_disk) == (2, 1)
    for number in (3, 4):
        queue.append(kept(number))
    assert (queue.released_through, queue.dropped, queue.rejected) == (8, 0, 0)
    assert entries(queue) == [kept(2), kept(3), kept(4)]


def test_what_is_delivered_while_it_is_stored_is_not_on_disk_alone() -> None:
    queue = filled(5, 4)
    storing = queue.first_not_on_disk(4)
    queue.delivered(queue.first(2))
    queue.stored(storing, range(1, 5))
    assert [record.id for record in storing] == [1, 2, 3, 4]
    assert (queue.on_disk, queue.not_on_disk) == (2, 0)
    assert entries(queue) == [kept(2), kept(3)]


def test_entries_for_which_the_disk_has_no_room_are_discarded() -> None:
    queue = filled(5, 3)
    queue.stored(queue.first_not_on_disk(3), range(1, 2))
    assert entries(queue) == [kept(0)]


def test_a_receipt_tells_once_that_its_entry_is_on_disk() -> None:
    told: list[str] = []
    receipt = Receipt()
    receipt.when_kept(lambda: told.append("kept"))
    queue = MemoryQueue(5)
    queue.append(kept(0), receipt)
    assert not receipt.kept
    record = queue.first(1)[0]
    queue.stored([record], range(1, 2))
    record.kept()
    assert receipt.kept
    assert told == ["kept"]


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="got a queue of 0 entries"):
        MemoryQueue(0)
