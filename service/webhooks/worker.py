"""Delivers the notices of one receiver, one at a time, and waits for no other receiver."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from service.webhooks.backoff import Backoff
from service.webhooks.delivery import Delivery
from service.webhooks.notice import Notice
from service.webhooks.receivers import Receiver
from service.webhooks.sender import Outcome, Result
from service.webhooks.spacing import Spacing

log = structlog.get_logger()

MOST_WAITING = 1_000  # deliveries of one receiver
MOST_BEGUN = 10_000  # alerts that are remembered as begun; then the oldest are forgotten
GONE = "got HTTP 410 before: the receiver is stopped until a restart or a change of the file"

State = Literal["at work", "waiting", "stopped"]


class Sends(Protocol):
    """What sends a notice once."""

    async def send(self, notice: Notice) -> Outcome:
        """Sends a notice, and returns what came of it; raises nothing."""

    async def close(self) -> None:
        """Closes its connections."""


class Book(Protocol):
    """What a worker tells of its deliveries."""

    def changed(self, delivery: Delivery) -> None:
        """A delivery failed, or was given up (`Delivery.dead`)."""

    def done(self, delivery: Delivery) -> None:
        """A delivery is over: it arrived, or nobody needs it any more."""

    def attempted(self, receiver: str, result: Result) -> None:
        """An attempt has ended."""


@dataclass(frozen=True, slots=True)
class LastError:
    """What was wrong with the latest attempt that failed."""

    problem: str
    at: float  # wall clock, epoch seconds


class Worker:
    """Holds the deliveries that wait for one receiver, and tries them until they arrive.

    Steps of one alert arrive in their order; while one is tried again, those of other alerts go
    on. After a failure the receiver is left alone for a while, which grows with each failure. At
    most `most_waiting` wait; of more, the oldest become dead letters.

    Args:
        name: of the receiver.
        receiver: its settings.
        sender: sends one notice.
        book: notes what becomes of the deliveries.
        backoff: when to try again.
        muted_until: until when (epoch seconds) an alert is muted, or None; its notice waits.
        clock: seconds, for waits.
        wall_clock: epoch seconds.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        sender: Sends,
        book: Book,
        backoff: Backoff,
        *,
        muted_until: Callable[[Notice], float | None] = lambda notice: None,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.receiver = receiver
        self.last_error: LastError | None = None
        self.delivered = 0
        self._sender = sender
        self._book = book
        self._backoff = backoff
        self._muted_until = muted_until
        self._most_waiting = most_waiting
        self._clock = clock
        self._wall_clock = wall_clock
        self._spacing = Spacing(receiver.most_per_call_s)
        self._waiting: dict[int, Delivery] = {}  # by id, oldest first
        self._begun: dict[str, None] = {}  # alerts of which the receiver may know, and no end
        self._current: Delivery | None = None  # being tried
        self._failures = 0  # in a row
        self._paused_until = 0.0
        self._stopped = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()  # nothing could be tried now
        self._idle.set()

    @property
    def waiting(self) -> tuple[Delivery, ...]:
        """The deliveries that have not arrived, oldest first."""
        return tuple(self._waiting.values())

    @property
    def state(self) -> State:
        if self._stopped:
            return "stopped"
        return "waiting" if self._clock() < self._paused_until else "at work"

    def add(self, delivery: Delivery) -> None:
        """Takes a new delivery, to be tried at once."""
        if self._stopped:
            self._give_up(delivery, GONE)
            return
        now, notice = self._clock(), delivery.notice
        if notice.over and self._void(notice.alert_id):
            self._spacing.give_back(notice.session)
            self._book.done(delivery)
            return
        delivery.not_before = self._spacing.slot(notice.session, now)
        self.take((delivery,))

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Takes deliveries of an earlier worker, or dead letters, into the queue."""
        for delivery in deliveries:
            self._waiting[delivery.id] = delivery
        while len(self._waiting) > self._most_waiting:
            oldest = next(each for each in self._waiting.values() if each is not self._current)
            problem = f"no room: got more than {self._most_waiting} deliveries that wait"
            self._give_up(oldest, problem)
        self._wake.set()
        self._idle.clear()

    def look_again(self) -> None:
        """Looks again at what waits, because other alerts are muted now."""
        self._wake.set()

    def forget(self, session: str) -> None:
        """Drops the deliveries of a session; one that is being tried may still arrive."""
        for delivery in self.waiting:
            if delivery.notice.session == session:
                self._finish(delivery)

    async def idle(self) -> None:
        """Returns when there is nothing that could be tried now."""
        await self._idle.wait()

    async def run(self) -> None:
        """Delivers until it is cancelled; then closes the sender."""
        try:
            while True:
                self._wake.clear()
                delivery, wait_s = self._next()
                if delivery is not None:
                    await self._try(delivery)
                    continue
                self._idle.set()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._idle.clear()
        finally:
            self._current = None
            self._idle.set()
            await self._sender.close()

    def _next(self) -> tuple[Delivery | None, float | None]:
        """Returns what to try now, or else how long to wait; None, None: until there is more."""
        firsts: dict[str, Delivery] = {}  # of each alert the oldest
        for delivery in self._waiting.values():
            firsts.setdefault(delivery.notice.alert_id, delivery)
        if self._stopped or not firsts:
            return None, None
        now = self._clock()
        waits = {
            each.id: max(each.not_before - now, self._held_s(each)) for each in firsts.values()
        }
        due = [each for each in firsts.values() if waits[each.id] <= 0]
        if now >= self._paused_until and due:
            return min(due, key=lambda each: (each.attempts, each.id)), None
        return None, max(min(waits.values()), self._paused_until - now)

    def _held_s(self, delivery: Delivery) -> float:
        """Returns how long a notice that was not tried yet waits because its alert is muted."""
        if delivery.attempts or delivery.notice.over:
            return 0.0
        until = self._muted_until(delivery.notice)
        return 0.0 if until is None else until - self._wall_clock()

    async def _try(self, delivery: Delivery) -> None:
        self._current = delivery
        self._remember(delivery.notice)
        try:
            outcome = await self._sender.send(delivery.notice)
        except Exception as failure:  # our own fault, which must not stop the deliveries
            log.exception("webhook_failed", receiver=self.name)
            outcome = Outcome(Result.FAILED, f"failed in the service: {type(failure).__name__}")
        self._current = None
        self._book.attempted(self.name, outcome.result)
        if outcome.result is Result.DELIVERED:
            self.delivered += 1
            self._failures = 0
            self._finish(delivery)
            return
        if self.last_error is None or self.last_error.problem != outcome.problem:
            log.warning("webhook_not_delivered", receiver=self.name, problem=outcome.problem)
        self.last_error = LastError(outcome.problem, self._wall_clock())
        if delivery.id in self._waiting:  # else it was forgotten meanwhile
            self._fail(delivery, outcome)

    def _remember(self, notice: Notice) -> None:
        if notice.over:
            self._begun.pop(notice.alert_id, None)
        else:
            self._begun[notice.alert_id] = None
            if len(self._begun) > MOST_BEGUN:
                del self._begun[next(iter(self._begun))]

    def _fail(self, delivery: Delivery, outcome: Outcome) -> None:
        delivery.attempts += 1
        match outcome.result:
            case Result.REFUSED:
                self._give_up(delivery, outcome.problem)
            case Result.GONE:
                self._stopped = True
                log.error("webhook_stopped", receiver=self.name, problem=outcome.problem)
                for each in self.waiting:
                    self._give_up(each, outcome.problem)
            case _ if self._wall_clock() - delivery.notice.at >= self._backoff.give_up_s:
                self._give_up(delivery, f"given up after {delivery.attempts}: {outcome.problem}")
            case _:
                self._failures += 1
                now = self._clock()
                delivery.not_before = now + self._backoff.wait_s(delivery.attempts)
                pause_s = self._backoff.wait_s(self._failures)
                self._paused_until = now + max(pause_s, outcome.retry_after_s or 0)
                self._book.changed(delivery)

    def _void(self, alert_id: str) -> bool:
        """Drops the steps of an alert if each is held back: the alert ended, and nobody knows it.

        What holds a step back is a mute, or another notice of the call shortly before.
        """
        now = self._clock()
        steps = [each for each in self.waiting if each.notice.alert_id == alert_id]
        held = [
            each
            for each in steps
            if each.attempts == 0 and (each.not_before > now or self._held_s(each) > 0)
        ]
        if alert_id in self._begun or not steps or held != steps:
            return False
        for each in steps:
            self._finish(each)
        return True

    def _give_up(self, delivery: Delivery, problem: str) -> None:
        self._waiting.pop(delivery.id, None)
        delivery.problem, delivery.dead_at = problem, self._wall_clock()
        self._book.changed(delivery)

    def _finish(self, delivery: Delivery) -> None:
        self._waiting.pop(delivery.id, None)
        self._book.done(delivery)
