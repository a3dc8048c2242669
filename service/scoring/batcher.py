"""Scores the windows of all calls in batches: a batch starts when it is full or when it is due."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import structlog

from model.speaker_baseline import ModelInput
from service.errors import KanjoError
from service.metrics import Metrics
from service.scoring.scorer import Posterior, Scorer

log = structlog.get_logger()

DropReason = Literal["queue_full", "too_late", "stopped", "failed"]


class WindowDropped(KanjoError):
    """A window will not be scored."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"window dropped: {self.reason}"


@dataclass(frozen=True, slots=True)
class _QueuedWindow:
    model_input: ModelInput
    queued_at: float  # on the batcher's clock
    posterior: asyncio.Future[Posterior]


class Batcher:
    """A bounded queue of windows and a thread in which the scorer runs.

    If the queue is full, the oldest window is dropped: a late reading is of no use. If a batch
    fails, its windows are scored again one by one, so that only the faulty one is dropped.

    Args:
        scorer: is called in a thread of its own.
        batch_max: windows in a batch at most.
        wait_s: longest a window is queued while its batch fills.
        queue_max: windows in the queue at most.
        max_age_s: a window that was queued longer than this is dropped.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        scorer: Scorer,
        metrics: Metrics,
        *,
        batch_max: int,
        wait_s: float,
        queue_max: int,
        max_age_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scorer = scorer
        self._metrics = metrics
        self._batch_max = batch_max
        self._wait_s = wait_s
        self._queue_max = queue_max
        self._max_age_s = max_age_s
        self._clock = clock
        self._queue: deque[_QueuedWindow] = deque()
        self._not_empty = asyncio.Event()
        self._batch_full = asyncio.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def pressure(self) -> float:
        """How close queued windows are to being dropped, by number or by age; 0 to 1."""
        if not self._queue:
            return 0.0
        age_s = self._clock() - self._queue[0].queued_at
        return min(1.0, max(len(self._queue) / self._queue_max, age_s / self._max_age_s))

    def submit(self, model_input: ModelInput) -> asyncio.Future[Posterior]:
        """Queues a window; the future is given its posterior or WindowDropped.

        A caller that no longer needs the posterior cancels the future.
        """
        posterior = asyncio.get_running_loop().create_future()
        posterior.add_done_callback(_mark_retrieved)
        queued = _QueuedWindow(model_input, self._clock(), posterior)
        if self._stopped:
            self._drop(queued, "stopped")
            return posterior
        if len(self._queue) >= self._queue_max:
            self._make_room()
        self._queue.append(queued)
        self._not_empty.set()
        if len(self._queue) >= self._batch_max:
            self._batch_full.set()
        return posterior

    async def run(self) -> None:
        """Scores batches until cancelled; then drops what is queued or being scored."""
        try:
            while True:
                await self._not_empty.wait()
                age_s = self._clock() - self._queue[0].queued_at
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s - age_s):
                        await self._batch_full.wait()
                batch = self._take_batch()
                try:
                    await self._score_batch(batch)
                finally:
                    for queued in batch:
                        self._drop(queued, "stopped")
        finally:
            self._stopped = True
            while self._queue:
                self._drop(self._queue.popleft(), "stopped")
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _make_room(self) -> None:
        """Removes all cancelled windows, or else drops the oldest."""
        self._queue = deque(queued for queued in self._queue if not queued.posterior.done())
        if len(self._queue) >= self._queue_max:
            self._drop(self._queue.popleft(), "queue_full")

    def _take_batch(self) -> list[_QueuedWindow]:
        batch: list[_QueuedWindow] = []
        oldest_at = self._clock() - self._max_age_s
        while self._queue and len(batch) < self._batch_max:
            queued = self._queue.popleft()
            if queued.queued_at < oldest_at:
                self._drop(queued, "too_late")
            elif not queued.posterior.done():
                batch.append(queued)
        if not self._queue:
            self._not_empty.clear()
        if len(self._queue) < self._batch_max:
            self._batch_full.clear()
        return batch

    def _drop(self, queued: _QueuedWindow, reason: DropReason) -> None:
        """Gives the future WindowDropped, unless it has a result or was cancelled."""
        if not queued.posterior.done():
            queued.posterior.set_exception(WindowDropped(reason))

    async def _score_batch(self, batch: Sequence[_QueuedWindow]) -> None:
        if not batch:
            return
        began_at = self._clock()
        try:
            scored = list(zip(batch, await self._score(batch), strict=True))
        except Exception as error:  # of any kind: it must not affect the other windows
            if len(batch) == 1:
                log.exception("window_failed", exc_info=error)
                self._drop(batch[0], "failed")
                return
            for queued in batch:
                await self._score_batch([queued])
            return
        self._metrics.batch_windows.observe(len(batch))
        self._metrics.scoring_seconds.observe(self._clock() - began_at)
        for queued, posterior in scored:
            if not queued.posterior.done():
                queued.posterior.set_result(posterior)

    async def _score(self, batch: Sequence[_QueuedWindow]) -> list[Posterior]:
        loop = asyncio.get_running_loop()
        windows = [queued.model_input for queued in batch]
        return await loop.run_in_executor(self._thread, self._scorer.score, windows)


def _mark_retrieved(posterior: asyncio.Future[Posterior]) -> None:
    """Reads the exception, so that asyncio does not log a dropped window as an error."""
    if not posterior.cancelled():
        posterior.exception()
