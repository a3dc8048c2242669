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
from service.store.event_batch import BEFORE_ALL, EventBatch, Order
from service.store.keys import EVENTS
from service.store.reader import last_event_id
from service.store.redis_client import REDIS_FAILURES, RedisClient, replies_required
from service.store.subscriber import Offer, Subscriber
from service.store.views import AlertView, CallView, MutesView, StreamEvent

log = structlog.get_logger()

SUBSCRIBER_LIMIT = 1000  # events by which a subscriber may lag
BLOCK_S = 1.0  # how long Redis holds one XREAD open; shorter than the timeout of replies
GATHER_S = 0.25  # after events were read, until the next are: they wait so long at most
CATCH_UP_RETRY_S = 0.5  # after a catch-up that Redis did not answer
READ_BATCH = 500  # events read at once
FOLLOWING = EventBatch.heartbeat("")  # stands for: events are being read; never yielded


class Feed:
    """Reads the stream of events once for the whole process and gives it to each subscriber.

    Events come in batches: all that one read has found. So the work for each subscriber grows with
    the number of reads, which `gather_s` limits, and not with that of the events.

    Args:
        subscriber_limit: events by which a subscriber may lag.
        block_s: how long Redis holds one read open until there is an event.
        gather_s: the pause after a read that found events. An event after a time without any is
            given at once, all others wait so long at most.
    """

    def __init__(
        self,
        redis: RedisClient,
        availability: Availability,
        *,
        subscriber_limit: int = SUBSCRIBER_LIMIT,
        block_s: float = BLOCK_S,
        gather_s: float = GATHER_S,
    ) -> None:
        self.position: str | None = None  # the id of the last event given to subscribers
        # Is called with the kind and the fields of each event of the stream.
        self.listener: Callable[[str, Mapping[str, str]], None] = lambda kind, fields: None
        self._redis: Any = redis  # its types leave open whether replies are bytes or text
        self._availability = availability
        self._subscriber_limit = subscriber_limit
        self._block_s = block_s
        self._gather_s = gather_s
        self._following = asyncio.Event()
        self._subscribers: set[Subscriber] = set()

    @property
    def following(self) -> bool:
        """Whether new events are being read."""
        return self._following.is_set()

    @property
    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return len(self._subscribers)

    async def run(self) -> None:
        """Gives new events to the subscribers until cancelled."""
        await self._availability.repeat(self._follow)

    def end(self) -> None:
        """Ends every subscription."""
        self._following.clear()
        for subscriber in self._subscribers:
            subscriber.end()

    def beat(self, data: str) -> None:
        """Gives a heartbeat to every subscriber, also while Redis is away.

        A subscriber that lags as far as it may misses this one.
        """
        heartbeat = EventBatch.heartbeat(data)
        for subscriber in self._subscribers:
            subscriber.beat(heartbeat)

    def batches(
        self, after: str | None, offer: Offer | None = None
    ) -> AsyncGenerator[EventBatch, None]:
        """Yields what is read from now on, or happened after `after`, until the store stops.

        A subscriber that lags by more than `subscriber_limit` events, or resumes after events that
        are gone, gets one `resync` in place of what it missed. While Redis is away there are
        heartbeats only; once it is back, the events from `after` on.

        Args:
            after: the id of the last event that the reader has.
            offer: is called with a batch that comes while the reader waits in this generator, and
                returns whether it has passed it on, so that the generator need not yield it.

        Raises:
            BadCursor: `after` is not the id of an event; raised at the call.
        """
        seen = BEFORE_ALL if after is None else event_order(after)
        return self._subscription(after, seen, Subscriber(self._subscriber_limit, offer))

    async def _subscription(
        self, after: str | None, seen: Order, subscriber: Subscriber
    ) -> AsyncGenerator[EventBatch, None]:
        # New events are queued while earlier ones are read, so none is missed; `seen` removes
        # duplicates.
        self._subscribers.add(subscriber)
        try:
            while True:
                if after is not None and self._following.is_set():
                    try:
                        async for batch in self._catch_up(after):
                            seen = batch.last
                            after = batch.events[-1].id
                            yield batch
                        after = None
                    except StoreUnavailable:
                        await asyncio.sleep(CATCH_UP_RETRY_S)
                    continue
                given = await (subscriber.take(seen) if after is None else self._next(subscriber))
                if given is FOLLOWING:
                    continue
                if given is None:
                    return
                if given.kind == "heartbeat":
                    yield given
                    continue
                if given.kind == "resync":
                    # After a loss of data ids may restart from 0-0, so a resync always passes.
                    after = None
                    unseen: EventBatch | None = given
                else:
                    unseen = given.after(seen)
                if unseen is not None:
                    seen = unseen.last
                    yield unseen
        finally:
            self._subscribers.discard(subscriber)

    async def _next(self, subscriber: Subscriber) -> EventBatch | None:
        """Returns what comes first: a batch that waits, or `FOLLOWING` once events are read."""
        taking = asyncio.ensure_future(subscriber.take())
        following = asyncio.ensure_future(self._following.wait())
        try:
            await asyncio.wait((taking, following), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            if not taking.done():
                taking.cancel()
        return FOLLOWING if taking.cancelling() else taking.result()

    async def _catch_up(self, after: str) -> AsyncIterator[EventBatch]:
        """Yields the events from `after` up to the last one, or one `resync` if some are gone."""
        with replies_required():
            if await self._is_out_of_reach(after):
                yield EventBatch.resync(await last_event_id(self._redis))
                return
        while True:
            with replies_required():
                entries = await self._redis.xrange(EVENTS, f"({after}", "+", READ_BATCH)
            parsed = (_parse(id, fields) for id, fields in entries)
            if events := [event for event in parsed if event is not None]:
                yield EventBatch(events)
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
                self._publish(EventBatch.resync(self.position))
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
            events = []
            for id, fields in entries:
                self.position = id
                if (event := _parse(id, fields)) is not None:
                    self.listener(event.kind, fields)
                    events.append(event)
            if events:
                self._publish(EventBatch(events))
            if len(entries) < READ_BATCH:
                await asyncio.sleep(self._gather_s)

    def _publish(self, batch: EventBatch) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber.give(batch)


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
