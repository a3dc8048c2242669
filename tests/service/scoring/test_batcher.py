import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
from tests.limits import ENOUGH_S


def window(number: float) -> ModelInput:
    """A window whose first value is a number that identifies it."""
    return SpeakerBaseline(FeatureSpec()).features(np.full((3, 40), number, np.float32))


class NumberScorer:
    """Scores every window with its number; keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        numbers = [float(window.frames[0, 0]) for window in windows]
        self.batches.append(numbers)
        return [self.posterior(number) for number in numbers]

    def posterior(self, number: float) -> Posterior:
        return Posterior(dict.fromkeys(EMOTIONS, number), dict.fromkeys(STYLES, number))


class FailingScorer(NumberScorer):
    """Raises if the number 13 is in the batch."""

    def posterior(self, number: float) -> Posterior:
        if number == 13:
            raise ArithmeticError("thirteen")
        return super().posterior(number)


class IncompleteScorer(NumberScorer):
    """Returns no posterior for the number 13."""

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        scored = super().score(windows)
        return [p for p, number in zip(scored, self.batches[-1], strict=True) if number != 13]


class BlockedScorer(NumberScorer):
    """Scores nothing until `go` is set; `called` is set when a batch has arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.called = threading.Event()
        self.go = threading.Event()

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        self.called.set()
        assert self.go.wait(ENOUGH_S)
        return super().score(windows)


def make_batcher(
    scorer: NumberScorer,
    *,
    batch_max: int = 4,
    wait_s: float = 0.0,
    queue_max: int = 100,
    max_age_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
) -> Batcher:
    return Batcher(
        scorer,
        Metrics(),
        batch_max=batch_max,
        wait_s=wait_s,
        queue_max=queue_max,
        max_age_s=max_age_s,
        clock=clock,
    )


@asynccontextmanager
async def running(batcher: Batcher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(batcher.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def number(posterior: asyncio.Future[Posterior]) -> float:
    posterior = await asyncio.wait_for(posterior, ENOUGH_S)
    return posterior.emotion[EMOTIONS[0]]


async def dropped(posterior: asyncio.Future[Posterior]) -> str:
    with pytest.raises(WindowDropped) as caught:
        await asyncio.wait_for(posterior, ENOUGH_S)
    return caught.value.reason


async def called(scorer: BlockedScorer) -> None:
    assert await asyncio.to_thread(scorer.called.wait, ENOUGH_S)


async def test_two_windows_submitted_together_are_scored_together() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer, wait_s=0.05)
    async with running(batcher):
        posteriors = [batcher.submit(window(1)), batcher.submit(window(2))]
        assert [await number(posterior) for posterior in posteriors] == [1, 2]
    assert scorer.batches == [[1, 2]]


async def test_a_batch_is_scored_when_it_is_due_though_it_is_not_full() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer, wait_s=0.1)
    async with running(batcher):
        began = time.monotonic()
        assert await number(batcher.submit(window(1))) == 1
        assert time.monotonic() - began >= 0.1
    assert scorer.batches == [[1]]


async def test_a_full_batch_is_scored_before_it_is_due() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer, batch_max=2, wait_s=60)
    async with running(batcher):
        posteriors = [batcher.submit(window(n)) for n in (1, 2)]
        assert [await number(posterior) for posterior in posteriors] == [1, 2]
    assert scorer.batches == [[1, 2]]


async def test_no_batch_is_larger_than_batch_max_and_all_keep_their_order() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer, batch_max=2)
    posteriors = [batcher.submit(window(n)) for n in range(5)]
    async with running(batcher):
        assert [await number(posterior) for posterior in posteriors] == [0, 1, 2, 3, 4]
    assert scorer.batches == [[0, 1], [2, 3], [4]]


async def test_a_full_queue_drops_the_oldest() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer, queue_max=3)
    posteriors = [batcher.submit(window(n)) for n in range(5)]
    assert len(batcher) == 3
    assert batcher.pressure() == 1.0
    assert [await dropped(posterior) for posterior in posteriors[:2]] == ["queue_full"] * 2
    async with running(batcher):
        assert [await number(posterior) for posterior in posteriors[2:]] == [2, 3, 4]
    assert batcher.pressure() == 0.0


async def test_pressure_is_how_close_windows_are_to_being_dropped() -> None:
    now_s = 0.0
    batcher = make_batcher(NumberScorer(), queue_max=10, max_age_s=0.2, clock=lambda: now_s)
    assert batcher.pressure() == 0
    batcher.submit(window(1))
    assert batcher.pressure() == pytest.approx(0.1)  # by their number: one of ten
    now_s = 0.1
    assert batcher.pressure() == pytest.approx(0.5)  # by their age
    now_s = 0.25
    assert batcher.pressure() == 1
    async with running(batcher):
        await asyncio.sleep(0.01)
        assert batcher.pressure() == 0


async def test_a_window_that_was_queued_too_long_is_dropped_and_never_scored() -> None:
    now_s = 0.0
    scorer = NumberScorer()
    batcher = make_batcher(scorer, max_age_s=0.05, clock=lambda: now_s)
    late = batcher.submit(window(1))
    now_s = 0.06
    fresh = batcher.submit(window(2))
    async with running(batcher):
        assert await dropped(late) == "too_late"
        assert await number(fresh) == 2
    assert scorer.batches == [[2]]


