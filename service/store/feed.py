"""The feed: what happens in calls, as it happens, to every subscriber of this process."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import structlog
from pydantic import ValidationError

from service.store.availability import Availability
from service.store.cursors import event_order
from service.store.errors import StoreUnavailable
from service.store.keys import EVENTS
from service.store.reader import last_event_id
from service.store.redis_client import REDIS_FAILURES, RedisClient, replies_required
from service.store.views import AlertView, CallView, MutesView, StreamEvent

log = structlog.get_logger()

SUBSCRIBER_LIMIT = 256  # events by which a subscriber may lag
BLOCK_S = 1.0  # how long Redis holds one XREAD open; shorter than the timeout of replies
CATCH_UP_RETRY_S = 0.5  # after a catch-up that Redis did not answer
READ_BATCH = 500  # events read at once
FOLLOWING = StreamEvent("", "heartbeat", "")  # stands for: events are being read; never yielded


class Feed:
    """Reads the stream of events once for the whole process and copies it to each subscriber."""

    def __init__(
        self,
        redis: RedisClient,
        availability: Availability,
        *,
        subscriber_limit: int = SUBSCRIBER_LIMIT,
        block_s: float = BLOCK_S,
    ) -> None:
        self.position: str | None = None  # the id of the last event given to subscribers
        # Is called with the kind and the fields of each event of the stream.
        self.listener: Callable[[str, Mapping[str, str]], None] = lambda kind, fields: None
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._availability = availability
        self._subscriber_limit = subscriber_limit
        self._block_s = block_s
        self._following = asyncio.Event()
        self._subscribers: set[asyncio.Queue[StreamEvent | None]] = set()

    @property
    def following(self) -> bool:
        """Whether new events are being read."""
        return self._following.is_set()

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return len(self._subscribers)

    async def run(self) -> None:
        """Copies new events to the subscribers until cancelled."""
        await self._availability.repeat(self._follow)

    def end(self) -> None:
        """Ends every subscription."""
        self._following.clear()
        for queue in self._subscribers:
            _replace(queue, None)

    def beat(self, data: str) -> None:
        """Gives a heartbeat to every subscriber, also while Redis is away.

        A subscriber that lags as far as it may misses this one.
        """
        for queue in self._subscribers:
            if not queue.full():
                queue.put_nowait(StreamEvent("", "heartbeat", data))

    def events(self, after: str | None) -> AsyncGenerator[StreamEvent, None]:
        """Yields what happens from now on, or after the event `after`, until the store stops.

        A subscriber that lags by more than `subscriber_limit` events, or resumes after events that
        are gone, gets one `resync` in place of what it missed. While Redis is away there are
        heartbeats only; once it is back, the events from `after` on.

        Raises:
            BadCursor: `after` is not the id of an event; raised at the call.
        """
        return self._subscription(after, event_order("0-0" if after is None else after))

    async def _subscription(
        self, after: str | None, seen: tuple[int, int]
    ) -> AsyncGenerator[StreamEvent, None]:
        # New events are queued while earlier ones are read, so none is missed; `seen` removes
        # duplicates.
        queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue(self._subscriber_limit)
        self._subscribers.add(queue)
        try:
            while True:
                if after is not None and self._following.is_set():
                    try:
                        async for event in self._catch_up(after):
                            seen = event_order(event.id)
                            after = event.id
                            yield event
                        after = None
                    except StoreUnavailable:
                        await asyncio.sleep(CATCH_UP_RETRY_S)
                    continue
                event_or_end = await (queue.get() if after is None else self._next(queue))
                if event_or_end is FOLLOWING:
                    continue
                if event_or_end is None:
                    return
                if event_or_end.kind == "resync":
                    # After a loss of data ids may restart from 0-0, so a resync always passes.
                    after = None
                elif event_or_end.kind != "heartbeat" and event_order(event_or_end.id) <= seen:
                    continue
                if event_or_end.id:
                    seen = event_order(event_or_end.id)
                yield event_or_end
        finally:
            self._subscribers.discard(queue)

    async def _next(self, queue: asyncio.Queue[StreamEvent | None]) -> StreamEvent | None:
        """Returns what comes first: an item of the queue, or `FOLLOWING` once events are read."""
        item = asyncio.ensure_future(queue.get())
        following = asyncio.ensure_future(self._following.wait())
        try:
            await asyncio.wait((item, following), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            if not item.done():
                item.cancel()  # loses nothing: a queue takes an item out only for who still waits
        return FOLLOWING if item.cancelling() else item.result()

    async def _catch_up(self, after: str) -> AsyncIterator[StreamEvent]:
        """Yields the events from `after` up to the last one, or one `resync` if some are gone."""
        with replies_required():
            if await self._is_out_of_reach(after):
                yield _resync(await last_event_id(self._redis))
                return
        while True:
            with replies_required():
                entries = await self._redis.xrange(EVENTS, f"({after}", "+", READ_BATCH)
            for id, fields in entries:
                if (event := _parse(id, fields)) is not None:
                    yield event
            if len(entries) < READ_BATCH:
                return
            after = entries[-1][0]

    async def _is_out_of_reach(self, position: str) -> bool:
        """Returns whether events after `position` may be gone, or Redis has lost its data since."""
        first = await self._redis.xrange(EVENTS, count=1)
        if not first:
            return position != "0-0"
        if position == "0-0":  # before all events: nothing is gone as long as none was removed
            stream = await self._redis.xinfo_stream(EVENTS)
            return bool(stream.get("entries-added") != stream["length"])  # Redis 6 has no count
        last = await last_event_id(self._redis)
        return not event_order(first[0][0]) <= event_order(position) <= event_order(last)

    async def _follow(self) -> None:
        """Reads the next new events, for at most `block_s`, and gives them to all subscribers."""
        if not self._following.is_set():
            if self.position is None:
                self.position = await last_event_id(self._redis)
            elif await self._is_out_of_reach(self.position):
                self.position = await last_event_id(self._redis)
                self._publish(_resync(self.position))
            self._following.set()
        assert self.position is not None
        try:
            reply = await self._redis.xread(
                {EVENTS: self.position}, READ_BATCH, int(self._block_s * 1000)
            )
        except REDIS_FAILURES:
            self._following.clear()
            raise
        for _, entries in reply:
            for id, fields in entries:
                self.position = id
                if (event := _parse(id, fields)) is not None:
                    self.listener(event.kind, fields)
                    self._publish(event)

    def _publish(self, event: StreamEvent) -> None:
        for queue in self._subscribers:
            if queue.full():
                _replace(queue, _resync(event.id))
            else:
                queue.put_nowait(event)


def _parse(id: str, fields: Mapping[str, str]) -> StreamEvent | None:
    """Returns one entry of the stream; logs and returns None if no script of ours wrote it."""
    kind = fields.get("kind")
    try:
        match kind:
            case "call_started" | "call_ended":
                return StreamEvent(id, kind, CallView.from_hash(fields).model_dump_json())
            case "alert":
                return StreamEvent(id, kind, AlertView.from_hash(fields).model_dump_json())
            case "call_erased":
                return StreamEvent(id, kind, json.dumps({"session": fields["session"]}))
            case "reading":
                return StreamEvent(id, kind, fields["data"])
            case "mutes":
                mutes = MutesView.model_validate({"mutes": json.loads(fields["data"])})
                return StreamEvent(id, kind, mutes.model_dump_json())
    except ValidationError as exc:
        # Without the values, which may be those of a call.
        wrong = {".".join(map(str, error["loc"])) for error in exc.errors(include_input=False)}
        log.error(
            "event_unreadable", id=id, kind=kind, problem=f"wrong: {', '.join(sorted(wrong))}"
        )
    except (KeyError, ValueError) as exc:
        log.error("event_unreadable", id=id, kind=kind, problem=repr(exc))
    else:
        log.error("event_unreadable", id=id, problem="unknown kind")
    return None


def _resync(id: str) -> StreamEvent:
    return StreamEvent(id, "resync", "{}")


def _replace(queue: asyncio.Queue[StreamEvent | None], last: StreamEvent | None) -> None:
    """Empties the queue and puts `last` into it."""
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(last)
