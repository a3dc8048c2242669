"""Windows of all calls, scored together: by number or by deadline, whichever comes first."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
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
    """A window will never be scored."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"window dropped: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Waiting:
    window: ModelInput
    since: float  # monotonic
    answer: asyncio.Future[Posterior]


class Batcher:
    """A bounded queue before a scorer that has a thread of its own.

    When the queue is full the oldest window goes: a late emotion is worthless. A window that fails
    fails alone: those of its batch are scored again one by one.
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
    ) -> None:
        self._scorer = scorer
        self._metrics = metrics
        self._batch_max = batch_max
        self._wait_s = wait_s
        self._queue_max = queue_max
        self._max_age_s = max_age_s
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._stopped = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scorer")

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def pressure(self) -> float:
        """How near windows are to being dropped, by their number or by their age; 0 to 1."""
        if not self._queue:
            return 0.0
        age_s = time.monotonic() - self._queue[0].since
        return min(1.0, max(len(self._queue) / self._queue_max, age_s / self._max_age_s))

    def submit(self, window: ModelInput) -> asyncio.Future[Posterior]:
        """The future gets the posterior or WindowDropped; whoever hangs up cancels it."""
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        waiting = _Waiting(window, time.monotonic(), answer)
        if self._stopped:
            self._drop(waiting, "stopped")
            return answer
        if len(self._queue) >= self._queue_max:
            self._make_room()
        self._queue.append(waiting)
        self._arrived.set()
        if len(self._queue) >= self._batch_max:
            self._full.set()
        return answer

    async def run(self) -> None:
        """Scores for ever; when cancelled, what waits is dropped."""
        try:
            while True:
                await self._arrived.wait()
                age_s = time.monotonic() - self._queue[0].since
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s - age_s):
                        await self._full.wait()
                batch = self._take()
                try:
                    await self._answer(batch)
                finally:
                    for waiting in batch:
                        self._drop(waiting, "stopped")
        finally:
            self._stopped = True
            while self._queue:
                self._drop(self._queue.popleft(), "stopped")
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _make_room(self) -> None:
        """Windows whose call is gone make way first, else the oldest does."""
        self._queue = deque(waiting for waiting in self._queue if not waiting.answer.done())
        if len(self._queue) >= self._queue_max:
            self._drop(self._queue.popleft(), "queue_full")

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        oldest_since = time.monotonic() - self._max_age_s
        while self._queue and len(batch) < self._batch_max:
            waiting = self._queue.popleft()
            if waiting.since < oldest_since:
                self._drop(waiting, "too_late")
            elif not waiting.answer.done():
                batch.append(waiting)
        if not self._queue:
            self._arrived.clear()
        if len(self._queue) < self._batch_max:
            self._full.clear()
        return batch

    def _drop(self, waiting: _Waiting, reason: DropReason) -> None:
        """Nothing, if it has been answered or its call is gone."""
        if not waiting.answer.done():
            waiting.answer.set_exception(WindowDropped(reason))

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        began = time.monotonic()
        try:
            answers = list(zip(batch, await self._score(batch), strict=True))
        except Exception as error:  # whatever it is, it must not reach windows that it isn't about
            if len(batch) == 1:
                log.exception("window_failed", exc_info=error)
                self._drop(batch[0], "failed")
                return
            for waiting in batch:
                await self._answer([waiting])
            return
        self._metrics.batch_windows.observe(len(batch))
        self._metrics.scoring_seconds.observe(time.monotonic() - began)
        for waiting, posterior in answers:
            if not waiting.answer.done():
                waiting.answer.set_result(posterior)

    async def _score(self, batch: Sequence[_Waiting]) -> list[Posterior]:
        loop = asyncio.get_running_loop()
        windows = [waiting.window for waiting in batch]
        return await loop.run_in_executor(self._thread, self._scorer.score, windows)


def _seen(answer: asyncio.Future[Posterior]) -> None:
    """Whoever asked may have hung up: that nobody reads what became of a window is no fault."""
    if not answer.cancelled():
        answer.exception()
