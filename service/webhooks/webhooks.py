"""Notifies receivers outside of the steps of alerts; nothing that a call does waits for it."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import structlog

from service.events import CallFacts, Transition
from service.metrics import Metrics
from service.webhooks.backoff import Backoff
from service.webhooks.delivery import DeadLetter, Delivery
from service.webhooks.errors import NoSuchDeadLetter, ReceiverStopped, WebhooksUnusable
from service.webhooks.muted import Muted
from service.webhooks.notice import Hide, Notice
from service.webhooks.receivers import Receiver, load_receivers
from service.webhooks.sender import WITHIN_S, Result, Sender
from service.webhooks.spool import Spool
from service.webhooks.worker import MOST_WAITING, LastError, State, Worker

log = structlog.get_logger()

REMOVED = "its receiver is no longer in the file"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits, and how long what takes."""

    most_waiting: int = MOST_WAITING  # deliveries of one receiver
    most_dead: int = 1_000  # dead letters; of more, the oldest are removed
    within_s: float = WITHIN_S  # one attempt
    spool_after_s: float = 0.25  # after which what did not arrive is written to disk
    retry_disk_s: float = 5.0  # after a failure of the disk
    poll_s: float = 2.0  # how often the file of receivers is read
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """How one receiver fares; never its address or secret."""

    name: str
    preset: str
    host: str
    state: State
    waiting: int  # deliveries that have not arrived
    oldest_waiting_at: float | None  # wall clock, epoch seconds: when the alert took that step
    delivered: int  # since the receiver's settings were read
    last_error: LastError | None


