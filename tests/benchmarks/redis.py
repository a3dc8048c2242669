"""Counts what calls cost Redis: commands, processor time, bytes received, sent, on disk and kept.

Calls write through the real store to a Redis of their own. *Alone* is one write a script, as where
few calls are live; *together* is as many as a script takes at most, as where Redis is busy. Time is
that of Redis's main thread, which reads requests and writes replies too.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from rich.table import Table

from service.store.feed import READ_BATCH
from service.store.keys import EVENTS
from service.store.store import Store
from tests.benchmarks.redis_calls import RedisCalls
from tests.redis_server import RedisServer

CALLS = 200  # that start, end, and have an alert each
READ_CALLS = 20  # of them, that have readings
READINGS = 141  # of each of these, as in five minutes
RUNS = 3  # of which the least time counts: what else runs on the machine only adds to it
BEATS = 10  # rounds of heartbeats
FLUSH_S = 60.0
NEVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing costs Redis, on average."""

    name: str
    commands: float  # that the scripts run, their own calls included
    micros: float  # of the main thread
    received: float  # bytes
    sent: float  # bytes
    disk: float  # bytes of the append-only file, and of the link to a replica
    kept: float  # bytes of memory, without the stream of events, whose length is limited


class Meter:
    """Reads a Redis's own counters, less what the reading of them costs."""

    def __init__(self, url: str) -> None:
        self.client: Any = Redis.from_url(url)
        self._last: Counter[str] = Counter()
        self._overhead: Counter[str] = Counter()
        self.read()
        self._overhead = self.read()

    def read(self) -> Counter[str]:
        """Returns the counters since the last time."""
        info = self.client.info("everything")
        calls = {name: each["calls"] for name, each in info.items() if name.startswith("cmdstat_")}
        cpu_s = info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"]
        now = Counter(
            calls,
            commands=sum(calls.values()),
            micros=round(1e6 * cpu_s),
            received=info["total_net_input_bytes"],
            sent=info["total_net_output_bytes"],
            disk=info["aof_current_size"],
        )
        spent = Counter(now)
        spent.subtract(self._last)
        spent.subtract(self._overhead)
        self._last = now
        return spent

    def kept(self) -> int:
        """Returns the bytes of all keys but the stream of events."""
        keys = (key for key in self.client.scan_iter(count=1000) if key != EVENTS.encode())
        used = sum(self.client.memory_usage(key, samples=0) or 0 for key in keys)
        self.read()
        return int(used)


class Measurement:
    """Runs writes of calls through a store, and counts what each kind of them costs."""

    def __init__(self, url: str, store: Store, calls: int, readings: int) -> None:
        self._meter = Meter(url)
        self._store = store
        self._calls = RedisCalls(store, calls)
        self._readings = readings

    async def costs(self) -> list[Cost]:
        """Returns the costs of all that calls write, by the order of a call's life."""
        calls, every = self._calls, self._calls.calls
        readings = [partial(calls.read, call) for call in every[:READ_CALLS]] * self._readings
        few = readings[: len(readings) // 4]
        steps = [partial(calls.step, call, number) for call in every for number in range(3)]
        starts = [partial(calls.start, call) for call in every]
        ends = [partial(calls.end, call) for call in every]
        return [
            await self._cost("start of a call", starts, len(every)),
            await self._cost("reading, alone", few, len(few)),
            await self._cost("reading, together", readings, len(readings), alone=False),
            self._cost_of_event(),
            await self._cost("alert, its three steps", steps, len(every)),
            await self._cost("end of a call", ends, len(every)),
        ]

    async def _cost(
        self, name: str, writes: Sequence[Callable[[], object]], things: int, *, alone: bool = True
    ) -> Cost:
        kept = self._meter.kept()
        for write in writes:
            write()
            if alone:
                assert await self._store.flush(FLUSH_S)
        assert await self._store.flush(FLUSH_S)
        spent = self._meter.read()
        return cost(name, spent, things, self._meter.kept() - kept)

    def _cost_of_event(self) -> Cost:
        """Returns what it costs that one more service reads an event, as `Feed` does."""
        self._meter.read()
        position, events = "0-0", 0
        while reply := self._meter.client.xread({EVENTS: position}, READ_BATCH):
            position = reply[0][1][-1][0]
            events += len(reply[0][1])
        return cost("event, to each service", self._meter.read(), events, 0)


def cost(name: str, spent: Counter[str], things: int, kept: float) -> Cost:
    columns = "commands micros received sent disk".split()
    return Cost(name, *(spent[column] / things for column in columns), kept / things)


async def measure(url: str, calls: int = CALLS, readings: int = READINGS) -> list[Cost]:
    """Returns what so many calls, with so many readings each, cost the Redis at `url`.

    It must be empty.
    """
    store = Store.connect(url, outbox_path=None, retention_s=86_400, heartbeat_s=NEVER_S)
    async with _running(store):
        found = await Measurement(url, store, calls, readings).costs()
    return [*found, await _heartbeat(url, calls)]


async def _heartbeat(url: str, calls: int) -> Cost:
    store = Store.connect(url, outbox_path=None, retention_s=86_400, heartbeat_s=0.05)
    beating = RedisCalls(store, calls, seed=1)
    async with _running(store):
        for call in beating.calls:
            beating.start(call)
        assert await store.flush(FLUSH_S)
        meter = Meter(url)
        spent: Counter[str] = Counter()
        while spent["cmdstat_zscore"] < BEATS * calls:  # one a heartbeat
            await asyncio.sleep(0.05)
            spent.update(meter.read())
    return cost("heartbeat", spent, spent["cmdstat_zscore"], 0)


class _running:
    """Runs the writer of a store without its feed, and closes the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._store.writer.run())
        assert await self._store.flush(FLUSH_S)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._store.close()


def measure_anew() -> list[Cost]:
    """Returns what calls cost a Redis that was just started."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), "--appendfsync", "everysec")
        server.start()
        try:
            return asyncio.run(measure(server.url))
        finally:
            server.stop()


def tables() -> Iterator[Table]:
    """Yields the table of all runs."""
    runs = [measure_anew() for _ in range(RUNS)]
    columns = ("commands", "us", "bytes received", "sent", "on disk", "kept")
    table = Table("a", *columns, title="What calls cost Redis")
    for costs in zip(*runs, strict=True):
        each = min(costs, key=lambda cost: cost.micros)
        counts = (each.commands, each.micros, each.received, each.sent, each.disk, each.kept)
        cells = (f"{count:.2f}" if count < 10 else f"{count:.0f}" for count in counts)
        table.add_row(each.name, *cells)
    yield table
