"""What calls leave behind: the only module that knows Redis.

Every write goes the same way, in order: memory, the outbox on disk, Redis, gone from the outbox. So
a call never waits, Redis may be away, and kill -9 loses nothing that has reached the disk: what is
delivered twice changes nothing (store.lua).
"""

import asyncio
import contextlib
import functools
import json
import math
import random
import re
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields as fields_of
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

import structlog
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from service.errors import KanjoError
from service.events import CallStarted, Reading, Transition
from service.store.outbox import Entry, Outbox
from service.store.views import AlertPage, AlertView, CallDetail, CallView, ReadingView, StreamEvent

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

MEMORY_LIMIT = 10_000  # writes waiting for the disk
OUTBOX_LIMIT = 200_000  # writes waiting for Redis: hours of a busy service
EVENTS_LIMIT = 10_000  # of kanjo:events, what a page may have missed and still catch up with
READINGS_LIMIT = 7_200  # of one call: two hours at one a second
SUBSCRIBER_LIMIT = 256  # events a slow page may lag behind
BATCH = 32  # writes a script applies at once; Redis does nothing else meanwhile
SPOOL_BATCH = 1_000  # writes in one transaction on disk
CATCH_UP_BATCH = 500

HEARTBEAT_S = 5.0
LOST_AFTER_S = 30.0
BLOCK_S = 1.0  # how long one XREAD waits; the answer must come before ANSWER_S
ANSWER_S = 5.0
CONNECT_S = 2.0
FOLLOW_S = 2.0  # how long a subscriber waits for a Redis that is away
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0

ALERTS = "kanjo:alerts"
EVENTS = "kanjo:events"
ALERTS_BY_TIME = "kanjo:alerts:by-time"
CALLS_BY_TIME = "kanjo:calls:by-time"
CALLS_LIVE = "kanjo:calls:live"

WRITE_SCRIPT = Path(__file__).with_name("write.lua").read_text()

# KEYS[1] = a sorted set; ARGV[1] = the member to start after or '', ARGV[2] = how many
PAGE_SCRIPT = """
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if not rank then return {} end
  first = rank + 1
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[2] - 1)
"""


def alert_key(alert_id: str) -> str:
    return f"kanjo:alert:{alert_id}"


def call_key(call_id: str) -> str:
    # A call named as another's readings are keeps its distance from them.
    apart = ":" if call_id.rstrip(":").endswith(":readings") else ""
    return f"kanjo:call:{call_id}{apart}"


def readings_key(call_id: str) -> str:
    return f"kanjo:call:{call_id}:readings"


def session_key(session: str) -> str:
    return f"kanjo:session:{session}"


def session_alerts_key(session: str) -> str:
    return f"kanjo:session:{session}:alerts"