@pytest.mark.parametrize("kind", [FailingScorer, IncompleteScorer])
async def test_a_faulty_window_fails_alone_and_the_next_ones_are_scored(
    kind: type[NumberScorer],
) -> None:
    scorer = kind()
    batcher = make_batcher(scorer)
    posteriors = [batcher.submit(window(n)) for n in (1, 13, 2)]
    async with running(batcher):
        assert await number(posteriors[0]) == 1
        assert await dropped(posteriors[1]) == "failed"
        assert await number(posteriors[2]) == 2
        assert await number(batcher.submit(window(3))) == 3
    assert scorer.batches == [[1, 13, 2], [1], [13], [2], [3]]


async def test_a_cancelled_window_is_not_scored() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer)
    posteriors = [batcher.submit(window(n)) for n in range(3)]
    posteriors[1].cancel()
    async with running(batcher):
        assert [await number(posteriors[n]) for n in (0, 2)] == [0, 2]
    assert scorer.batches == [[0, 2]]


async def test_a_window_cancelled_while_it_is_scored_affects_no_other() -> None:
    blocked = BlockedScorer()
    batcher = make_batcher(blocked)
    posteriors = [batcher.submit(window(n)) for n in range(3)]
    async with running(batcher):
        await called(blocked)
        posteriors[1].cancel()
        blocked.go.set()
        assert [await number(posteriors[n]) for n in (0, 2)] == [0, 2]


async def test_from_a_full_queue_cancelled_windows_are_removed_first() -> None:
    batcher = make_batcher(NumberScorer(), queue_max=3)
    posteriors = [batcher.submit(window(n)) for n in range(3)]
    posteriors[1].cancel()
    await asyncio.sleep(0)
    assert len(batcher) == 2
    last = batcher.submit(window(3))
    async with running(batcher):
        assert [await number(posterior) for posterior in (posteriors[0], posteriors[2], last)] == [
            0,
            2,
            3,
        ]


async def test_after_only_cancelled_windows_the_next_is_scored() -> None:
    scorer = NumberScorer()
    batcher = make_batcher(scorer)
    for n in range(10):
        batcher.submit(window(n)).cancel()
    async with running(batcher):
        await asyncio.sleep(0)
        assert await number(batcher.submit(window(10))) == 10
    assert scorer.batches == [[10]]


async def test_a_stop_drops_all_that_are_queued_and_all_that_are_being_scored() -> None:
    blocked = BlockedScorer()
    batcher = make_batcher(blocked, batch_max=2)
    posteriors = [batcher.submit(window(n)) for n in range(5)]
    async with running(batcher) as task:
        await called(blocked)
        task.cancel()
        assert [await dropped(posterior) for posterior in posteriors] == ["stopped"] * 5
    blocked.go.set()


async def test_a_stop_drops_a_batch_that_is_being_scored_one_by_one() -> None:
    class Stuck(FailingScorer):
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
    batcher = make_batcher(stuck)
    posteriors = [batcher.submit(window(n)) for n in (1, 13, 2)]
    async with running(batcher) as task:
        assert await asyncio.to_thread(stuck.alone.wait, ENOUGH_S)
        task.cancel()
        assert [await dropped(posterior) for posterior in posteriors] == ["stopped"] * 3
    stuck.go.set()


@pytest.mark.parametrize("turns", range(8))
async def test_a_stop_takes_effect_even_while_a_batch_gets_full(turns: int) -> None:
    batcher = make_batcher(NumberScorer(), batch_max=2, wait_s=60)
    async with running(batcher) as task:
        posteriors = [batcher.submit(window(1))]
        for _ in range(5):
            await asyncio.sleep(0)
        posteriors.append(batcher.submit(window(2)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=ENOUGH_S)
        assert done
        assert task.cancelled()
        assert all(posterior.done() for posterior in posteriors)


async def test_after_a_stop_a_window_is_dropped_at_once() -> None:
    batcher = make_batcher(NumberScorer())
    async with running(batcher):
        await asyncio.sleep(0)
    assert await dropped(batcher.submit(window(1))) == "stopped"
    assert len(batcher) == 0


async def test_the_event_loop_goes_on_while_windows_are_scored() -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    blocked = BlockedScorer()
    batcher = make_batcher(blocked)
    beating = asyncio.create_task(beat())
    async with running(batcher):
        posterior = batcher.submit(window(1))
        await called(blocked)
        async with asyncio.timeout(ENOUGH_S):
            while beats < 10:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert not posterior.done()
        blocked.go.set()
        assert await number(posterior) == 1
    beating.cancel()
    assert beats >= 10


async def test_a_dropped_window_whose_future_is_not_read_is_no_error() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    batcher = make_batcher(FailingScorer(), queue_max=1)
    batcher.submit(window(1))
    batcher.submit(window(13))
    async with running(batcher):
        assert await number(batcher.submit(window(2))) == 2
        batcher.submit(window(13))
        await asyncio.sleep(0.05)
        batcher.submit(window(3))
    gc.collect()
    await asyncio.sleep(0)
    assert faults == []


async def test_batches_are_counted_with_their_size() -> None:
    metrics = Metrics()
    batcher = Batcher(NumberScorer(), metrics, batch_max=4, wait_s=0, queue_max=10, max_age_s=60)
    posteriors = [batcher.submit(window(n)) for n in range(6)]
    async with running(batcher):
        await asyncio.gather(*posteriors)
    assert metrics.registry.get_sample_value("kanjo_batch_windows_count") == 2
    assert metrics.registry.get_sample_value("kanjo_batch_windows_sum") == 6
