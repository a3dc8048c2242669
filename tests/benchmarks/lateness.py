"""Measures how late readings are with 20 calls in real time; service and callers share a machine.

The bar: p95 below one second. In the service, lateness is measured from the arrival of a window's
last sample to its reading. At the caller, it is measured from the sending of that sample to the
receipt of the reading; this includes the pause that ends a stretch of speech, so that the last
window of each stretch is 0.6 s later by design.

`BENCH_MODEL` is another model's file, `BENCH_CALLS` another number of calls.
"""

import asyncio
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
from rich.table import Table

from model import SHIPPED
from service.replay.demo import SAMPLES
from service.replay.player import Recording, ReplaySummary, replay
from tests.e2e.service import Service

CALLS = int(os.environ.get("BENCH_CALLS", "20"))
MODEL = os.environ.get("BENCH_MODEL", SHIPPED)
SECONDS = 60.0
BAR_S = 1.0

BUCKET = re.compile(r'kanjo_reading_lateness_seconds_bucket{le="([^"]+)"} (\S+)')
DROPPED = re.compile(r"kanjo_windows_dropped_total{[^}]*} (\S+)")


async def play(url: str) -> ReplaySummary:
    """Plays the sample calls to the service for SECONDS."""
    recordings = [Recording.read(file) for file in SAMPLES]
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, stop.set)
    return await replay(recordings, url, calls=CALLS, repeat=True, stop=stop)


def percentile_s(metrics: str, percent: float) -> float:
    """Returns a percentile of the histogram, linear within a bucket, as Prometheus computes it."""
    buckets = [(float(edge), float(count)) for edge, count in BUCKET.findall(metrics)]
    rank = buckets[-1][1] * percent / 100
    for (low, below), (high, upto) in itertools.pairwise([(0.0, 0.0), *buckets]):
        if upto >= rank:
            return low + (high - low) * (rank - below) / (upto - below)
    raise AssertionError(metrics)


def tables() -> Iterator[Table]:
    """Yields the table of one run."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), model=MODEL)
        service.start()
        try:
            summary = asyncio.run(play(service.ws))
            metrics = httpx.get(f"{service.url}/metrics", trust_env=False).text
        finally:
            service.stop()
    table = Table(
        f"{summary.readings} readings",
        "p50",
        "p95",
        "p99",
        title=f"Lateness, {CALLS} calls in real time for {SECONDS:.0f} s",
    )
    table.add_row(
        "in the service", *(f"{percentile_s(metrics, p) * 1000:.0f} ms" for p in (50, 95, 99))
    )
    table.add_row(
        "at the caller",
        *(f"{(summary.late_percentile_s(p) or 0) * 1000:.0f} ms" for p in (50, 95, 99)),
    )
    table.add_section()
    dropped = sum(float(count) for count in DROPPED.findall(metrics))
    table.add_row(f"windows dropped: {dropped:.0f}; errors: {sum(summary.errors.values())}")
    table.add_row(f"bar: p95 below {BAR_S * 1000:.0f} ms")
    yield table