class StoreUnavailable(KanjoError):
    """Redis does not answer; what is written meanwhile waits in the outbox."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"got no answer from Redis ({self.problem}); try again later"


class BadCursor(KanjoError):
    """A place in the stream of events that can be none."""

    def __init__(self, cursor: str) -> None:
        super().__init__(cursor)
        self.cursor = cursor

    def __str__(self) -> str:
        return f"got {self.cursor!r}, expected the id of an event, like 1700000000000-0"


class Store:
    """Writes never wait and never fail; reads raise StoreUnavailable while Redis is away.

    `run` does the work and is owned by whoever opened the store; `close` comes after it has ended.
    """

    def __init__(
        self,
        redis: Redis | FakeAsyncRedis,
        outbox: Outbox,
        *,
        retention_s: float,
        heartbeat_s: float = HEARTBEAT_S,
        lost_after_s: float = LOST_AFTER_S,
        memory_limit: int = MEMORY_LIMIT,
        events_limit: int = EVENTS_LIMIT,
        readings_limit: int = READINGS_LIMIT,
    ) -> None:
        self.redis_up = False
        self._redis: Any = redis  # its types do not know that answers are decoded
        self._outbox = outbox
        self._write_script = redis.register_script(WRITE_SCRIPT)
        self._page_script = redis.register_script(PAGE_SCRIPT)
        self._script_limits = (retention_s, events_limit, readings_limit)
        self._heartbeat_s = heartbeat_s
        self._lost_after_s = lost_after_s
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        self._live: dict[str, tuple[str, Entry]] = {}  # session: call id and its start

        self._memory: deque[Entry] = deque()
        self._memory_limit = memory_limit
        self._in_hand: list[Entry] = []  # on the way from memory to disk
        self._dropped = 0
        self._refused = 0
        self._written = asyncio.Event()
        self._spooled = asyncio.Event()
        self._settled = asyncio.Event()

        self._away_since: float | None = None
        self._up_since = math.inf
        self._position: str | None = None  # in kanjo:events, the last event handed to subscribers
        self._following = asyncio.Event()
        self._subscribers: set[asyncio.Queue[StreamEvent | None]] = set()

    @classmethod
    def connect(
        cls,
        url: str | None,
        *,
        outbox_path: Path | None,
        retention_s: float,
        outbox_limit: int = OUTBOX_LIMIT,
        **options: Any,
    ) -> Self:
        """Opens the outbox and waits for nobody. Without a url, all of it lives in this process.

        `options` are those of Store itself.
        """
        redis: Redis | FakeAsyncRedis
        if url is None:
            redis = FakeAsyncRedis(server=FakeServer(), decode_responses=True)
            outbox_path = None
        else:
            redis = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=CONNECT_S,
                retry=Retry(NoBackoff(), 1),  # one for a connection that broke while it was idle
            )
        return cls(redis, Outbox(outbox_path, outbox_limit), retention_s=retention_s, **options)

    @property
    def embedded(self) -> bool:
        """Nothing is kept after this process, and nobody else sees it."""
        return isinstance(self._redis, FakeAsyncRedis)

    @property
    def waiting(self) -> int:
        """Writes that Redis has not taken yet."""
        return len(self._memory) + len(self._in_hand) + len(self._outbox)

    @property
    def dropped(self) -> int:
        """Readings given up because memory or outbox were full."""
        return self._dropped + self._outbox.dropped

    @property
    def refused(self) -> int:
        """Other writes given up: no room left, or nothing that Redis can ever take."""
        return self._refused + self._outbox.refused

    # Writes. `at` is the wall clock in epoch seconds.

    def call_started(self, session: str, started: CallStarted, at: float) -> None:
        entry = _started(session, started, at)
        self._live[session] = (started.call_id, entry)
        self._write(entry)

    def call_joined(self, session: str, started: CallStarted, at: float) -> None:
        """A live call has more tracks now: `started` and `at` are what would have begun it so."""
        self._live[session] = (started.call_id, _started(session, started, at))
        self._write(
            _entry(
                "call_joined",
                session=session,
                call_id=started.call_id,
                tracks=json.dumps(started.tracks),
                metadata=json.dumps(dict(started.metadata)),
            )
        )

    def reading(self, session: str, reading: Reading, at: float) -> None:
        view = ReadingView(
            call_id=reading.call_id,
            number=reading.number,
            track=reading.track,
            start_s=reading.start_s,
            end_s=reading.end_s,
            heard_s=reading.heard_s,
            probabilities=dict(reading.probabilities),
            at=at,
        )
        self._write(
            _entry(
                "reading",
                session=session,
                call_id=reading.call_id,
                number=reading.number,
                track=reading.track,
                end_s=reading.end_s,
                data=view.model_dump_json(),
            )
        )

    def transition(self, session: str, transition: Transition, at: float) -> None:
        named = {field.name: getattr(transition, field.name) for field in fields_of(transition)}
        self._write(_entry("transition", session=session, at=at, **named))

    def call_ended(
        self, session: str, call_id: str, reason: str, duration_s: float, at: float
    ) -> None:
        self._live.pop(session, None)
        self._write(
            _entry(
                "call_ended",
                session=session,
                call_id=call_id,
                reason=reason,
                duration_s=duration_s,
                ended_at=at,
            )
        )

    def _write(self, entry: Entry) -> None:
        if len(self._memory) >= self._memory_limit:
            # The disk is too slow. As there: the oldest reading goes, or this write is refused.
            oldest = next((i for i, e in enumerate(self._memory) if e.droppable), None)
            if oldest is None:
                if entry.droppable:
                    self._dropped += 1
                else:
                    self._refused += 1
                return
            del self._memory[oldest]
            self._dropped += 1
        self._memory.append(entry)
        self._settled.clear()
        self._written.set()

    # The way to Redis.

    async def run(self) -> None:
        """Delivers, keeps live calls alive, ends the lost ones, tells subscribers; for ever."""
        self._settle()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._spool())
                tasks.create_task(self._persist(self._deliver))
                tasks.create_task(self._persist(self._beat))
                tasks.create_task(self._persist(self._follow))
        finally:
            self._following.clear()
            for queue in self._subscribers:
                _replace(queue, None)

    async def flush(self, timeout_s: float) -> bool:
        """Waits until Redis has everything; False if the time was over first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            log.warning("outbox_not_empty", waiting=self.waiting)
            return False
        return True

    async def close(self) -> None:
        """Brings to disk what is still in memory, and closes the file and the connections."""
        rest = [*self._in_hand, *self._memory]
        loop = asyncio.get_running_loop()
        with self._disk:
            try:
                await loop.run_in_executor(self._disk, self._outbox.append, rest)
            except sqlite3.Error as exc:
                log.error("writes_lost", writes=len(rest), problem=str(exc))
            await loop.run_in_executor(self._disk, self._outbox.close)
        await self._redis.aclose()

    async def _spool(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            while self._memory:
                self._in_hand = list(islice(self._memory, SPOOL_BATCH))
                for _ in self._in_hand:
                    self._memory.popleft()
                await self._on_disk(self._outbox.append, self._in_hand)
                self._in_hand = []
                self._spooled.set()

    async def _deliver(self) -> None:
        self._spooled.clear()
        waiting = await self._on_disk(self._outbox.peek, BATCH)
        if not waiting:
            self._settle()
            await self._spooled.wait()
            return
        applied, problem = await self._apply([entry for _, entry in waiting])
        if applied:
            await self._on_disk(self._outbox.delete_through, waiting[applied - 1][0])
        if problem:
            id, entry = waiting[applied]
            if not _is_hopeless(problem):
                raise ResponseError(problem)
            self._refused += 1
            log.error("write_impossible", kind=entry.kind, body=entry.body, problem=problem)
            await self._on_disk(self._outbox.delete_through, id)
        self._answered()
        self._settle()

    async def _apply(self, entries: list[Entry]) -> tuple[int, str]:
        args: list[str | float] = [*self._script_limits]
        for entry in entries:
            named = json.loads(entry.body)
            args += [entry.kind, len(named), *named]
        applied, problem = await self._write_script(args=args)
        _stop_if_cancelled()
        return applied, problem

    async def _beat(self) -> None:
        beats = [
            _entry("heartbeat", session=session, call_id=call_id)
            for session, (call_id, _) in self._live.items()
        ]
        if asyncio.get_running_loop().time() - self._up_since > self._lost_after_s:
            # Not sooner: after an outage the other instances' calls are silent too, but not lost.
            beats.append(_entry("sweep", lost_after_s=self._lost_after_s))
        for start in range(0, max(1, len(beats)), BATCH):
            _, problem = await self._apply(beats[start : start + BATCH])
            if problem:
                raise ResponseError(problem)
        await self._start_again()
        if self.embedded:
            await self._redis.dbsize()  # fakeredis forgets expired keys only when it counts them
        if not len(self._outbox):
            self._answered()
        _stop_if_cancelled()
        await asyncio.sleep(self._heartbeat_s)

    async def _start_again(self) -> None:
        """A Redis that has lost its data hears of the live calls anew, in their turn."""
        sessions = list(self._live)
        known = await self._redis.mget([session_key(s) for s in sessions]) if sessions else []
        for session, call_id in zip(sessions, known, strict=True):
            if call_id is None and session in self._live:
                self._write(self._live[session][1])

    async def _on_disk(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Runs in the worker thread, again and again while the disk refuses."""
        loop = asyncio.get_running_loop()
        for failures, wait_s in enumerate(_waits_s()):
            try:
                return await loop.run_in_executor(
                    self._disk, functools.partial(act, *args, **named)
                )
            except sqlite3.Error as exc:
                if not failures:
                    log.error("outbox_failing", problem=str(exc))
                await asyncio.sleep(wait_s)
        raise AssertionError("the waits never end")

    async def _persist(self, once: Callable[[], Awaitable[None]]) -> None:
        """Does it for ever, and waits longer and longer while Redis is away."""
        waits_s = _waits_s()
        while True:
            _stop_if_cancelled()
            try:
                await once()
                waits_s = _waits_s()
            except (RedisError, OSError) as exc:
                self._away(exc)
                await asyncio.sleep(next(waits_s))

    def _away(self, problem: Exception) -> None:
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
            log.warning("redis_away", problem=str(problem), waiting=self.waiting)
        self.redis_up = False
        self._up_since = math.inf

    def _answered(self) -> None:
        if self.redis_up:
            return
        self.redis_up = True
        self._up_since = asyncio.get_running_loop().time()
        if self._away_since is not None:
            log.info("redis_back", away_s=round(self._up_since - self._away_since, 1))
            self._away_since = None

    def _settle(self) -> None:
        if not self.waiting:
            self._settled.set()

    # Reads.

    async def ping(self) -> None:
        with _answering():
            await self._redis.ping()

    async def calls(self, limit: int) -> list[CallView]:
        """Live ones first, then the newest."""
        _check_limit(limit)
        with _answering():
            sessions = await self._redis.zrange(CALLS_LIVE, 0, -1)
            live = await self._redis.mget([session_key(s) for s in sessions]) if sessions else []
            recent = await self._redis.zrevrange(CALLS_BY_TIME, 0, limit - 1)
            ids = dict.fromkeys([id for id in [*live, *recent] if id is not None])
            found = await self._hashes([call_key(id) for id in ids])
        calls = [CallView.of(fields) for fields in found]
        calls.sort(key=lambda call: (call.state != "live", -call.started_at))
        return calls[:limit]

    async def call(self, call_id: str) -> CallDetail | None:
        with _answering():
            found = await self._redis.hgetall(call_key(call_id))
            if not found:
                return None
            readings = await self._redis.xrange(readings_key(call_id))
            alert_ids = await self._redis.smembers(session_alerts_key(found["session"]))
            alerts = await self._hashes([alert_key(id) for id in alert_ids])
        return CallDetail(
            **dict(CallView.of(found)),
            readings=[ReadingView.model_validate_json(named["data"]) for _, named in readings],
            alerts=sorted(
                map(AlertView.of, alerts), key=lambda alert: (alert.since_s, alert.alert_id)
            ),
        )

    async def alerts(self, before: str | None, limit: int) -> AlertPage:
        """Alerts that fired, newest first; `before` is the `next` of an earlier page."""
        _check_limit(limit)
        with _answering():
            ids = await self._page_script(keys=[ALERTS_BY_TIME], args=[before or "", limit + 1])
            found = await self._hashes([alert_key(id) for id in ids[:limit]])
        return AlertPage(
            alerts=[AlertView.of(fields) for fields in found],
            next=ids[limit - 1] if len(ids) > limit else None,
        )

    async def cursor(self) -> str:
        """The id of the last event: what is read after this call shows all events up to it."""
        with _answering():
            return await self._last_id()

    async def _last_id(self) -> str:
        last = await self._redis.xrevrange(EVENTS, count=1)
        id: str = last[0][0] if last else "0-0"
        return id

    async def _hashes(self, keys: list[str]) -> list[dict[str, str]]:
        """Those that are still there."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            return [fields for fields in await pipeline.execute() if fields]

    # Events.

    async def events(self, after: str | None) -> AsyncGenerator[StreamEvent, None]:
        """What happens from now on, or after the event `after`, until the store stops.

        A subscriber that lags SUBSCRIBER_LIMIT events behind, or comes back too late, gets one
        `resync` in place of what it missed.
        """
        seen = _place("0-0" if after is None else after)
        queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue(SUBSCRIBER_LIMIT)
        self._subscribers.add(queue)
        try:
            try:
                async with asyncio.timeout(FOLLOW_S):
                    await self._following.wait()
            except TimeoutError:
                raise StoreUnavailable("the stream of events is not being followed") from None
            if after is not None:
                # The queue fills already: no gap between the two; `seen` takes out the doubles.
                async for event in self._catch_up(after):
                    seen = _place(event.id)
                    yield event
            while (event_or_end := await queue.get()) is not None:
                # After a loss of data ids may begin anew, from 0-0: a resync is told in any case.
                if event_or_end.kind == "resync" or _place(event_or_end.id) > seen:
                    seen = _place(event_or_end.id)
                    yield event_or_end
        finally:
            self._subscribers.discard(queue)

    async def _catch_up(self, after: str) -> AsyncIterator[StreamEvent]:
        with _answering():
            if await self._is_out_of_reach(after):
                yield _resync(await self._last_id())
                return
        while True:
            with _answering():
                entries = await self._redis.xrange(EVENTS, f"({after}", "+", CATCH_UP_BATCH)
            for id, named in entries:
                if (event := _event(id, named)) is not None:
                    yield event
            if len(entries) < CATCH_UP_BATCH:
                return
            after = entries[-1][0]

    async def _is_out_of_reach(self, position: str) -> bool:
        """Whether events after `position` may be gone, or Redis has lost its data since."""
        first = await self._redis.xrange(EVENTS, count=1)
        if not first:
            return position != "0-0"
        return not _place(first[0][0]) <= _place(position) <= _place(await self._last_id())

    async def _follow(self) -> None:
        """One reader for the whole process: hands what is new to every subscriber."""
        if not self._following.is_set():
            if self._position is None:
                self._position = await self._last_id()
            elif await self._is_out_of_reach(self._position):
                self._position = await self._last_id()
                self._publish(_resync(self._position))
            self._following.set()
        assert self._position is not None
        try:
            answer = await self._redis.xread(
                {EVENTS: self._position}, CATCH_UP_BATCH, int(BLOCK_S * 1000)
            )
        except (RedisError, OSError):
            self._following.clear()
            raise
        for _, entries in answer:
            for id, named in entries:
                self._position = id
                if (event := _event(id, named)) is not None:
                    self._publish(event)

    def _publish(self, event: StreamEvent) -> None:
        for queue in self._subscribers:
            if queue.full():
                _replace(queue, _resync(event.id))
            else:
                queue.put_nowait(event)


def _stop_if_cancelled() -> None:
    """redis-py sends inside asyncio.wait_for, which in Python 3.11 can swallow a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _entry(kind: str, **named: object) -> Entry:
    flat = [text for name, value in named.items() for text in (name, str(value))]
    return Entry(kind, json.dumps(flat), droppable=kind == "reading")


def _started(session: str, started: CallStarted, at: float) -> Entry:
    return _entry(
        "call_started",
        session=session,
        call_id=started.call_id,
        bridge=started.bridge,
        tracks=json.dumps(started.tracks),
        metadata=json.dumps(dict(started.metadata)),
        started_at=at,
    )


def _event(id: str, named: Mapping[str, str]) -> StreamEvent | None:
    kind = named.get("kind")
    try:
        match kind:
            case "call_started" | "call_ended":
                return StreamEvent(id, kind, CallView.of(named).model_dump_json())
            case "alert":
                return StreamEvent(id, kind, AlertView.of(named).model_dump_json())
            case "reading":
                return StreamEvent(id, kind, named["data"])
    except (KeyError, ValueError) as exc:
        log.error("event_unreadable", id=id, kind=kind, problem=str(exc))
        return None
    log.error("event_unreadable", id=id, kind=kind, problem="unknown kind")
    return None


def _resync(id: str) -> StreamEvent:
    return StreamEvent(id, "resync", "{}")


def _replace(queue: asyncio.Queue[StreamEvent | None], last: StreamEvent | None) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(last)


def _place(id: str) -> tuple[int, int]:
    """Stream ids in their order."""
    match = re.fullmatch(r"([0-9]{1,20})-([0-9]{1,20})", id)
    if not match or max(place := (int(match[1]), int(match[2]))) >= 2**64:
        raise BadCursor(id)
    return place


def _is_hopeless(problem: str) -> bool:
    """Whether a write can never succeed, whatever becomes of Redis."""
    return problem.startswith("WRONGTYPE") or "user_script" in problem


def _waits_s() -> Iterator[float]:
    """Twice as long each time up to a limit, and not the same for all instances."""
    wait_s = FIRST_RETRY_S
    while True:
        yield wait_s * random.uniform(0.5, 1)
        wait_s = min(2 * wait_s, LAST_RETRY_S)


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"got a limit of {limit}, expected 1 or more")


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as exc:
        raise StoreUnavailable(str(exc)) from exc