class Webhooks:
    """Gives each step of an alert to the receivers that want it, and keeps what did not arrive.

    Notices are sent at once, by one task for each receiver. What has not arrived after
    `spool_after_s` is written to disk, in a thread; so is, at the stop, all that has not arrived.
    The receivers' file is read again when it changes; one that can't be used is logged, and the
    receivers stay as they are.

    Args:
        path: of the receivers' file; None: there are no receivers.
        spool_path: of the file of undelivered notices.
        metrics: counts the attempts.
        hide: masks telephone numbers in a text.
        page_url: address of the dashboard; None: messages have no link.
        muted: knows which alerts are muted; None: none ever is.
        limits: bounds and times.
        clock: seconds, for waits.
        wall_clock: epoch seconds.

    Raises:
        WebhooksUnusable: one of the two files can't be used.
    """

    def __init__(
        self,
        path: Path | None,
        spool_path: Path,
        metrics: Metrics,
        hide: Hide,
        page_url: str | None = None,
        muted: Muted | None = None,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._metrics = metrics
        self._hide = hide
        self._page_url = page_url
        self._muted = muted
        self._limits = limits or Limits()
        self._clock = clock
        self._wall_clock = wall_clock
        self._tls: ssl.SSLContext | None = None  # made once, with the first receiver
        self._workers: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changes: dict[int, Delivery | None] = {}  # that the disk does not have
        self._on_disk: set[int] = set()
        self._wake = asyncio.Event()
        self._failing: str | None = None  # what the disk refuses
        self._unusable: str | None = None
        self._disk = ThreadPoolExecutor(1, "webhook-spool")
        receivers = load_receivers(path) if path else {}
        self._stamp = _stamp(path)
        self._spool = Spool(spool_path, wall_clock)
        kept = self._spool.load()
        self._on_disk = {delivery.id for delivery in kept}
        self._last_id = max(self._on_disk, default=0)
        self._dead: dict[int, Delivery] = {each.id: each for each in kept if each.dead}
        self._apply(receivers, [each for each in kept if not each.dead])
        metrics.webhooks_waiting.set_function(lambda: sum(r.waiting for r in self.receivers))
        metrics.webhook_dead_letters.set_function(lambda: len(self._dead))

    @property
    def receivers(self) -> list[ReceiverState]:
        """How each receiver fares."""
        return [self._state(worker) for worker in self._workers.values()]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """What was given up, oldest first."""
        return [DeadLetter.of(delivery) for delivery in self._dead.values()]

    @property
    def failing(self) -> str | None:
        """What is wrong with the disk; None: nothing."""
        return self._failing

    @property
    def unusable(self) -> str | None:
        """What is wrong with the receivers' file since it changed; None: nothing."""
        return self._unusable

    def on_transition(
        self, session: str, bridge: str, facts: CallFacts, transition: Transition
    ) -> None:
        """Takes a step of an alert, to be sent to the receivers that want it; does not wait."""
        try:
            self._enqueue(session, bridge, facts, transition)
        except Exception:  # our own fault, which must not end the call
            log.exception("webhook_failed", session=session)

    def _enqueue(self, session: str, bridge: str, facts: CallFacts, transition: Transition) -> None:
        for worker in self._workers.values():
            if worker.receiver.wants(facts.queue, transition.emotion, transition.state):
                at = self._wall_clock()
                notice = Notice.of(session, bridge, facts, transition, at, self._hide)
                self._last_id += 1
                delivery = Delivery(self._last_id, worker.name, notice)
                self.changed(delivery)
                worker.add(delivery)

    def forget(self, session: str) -> None:
        """Removes what has not arrived of a session that was erased; receivers keep the rest."""
        for worker in self._workers.values():
            worker.forget(session)
        for delivery in [*self._dead.values()]:
            if delivery.notice.session == session:
                self.done(delivery)

    def require_sendable(self, id: int) -> None:
        """Raises what `retry` raises, and does nothing else."""
        self._sendable(id)

    def retry(self, id: int) -> None:
        """Sends a dead letter again.

        Raises:
            NoSuchDeadLetter: there is none of this id.
            ReceiverStopped: its receiver takes nothing now.
        """
        delivery, worker = self._sendable(id)
        del self._dead[id]
        delivery.problem = delivery.dead_at = None
        delivery.attempts, delivery.not_before = 0, 0.0
        self.changed(delivery)
        worker.take((delivery,))

    def _sendable(self, id: int) -> tuple[Delivery, Worker]:
        delivery = self._dead.get(id)
        if delivery is None:
            raise NoSuchDeadLetter(id)
        worker = self._workers.get(delivery.receiver)
        if worker is None or worker.state == "stopped":
            raise ReceiverStopped(delivery.receiver)
        return delivery, worker

    # What workers tell.

    def changed(self, delivery: Delivery) -> None:
        """Notes a delivery that is new, failed or was given up, so that the disk gets it."""
        if delivery.dead:
            self._dead[delivery.id] = delivery
            self._metrics.webhook_attempts.labels(delivery.receiver, "dead").inc()
            while len(self._dead) > self._limits.most_dead:
                self.done(self._dead[next(iter(self._dead))])
        self._changes[delivery.id] = delivery
        self._wake.set()

    def done(self, delivery: Delivery) -> None:
        """Notes a delivery that is over, so that nothing of it stays on disk."""
        self._dead.pop(delivery.id, None)
        self._changes[delivery.id] = None
        self._wake.set()

    def attempted(self, receiver: str, result: Result) -> None:
        """Counts an attempt."""
        label = "delivered" if result is Result.DELIVERED else "failed"
        self._metrics.webhook_attempts.labels(receiver, label).inc()

    # Tasks.

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        try:
            for name, worker in self._workers.items():
                self._start(name, worker)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_spooling())
                if self._path and self._muted:
                    tasks.create_task(self._muted.run(self._look_again))
                if self._path:
                    tasks.create_task(self._follow(self._path))
        finally:
            running = [*self._tasks.values()]
            self._tasks.clear()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def flush(self, within_s: float) -> None:
        """Waits until all that can be sent now has been tried, at most `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for worker in [*self._workers.values()]:
                    await worker.idle()

    async def close(self) -> None:
        """Writes what has not arrived to disk and closes the file; `run` must have ended."""
        await self._write()
        if self._changes:
            log.error("webhooks_lost", deliveries=len(self._changes), problem=self._failing)
        await asyncio.get_running_loop().run_in_executor(self._disk, self._spool.close)
        self._disk.shutdown(wait=False)

    def _start(self, name: str, worker: Worker) -> None:
        self._tasks[name] = asyncio.create_task(worker.run(), name=f"webhook {name}")

    def _look_again(self) -> None:
        for worker in self._workers.values():
            worker.look_again()

    async def _keep_spooling(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(self._limits.spool_after_s)
            await self._write()
            if self._failing:
                await asyncio.sleep(self._limits.retry_disk_s)
                self._wake.set()

    async def _write(self) -> None:
        """Gives the disk all changes; deliveries that arrived before they were written are none."""
        # Copies: the deliveries go on changing in the event loop.
        changes = {
            id: delivery and replace(delivery)
            for id, delivery in self._changes.items()
            if delivery or id in self._on_disk
        }
        self._changes.clear()
        if not changes:
            return
        loop = asyncio.get_running_loop()
        # Before they are there: a write that is cancelled here may still reach the disk.
        self._on_disk.update(id for id, delivery in changes.items() if delivery)
        try:
            await loop.run_in_executor(self._disk, self._spool.write, changes)
        except asyncio.CancelledError:
            self._changes = {**changes, **self._changes}  # to write twice does no harm
            raise
        except Exception as failure:  # of SQLite, mostly; deliveries go on without the disk
            if not self._failing:
                log.error("webhooks_not_kept", problem=str(failure))
            self._failing = str(failure)
            self._changes = {**changes, **self._changes}
            return
        self._failing = None
        self._on_disk.difference_update(id for id, delivery in changes.items() if not delivery)

    async def _follow(self, path: Path) -> None:
        """Applies the receivers' file whenever it changes."""
        while True:
            await asyncio.sleep(self._limits.poll_s)
            stamp = await asyncio.to_thread(_stamp, path)
            if stamp == self._stamp:
                continue
            self._stamp = stamp
            try:
                receivers = await asyncio.to_thread(load_receivers, path)
            except WebhooksUnusable as unusable:
                log.error("webhooks_unusable", problem=str(unusable), note="the receivers stay")
                self._unusable = str(unusable)
                continue
            self._unusable = None
            await self._replace(receivers)

    async def _replace(self, receivers: Mapping[str, Receiver]) -> None:
        """Ends the workers of receivers that changed or are stopped, and starts new ones."""
        unchanged = {
            name
            for name, worker in self._workers.items()
            if receivers.get(name) == worker.receiver and worker.state != "stopped"
        }
        ending = [self._tasks.pop(name) for name in {*self._tasks} - unchanged]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        ended = [worker for name, worker in self._workers.items() if name not in unchanged]
        self._workers = {name: self._workers[name] for name in unchanged}
        self._apply(receivers, [each for worker in ended for each in worker.waiting])
        for name in self._workers.keys() - unchanged:
            self._start(name, self._workers[name])

    def _apply(self, receivers: Mapping[str, Receiver], waiting: list[Delivery]) -> None:
        """Makes the workers that are lacking, and gives them what waits for their receivers."""
        if receivers and self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        there = self._workers
        self._workers = {
            name: there.get(name) or self._worker(name, each) for name, each in receivers.items()
        }
        for name, worker in self._workers.items():
            worker.take([each for each in waiting if each.receiver == name])
            for result in ("delivered", "failed", "dead"):
                self._metrics.webhook_attempts.labels(name, result)
        for delivery in waiting:
            if delivery.receiver not in receivers:
                delivery.problem, delivery.dead_at = REMOVED, self._wall_clock()
                self.changed(delivery)
        if receivers:
            log.info("webhooks", receivers=" ".join(receivers))

    def _worker(self, name: str, receiver: Receiver) -> Worker:
        assert self._tls is not None
        limits, wall_clock = self._limits, self._wall_clock
        sender = Sender(
            receiver,
            self._tls,
            self._page_url,
            within_s=limits.within_s,
            wall_clock=wall_clock,
        )
        return Worker(
            name,
            receiver,
            sender,
            self,
            limits.backoff,
            muted_until=self._muted.until if self._muted else lambda notice: None,
            most_waiting=limits.most_waiting,
            clock=self._clock,
            wall_clock=wall_clock,
        )

    @staticmethod
    def _state(worker: Worker) -> ReceiverState:
        waiting = worker.waiting
        return ReceiverState(
            name=worker.name,
            preset=worker.receiver.preset,
            host=worker.receiver.host,
            state=worker.state,
            waiting=len(waiting),
            oldest_waiting_at=min((each.notice.at for each in waiting), default=None),
            delivered=worker.delivered,
            last_error=worker.last_error,
        )


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Returns what changes when a file is written; None without one. Waits for the disk."""
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return status and (status.st_mtime_ns, status.st_size)
