"""Measures what the service keeps of calls that come and go: memory above ready, by the minute.

The bar: at most 60 MB after an hour. `BENCH_MINUTES` is how long it runs, 20 by default;
`BENCH_SPEED` how much faster than real time calls are, 1 by default, where there is time to spare.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from service.replay.demo import SAMPLES
from service.replay.player import Recording, ReplaySummary, replay
from tests.e2e.service import Service
from tests.forked import typed
from tests.redis_server import RedisServer

CALLS = 40
BAR_MB = 60
MINUTES = float(os.environ.get("BENCH_MINUTES", "20"))
SPEED = float(os.environ.get("BENCH_SPEED", "1"))
LENGTHS_S = (5, 8, 13, 21, 34)  # calls end at different times
RATE = 8000


def recordings() -> list[Recording]:
    """Returns the sample calls, cut to several lengths."""
    whole = [Recording.read(file) for file in SAMPLES]
    return [
        Recording(f"{call.name} {seconds} s", call.tracks, call.pcm[: seconds * RATE])
        for seconds in LENGTHS_S
        for call in whole
    ]


class TypedService(Service):
    """A service that is no fork of the tests' process, with which it would share memory."""

    begin = staticmethod(typed)


async def measure(service: Service) -> tuple[ReplaySummary, list[float]]:
    """Plays calls for MINUTES; returns their summary, and the memory in MB after each minute."""
    stop = asyncio.Event()
    used_mb: list[float] = []
    playing = asyncio.create_task(
        replay(recordings(), service.ws, calls=CALLS, speed=SPEED, repeat=True, stop=stop)
    )
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while (loop.time() - began_s) / 60 < MINUTES:
        await asyncio.sleep(began_s + (len(used_mb) + 1) * 60 - loop.time())
        used_mb.append(service.rss_mb)
    stop.set()
    return await playing, used_mb


def tables() -> Iterator[Table]:
    """Yields the table of one run."""
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))  # in the service's own memory calls would stay
        redis.start()
        service = TypedService(
            Path(folder), redis_url=redis.url, batch_max=16, max_speed=max(1.1, 2 * SPEED)
        )
        service.start()
        try:
            ready_mb = service.rss_mb
            summary, used_mb = asyncio.run(measure(service))
        finally:
            service.stop()
            redis.stop()
    table = Table(
        "minute", "MB", "above ready", title=f"Memory, {CALLS} calls that come and go, {SPEED:g}x"
    )
    table.add_row("ready", f"{ready_mb:.0f}", "0")
    for minute, mb in enumerate(used_mb, 1):
        table.add_row(str(minute), f"{mb:.0f}", f"{mb - ready_mb:+.0f}")
    table.add_section()
    table.add_row(f"{summary.calls} calls", f"{summary.readings} readings", "")
    table.add_row("bar", "", f"{BAR_MB:+d}")
    yield table
