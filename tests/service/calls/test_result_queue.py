import asyncio

import pytest

from service.calls.result_queue import ResultQueue
from service.events import Reading, Transition
from service.store.receipt import Receipt
from tests.limits import ENOUGH_S
from tests.service.store.facts import FIRING, PENDING, RESOLVED, reading, transition


class Listener:
    """A queue, what it has passed on, and how many steps of it were not kept."""

    def __init__(self, keep_within_s: float = ENOUGH_S) -> None:
        self.received: list[object] = []
        self.unkept = 0
        self.faulty = False
        self.failed = asyncio.Event()
        self.queue = ResultQueue(
            self._receive, keep_within_s, unkept=self._count, failed=self.failed.set
        )

    def _receive(self, result: Reading | Transition) -> None:
        if self.faulty:
            raise ZeroDivisionError("a fault in our code")
        self.received.append(result)

    def _count(self) -> None:
        self.unkept += 1


async def test_a_step_is_passed_on_only_once_it_is_kept_and_later_results_after_it() -> None:
    listener, receipts = Listener(), [Receipt(), Receipt()]
    steps = [transition(1, PENDING), transition(2, FIRING)]
    listener.queue.reading(reading(1))
    for step, receipt in zip(steps, receipts, strict=True):
        listener.queue.transition(step, receipt)
    listener.queue.reading(reading(2))
    assert listener.received == [reading(1)]
    receipts[1].keep()
    assert listener.received == [reading(1)]
    receipts[0].keep()
    assert listener.received == [reading(1), *steps, reading(2)]
    assert listener.unkept == 0
    await listener.queue.emptied()


async def test_a_step_that_is_kept_already_is_passed_on_at_once() -> None:
    listener, receipt = Listener(), Receipt()
    receipt.keep()
    listener.queue.transition(transition(1, PENDING), receipt)
    assert listener.received == [transition(1, PENDING)]


async def test_after_the_bound_a_step_is_passed_on_all_the_same_counted_and_let_go() -> None:
    listener, receipt = Listener(keep_within_s=0.02), Receipt()
    listener.queue.transition(transition(1, PENDING), receipt)
    listener.queue.reading(reading(1))
    await asyncio.wait_for(listener.queue.emptied(), ENOUGH_S)
    assert listener.received == [transition(1, PENDING), reading(1)]
    assert listener.unkept == 1
    receipt.keep()
    assert len(listener.received) == 2


async def test_a_fault_of_the_listener_reaches_its_stream_and_never_the_store() -> None:
    listener, receipt = Listener(), Receipt()
    listener.faulty = True
    listener.queue.transition(transition(3, RESOLVED), receipt)
    receipt.keep()
    assert listener.failed.is_set()
    with pytest.raises(ZeroDivisionError):
        listener.queue.raise_failure()
    listener.queue.raise_failure()
    await listener.queue.emptied()
