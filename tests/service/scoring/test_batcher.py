import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from model.features import FeatureSpec
from model.labels import EMOTIONS, STYLES
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.metrics import Metrics
from service.scoring.batcher import Batcher, WindowDropped
from service.scoring.scorer import Posterior

ENOUGH_S = 5.0  # for anything that must happen, however busy the machine


def window(number: float) -> ModelInput:
    """One that can be told from the others."""
    return SpeakerBaseline(FeatureSpec()).features(np.full((3, 40), number, np.float32))


class Ear:
    """Answers every window with its number; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        numbers = [float(window.frames[0, 0]) for window in windows]
        self.batches.append(numbers)
        return [self.answer(number) for number in numbers]

    def answer(self, number: float) -> Posterior:
        return Posterior(dict.fromkeys(EMOTIONS, number), dict.fromkeys(STYLES, number))


class Allergic(Ear):
    """Fails when the number 13 is in the batch."""

    def answer(self, number: float) -> Posterior:
        if number == 13:
            raise ArithmeticError("thirteen")
        return super().answer(number)


class Forgetful(Ear):
    """Leaves out the answer to the number 13."""

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        answers = super().score(windows)
        return [a for a, number in zip(answers, self.batches[-1], strict=True) if number != 13]


class Slow(Ear):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.go = threading.Event()

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        self.asked.set()
        assert self.go.wait(ENOUGH_S)
        return super().score(windows)


def batcher(
    scorer: Ear,
    *,
    batch_max: int = 4,
    wait_s: float = 0.0,
    queue_max: int = 100,
    max_age_s: float = 60.0,
) -> Batcher:
    return Batcher(
        scorer,
        Metrics(),
        batch_max=batch_max,
        wait_s=wait_s,
        queue_max=queue_max,
        max_age_s=max_age_s,
    )


@asynccontextmanager
async def running(batches: Batcher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(batches.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def number(answer: asyncio.Future[Posterior]) -> float:
    posterior = await asyncio.wait_for(answer, ENOUGH_S)
    return posterior.emotion[EMOTIONS[0]]


async def dropped(answer: asyncio.Future[Posterior]) -> str:
    with pytest.raises(WindowDropped) as caught:
        await asyncio.wait_for(answer, ENOUGH_S)
    return caught.value.reason


async def asked(scorer: Slow) -> None:
    assert await asyncio.to_thread(scorer.asked.wait, ENOUGH_S)


async def test_two_windows_submitted_together_are_scored_together() -> None:
    ear = Ear()
    batches = batcher(ear, wait_s=0.05)
    async with running(batches):
        answers = [batches.submit(window(1)), batches.submit(window(2))]
        assert [await number(answer) for answer in answers] == [1, 2]
    assert ear.batches == [[1, 2]]


async def test_a_window_waits_for_company_no_longer_than_the_deadline() -> None:
    ear = Ear()
    batches = batcher(ear, wait_s=0.1)
    async with running(batches):
        began = time.monotonic()
        assert await number(batches.submit(window(1))) == 1
        assert time.monotonic() - began >= 0.1
    assert ear.batches == [[1]]


async def test_a_full_batch_does_not_wait_for_the_deadline() -> None:
    ear = Ear()
    batches = batcher(ear, batch_max=2, wait_s=60)
    async with running(batches):
        answers = [batches.submit(window(n)) for n in (1, 2)]
        assert [await number(answer) for answer in answers] == [1, 2]
    assert ear.batches == [[1, 2]]


async def test_no_batch_is_larger_than_batch_max_and_all_keep_their_order() -> None:
    ear = Ear()
    batches = batcher(ear, batch_max=2)
    answers = [batches.submit(window(n)) for n in range(5)]
    async with running(batches):
        assert [await number(answer) for answer in answers] == [0, 1, 2, 3, 4]
    assert ear.batches == [[0, 1], [2, 3], [4]]


async def test_a_full_queue_drops_the_oldest() -> None:
    ear = Ear()
    batches = batcher(ear, queue_max=3)
    answers = [batches.submit(window(n)) for n in range(5)]
    assert len(batches) == 3
    assert batches.pressure == 1.0
    assert [await dropped(answer) for answer in answers[:2]] == ["queue_full"] * 2
    async with running(batches):
        assert [await number(answer) for answer in answers[2:]] == [2, 3, 4]
    assert batches.pressure == 0.0


async def test_pressure_is_how_near_windows_are_to_being_dropped() -> None:
    batches = batcher(Ear(), queue_max=10, max_age_s=0.2)
    assert batches.pressure == 0
    batches.submit(window(1))
    assert 0.1 <= batches.pressure < 1  # by their number: one of ten
    await asyncio.sleep(0.1)
    assert 0.5 <= batches.pressure <= 1  # by their age
    await asyncio.sleep(0.15)
    assert batches.pressure == 1
    async with running(batches):
        await asyncio.sleep(0.01)
        assert batches.pressure == 0


async def test_a_window_that_waited_too_long_is_dropped_and_never_scored() -> None:
    ear = Ear()
    batches = batcher(ear, max_age_s=0.05)
    late = batches.submit(window(1))
    await asyncio.sleep(0.06)
    fresh = batches.submit(window(2))
    async with running(batches):
        assert await dropped(late) == "too_late"
        assert await number(fresh) == 2
    assert ear.batches == [[2]]


@pytest.mark.parametrize("kind", [Allergic, Forgetful])
async def test_a_poisoned_window_fails_alone_and_the_next_ones_are_answered(
    kind: type[Ear],
) -> None:
    scorer = kind()
    batches = batcher(scorer)
    answers = [batches.submit(window(n)) for n in (1, 13, 2)]
    async with running(batches):
        assert await number(answers[0]) == 1
        assert await dropped(answers[1]) == "failed"
        assert await number(answers[2]) == 2
        assert await number(batches.submit(window(3))) == 3
    assert scorer.batches == [[1, 13, 2], [1], [13], [2], [3]]


async def test_a_window_whose_call_is_gone_is_not_scored() -> None:
    ear = Ear()
    batches = batcher(ear)
    answers = [batches.submit(window(n)) for n in range(3)]
    answers[1].cancel()
    async with running(batches):
        assert [await number(answers[n]) for n in (0, 2)] == [0, 2]
    assert ear.batches == [[0, 2]]


async def test_a_call_that_goes_while_its_window_is_scored_disturbs_nobody() -> None:
    slow = Slow()
    batches = batcher(slow)
    answers = [batches.submit(window(n)) for n in range(3)]
    async with running(batches):
        await asked(slow)
        answers[1].cancel()
        slow.go.set()
        assert [await number(answers[n]) for n in (0, 2)] == [0, 2]


async def test_in_a_full_queue_windows_whose_call_is_gone_make_way_first() -> None:
    batches = batcher(Ear(), queue_max=3)
    answers = [batches.submit(window(n)) for n in range(3)]
    answers[1].cancel()
    last = batches.submit(window(3))
    async with running(batches):
        assert [await number(answer) for answer in (answers[0], answers[2], last)] == [0, 2, 3]


async def test_only_gone_windows_leave_the_batcher_ready_for_the_next() -> None:
    ear = Ear()
    batches = batcher(ear)
    for n in range(10):
        batches.submit(window(n)).cancel()
    async with running(batches):
        await asyncio.sleep(0)
        assert await number(batches.submit(window(10))) == 10
    assert ear.batches == [[10]]


async def test_a_stop_answers_all_that_wait_and_all_that_are_being_scored() -> None:
    slow = Slow()
    batches = batcher(slow, batch_max=2)
    answers = [batches.submit(window(n)) for n in range(5)]
    async with running(batches) as task:
        await asked(slow)
        task.cancel()
        assert [await dropped(answer) for answer in answers] == ["stopped"] * 5
    slow.go.set()


async def test_a_stop_answers_a_batch_that_is_being_scored_one_by_one() -> None:
    class Stuck(Allergic):
        def __init__(self) -> None:
            super().__init__()
            self.alone = threading.Event()
            self.go = threading.Event()

        def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
            if len(windows) == 1:
                self.alone.set()
                assert self.go.wait(ENOUGH_S)
            return super().score(windows)

    stuck = Stuck()
    batches = batcher(stuck)
    answers = [batches.submit(window(n)) for n in (1, 13, 2)]
    async with running(batches) as task:
        assert await asyncio.to_thread(stuck.alone.wait, ENOUGH_S)
        task.cancel()
        assert [await dropped(answer) for answer in answers] == ["stopped"] * 3
    stuck.go.set()


@pytest.mark.parametrize("turns", range(8))
async def test_a_stop_is_heard_even_while_a_batch_gets_full(turns: int) -> None:
    batches = batcher(Ear(), batch_max=2, wait_s=60)
    async with running(batches) as task:
        answers = [batches.submit(window(1))]
        for _ in range(5):
            await asyncio.sleep(0)
        answers.append(batches.submit(window(2)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=ENOUGH_S)
        assert done
        assert task.cancelled()
        assert all(answer.done() for answer in answers)


async def test_after_a_stop_a_window_is_dropped_at_once() -> None:
    batches = batcher(Ear())
    async with running(batches):
        await asyncio.sleep(0)
    assert await dropped(batches.submit(window(1))) == "stopped"
    assert len(batches) == 0


async def test_the_event_loop_goes_on_while_windows_are_scored() -> None:
    class Sleepy(Ear):
        def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
            time.sleep(0.3)
            return super().score(windows)

    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    batches = batcher(Sleepy())
    heart = asyncio.create_task(beat())
    async with running(batches):
        assert await number(batches.submit(window(1))) == 1
    heart.cancel()
    assert beats >= 10


async def test_a_dropped_window_that_nobody_asks_about_is_no_fault() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    batches = batcher(Allergic(), queue_max=1)
    batches.submit(window(1))
    batches.submit(window(13))
    async with running(batches):
        assert await number(batches.submit(window(2))) == 2
        batches.submit(window(13))
        await asyncio.sleep(0.05)
        batches.submit(window(3))
    gc.collect()
    await asyncio.sleep(0)
    assert faults == []


async def test_batches_are_counted_with_their_size() -> None:
    metrics = Metrics()
    batches = Batcher(Ear(), metrics, batch_max=4, wait_s=0, queue_max=10, max_age_s=60)
    answers = [batches.submit(window(n)) for n in range(6)]
    async with running(batches):
        await asyncio.gather(*answers)
    assert metrics.registry.get_sample_value("kanjo_batch_windows_count") == 2
    assert metrics.registry.get_sample_value("kanjo_batch_windows_sum") == 6
