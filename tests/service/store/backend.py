"""A Redis for tests, real or embedded, and the stores that share it."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.store import keys
from service.store.event_batch import EventBatch
from service.store.outbox import Outbox
from service.store.store import Store
from service.store.views import StreamEvent
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer


class Backend:
    """One Redis, real if `server` is given, else embedded, and a client that inspects it."""

    def __init__(self, folder: Path, server: RedisServer | None) -> None:
        self.folder = folder
        self.server = server
        self.fake = FakeServer()
        self.redis: Any = self.client()
        self.opened = 0

    def client(self) -> Any:
        if self.server is None:
            return FakeAsyncRedis(server=self.fake, decode_responses=True)
        retry = Retry(NoBackoff(), 1)  # for a connection that broke while the server was away
        return Redis.from_url(self.server.url, decode_responses=True, retry=retry)

    def store(self, outbox: str | None = None, **options: Any) -> Store:
        """Opens a store; stores of the same `outbox` name share that file, one after another."""
        self.opened += 1
        path = self.folder / (outbox or f"outbox-{self.opened}.sqlite")
        options = {"retention_s": 3600.0, **options}
        if self.server is None:
            return Store(self.client(), lambda: Outbox(path, 1000), **options)
        return Store.connect(self.server.url, outbox_path=path, **options)

    async def everything(self) -> dict[str, Any]:
        """Returns all that Redis holds, except what the clock alone changes."""
        found: dict[str, Any] = {}
        for key in sorted(await self.redis.keys("*")):
            kind = await self.redis.type(key)
            match kind:
                case "hash":
                    found[key] = await self.redis.hgetall(key)
                case "stream":
                    found[key] = await self.redis.xrange(key)
                case "zset":
                    found[key] = await self.redis.zrange(key, 0, -1)
                case "set":
                    found[key] = sorted(await self.redis.smembers(key))
                case "string":
                    found[key] = await self.redis.get(key)
        return found

    async def transitions(self) -> list[tuple[str, str, str]]:
        """Returns alert id, number and state of each entry of kanjo:alerts."""
        return [
            (fields["alert_id"], fields["number"], fields["state"])
            for _, fields in await self.redis.xrange(keys.ALERTS)
        ]

    async def transition_count(self) -> int:
        count: int = await self.redis.xlen(keys.ALERTS)
        return count

    async def event_kinds(self) -> list[str]:
        return [fields["kind"] for _, fields in await self.redis.xrange(keys.EVENTS)]


@contextlib.asynccontextmanager
async def running(store: Store) -> AsyncIterator[Store]:
    task = asyncio.create_task(store.run())
    try:
        yield store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.close()


async def delivered(store: Store) -> None:
    assert await store.flush(ENOUGH_S), f"{store.pending_writes} writes did not reach Redis"


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.01)


async def one_by_one(
    batches: AsyncGenerator[EventBatch, None],
) -> AsyncGenerator[StreamEvent, None]:
    """Yields the events of each batch."""
    async with contextlib.aclosing(batches):
        async for batch in batches:
            for event in batch.events:
                yield event


def events_of(store: Store, after: str | None) -> AsyncGenerator[StreamEvent, None]:
    return one_by_one(store.events(after))


async def take(events: AsyncIterator[StreamEvent], count: int) -> list[StreamEvent]:
    async with asyncio.timeout(ENOUGH_S):
        return [await anext(events) for _ in range(count)]


async def live_calls(store: Store) -> int:
    return sum(call.state == "live" for call in (await store.calls(None, 100)).calls)
