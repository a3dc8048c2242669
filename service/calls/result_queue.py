"""Passes a stream's results to its listener in order, each step of an alert once it is kept."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from service.events import Reading, Transition
from service.store.receipt import Receipt

ResultListener = Callable[[Reading | Transition], None]


@dataclass(slots=True)
class _Waiting:
    """A result that was not passed on yet."""

    result: Reading | Transition
    receipt: Receipt | None = None
    timer: asyncio.TimerHandle | None = None
    overdue: bool = False


class ResultQueue:
    """Passes results on in the order in which they are handed in, without blocking.

    A transition waits until it is kept, but no longer than `keep_within_s`; later results wait
    behind it. `unkept` is called for each transition that is passed on before it is kept. An
    exception of the listener is raised where the result was handed in if it is passed on there;
    else `failed` is called, and `raise_failure` raises it.
    """

    def __init__(
        self,
        listener: ResultListener,
        keep_within_s: float,
        *,
        unkept: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._keep_within_s = keep_within_s
        self._unkept = unkept
        self._failed = failed
        self._waiting: deque[_Waiting] = deque()
        self._empty = asyncio.Event()
        self._empty.set()
        self._failure: Exception | None = None  # of the listener, later than its result

    def raise_failure(self) -> None:
        """Raises what the listener raised when it was given a result later."""
        failure, self._failure = self._failure, None
        if failure:
            raise failure

    def reading(self, reading: Reading) -> None:
        """Passes on a reading, after all results before it."""
        if not self._waiting:
            self._listener(reading)
            return
        self._waiting.append(_Waiting(reading))

    def transition(self, transition: Transition, receipt: Receipt) -> None:
        """Passes on a transition once its receipt confirms that it is kept, or the time is over."""
        waiting = _Waiting(transition, receipt)
        self._waiting.append(waiting)
        self._empty.clear()
        if receipt.kept:
            self._pass_on()
            return
        loop = asyncio.get_running_loop()
        receipt.when_kept(self._pass_on_later)
        waiting.timer = loop.call_later(self._keep_within_s, self._expire, waiting)

    def forget(self) -> None:
        """Drops what was not passed on yet."""
        for waiting in self._waiting:
            if waiting.timer:
                waiting.timer.cancel()
            if waiting.receipt:
                waiting.receipt.forget()
        self._waiting.clear()
        self._empty.set()

    async def emptied(self) -> None:
        """Returns when all results are passed on, which takes at most `keep_within_s`."""
        await self._empty.wait()

    def _expire(self, waiting: _Waiting) -> None:
        waiting.overdue = True
        self._pass_on_later()

    def _pass_on_later(self) -> None:
        """Passes on what can be now; nothing of the listener reaches the caller."""
        try:
            self._pass_on()
        except Exception as failure:
            self._failure = failure
            self._failed()

    def _pass_on(self) -> None:
        try:
            while self._waiting and _is_due(self._waiting[0]):
                self._pass_on_first()
        finally:
            if not self._waiting:
                self._empty.set()

    def _pass_on_first(self) -> None:
        first = self._waiting.popleft()
        if first.timer:
            first.timer.cancel()
        if first.receipt and not first.receipt.kept:
            first.receipt.forget()  # it may refer to this stream for as long as an outage lasts
            self._unkept()
        self._listener(first.result)


def _is_due(waiting: _Waiting) -> bool:
    return waiting.receipt is None or waiting.receipt.kept or waiting.overdue
