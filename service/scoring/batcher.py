"""Scores the windows of all calls in batches: a batch starts when it is full or when it is due."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import structlog

from model.chunked_input import ChunkedInput, WindowInput
from service.errors import KanjoError
from service.metrics import Metrics
from service.scoring.fair_queue import FairQueue
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


@dataclass(frozen=True, slots=True, eq=False)
class _QueuedWindow:
    call: Hashable
    model_input: WindowInput
    queued_at: float  # on the batcher's clock
    posterior: asyncio.Future[Posterior]


class Batcher:
    """A bounded queue of windows and a thread in which the scorer runs.

    Calls share it: a call's second queued window goes after every other call's first. If the queue
    is full, the call with the most windows in it loses its oldest: a late reading is of no use.
    What of a dropped window is not encoded is left out of the call's later windows, too. If a batch
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
        self._queue: FairQueue[_QueuedWindow] = FairQueue()
        self._not_empty = asyncio.Event()
        self._batch_full = asyncio.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")

    def __len__(self) -> int:
        return len(self._queue)

    def pressure(self, call: Hashable = None) -> float:
        """How close a call's next window is to being dropped, by number or by age; 0 to 1."""
        oldest_at = self._queue.oldest_of(call)
        age_s = 0.0 if oldest_at is None else self._clock() - oldest_at
        # Of other calls' windows only those are before it that have their turn before it.
        before = min(len(self._queue), (self._queue.count(call) + 1) * self._queue.calls)
        return min(1.0, max(before / self._queue_max, age_s / self._max_age_s))

    def submit(self, model_input: WindowInput, call: Hashable = None) -> asyncio.Future[Posterior]:
        """Queues a window; the future is given its posterior or WindowDropped.

        Windows that have the same `call` share its turns. A caller that no longer needs the
        posterior cancels the future.
        """
        posterior = asyncio.get_running_loop().create_future()
        queued = _QueuedWindow(call, model_input, self._clock(), posterior)
        posterior.add_done_callback(partial(self._settled, queued))
        if self._stopped:
            self._drop(queued, "stopped")
            return posterior
        self._queue.push(queued)
        if len(self._queue) > self._queue_max:
            self._drop(self._queue.pop_of_most(), "queue_full")
        self._note_length()
        return posterior

    async def run(self) -> None:
        """Scores batches until cancelled; then drops what is queued or being scored."""
        try:
            while True:
                await self._not_empty.wait()
                oldest_at = self._queue.oldest_at
                if oldest_at is None:
                    continue  # all were cancelled meanwhile
                age_s = self._clock() - oldest_at
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
                self._drop(self._queue.pop(), "stopped")
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take_batch(self) -> list[_QueuedWindow]:
        batch: list[_QueuedWindow] = []
        oldest_at = self._clock() - self._max_age_s
        while self._queue and len(batch) < self._batch_max:
            queued = self._queue.pop()
            if queued.queued_at < oldest_at:
                self._drop(queued, "too_late")
            elif not queued.posterior.done():
                batch.append(queued)
        self._note_length()
        return batch

    def _note_length(self) -> None:
        """Sets the events that `run` waits for."""
        for event, least in ((self._not_empty, 1), (self._batch_full, self._batch_max)):
            if len(self._queue) >= least:
                event.set()
            else:
                event.clear()

    def _settled(self, queued: _QueuedWindow, posterior: asyncio.Future[Posterior]) -> None:
        """Takes a cancelled window out of the queue.

        Reads the exception, so that asyncio does not log a dropped window as an error.
        """
        if posterior.cancelled():
            self._queue.discard(queued)
            self._note_length()
        else:
            posterior.exception()

    def _drop(self, queued: _QueuedWindow, reason: DropReason) -> None:
        """Gives the future WindowDropped, unless it has a result or was cancelled."""
        if not queued.posterior.done():
            if isinstance(queued.model_input, ChunkedInput):
                queued.model_input.leave_out()
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
