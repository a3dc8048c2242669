import asyncio

import pytest

from service.store.event_batch import BEFORE_ALL, EventBatch
from service.store.subscriber import Subscriber
from service.store.views import StreamEvent

BEAT = EventBatch.heartbeat("{}")


def batch(first: int, count: int = 1) -> EventBatch:
    return EventBatch([StreamEvent(f"{first + n}-0", "reading", "{}") for n in range(count)])


async def waiting(subscriber: Subscriber, seen: tuple[int, int] | None) -> asyncio.Task[object]:
    """Returns a task that waits for a batch."""
    task: asyncio.Task[object] = asyncio.create_task(subscriber.take(seen))
    await asyncio.sleep(0)
    return task


async def test_batches_are_taken_in_their_order() -> None:
    subscriber = Subscriber(10)
    given = [batch(1, 3), BEAT, batch(4)]
    for one in given:
        subscriber.give(one)
    assert [await subscriber.take() for _ in given] == given


async def test_more_events_than_may_wait_become_one_resync() -> None:
    subscriber = Subscriber(10)
    subscriber.give(batch(1, 6))
    subscriber.give(batch(7, 4))
    subscriber.give(batch(11, 2))
    subscriber.give(batch(13))
    resync, after = await subscriber.take(), await subscriber.take()
    assert resync is not None
    assert after is not None
    assert [(event.id, event.kind) for event in resync.events] == [("12-0", "resync")]
    assert after.events[0].id == "13-0"
    subscriber.give(batch(14, 11))  # more than may wait, also alone
    assert (found := await subscriber.take()) is not None
    assert [(event.id, event.kind) for event in found.events] == [("24-0", "resync")]


async def test_a_heartbeat_needs_room_and_events_take_that_of_heartbeats() -> None:
    subscriber = Subscriber(2)
    for _ in range(5):
        subscriber.beat(BEAT)
    assert await subscriber.take() is BEAT
    assert await subscriber.take() is BEAT
    subscriber.give(batch(1))
    assert (found := await subscriber.take()) is not None
    assert found.kind == "reading"


async def test_the_end_drops_what_waits() -> None:
    subscriber = Subscriber(10)
    subscriber.give(batch(1))
    subscriber.end()
    assert await subscriber.take() is None


async def test_a_reader_that_waits_is_offered_what_comes_after_what_it_has() -> None:
    offered: list[EventBatch] = []
    subscriber = Subscriber(10, lambda one: offered.append(one) or True)
    early = batch(1)
    subscriber.give(early)
    assert await subscriber.take((0, 0)) is early, "it did not wait yet"
    task = await waiting(subscriber, (5, 0))
    news, overlap, late = batch(6), batch(5, 3), batch(8)
    for one in (BEAT, news, overlap, late):
        subscriber.give(one)
    assert offered == [BEAT, news], "of the overlap it has one event; the last must not overtake it"
    assert await task is overlap
    assert await subscriber.take((7, 0)) is late


async def test_a_resync_is_not_offered_but_taken() -> None:
    subscriber = Subscriber(10, lambda one: True)
    task = await waiting(subscriber, (5, 0))
    resync = EventBatch.resync("9-0")
    subscriber.give(resync)
    assert await task is resync


async def test_a_reader_that_refuses_an_offer_or_waits_for_something_else_takes_the_batch() -> None:
    answers: list[bool] = [False]
    subscriber = Subscriber(10, lambda one: answers.pop())
    first, second = batch(1), batch(2)
    task = await waiting(subscriber, BEFORE_ALL)
    subscriber.give(first)
    assert await task is first
    task = await waiting(subscriber, None)
    subscriber.give(second)
    assert await task is second


async def test_an_offer_that_fails_is_logged_and_the_batch_waits(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(one: EventBatch) -> bool:
        raise OSError("a broken reader")

    subscriber = Subscriber(10, fail)
    task = await waiting(subscriber, BEFORE_ALL)
    one = batch(1)
    subscriber.give(one)
    assert await task is one
    assert "event_not_handed_over" in "".join(capfd.readouterr())


async def test_a_take_that_is_cancelled_loses_nothing() -> None:
    subscriber = Subscriber(10)
    task = await waiting(subscriber, BEFORE_ALL)
    one = batch(1)
    subscriber.give(one)
    task.cancel()
    await asyncio.wait([task])
    assert await subscriber.take() is one
