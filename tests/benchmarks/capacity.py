"""Finds how many calls Kanjo and a plain server hold on this machine, and the ratio of the two.

The bars: 8 times the calls of the plain server, 300 calls at 20 ms frames, 4.3 thousandths of a
core a call. `BENCH_FACTOR` is by how much each step is more than the last, 1.1 by default,
`BENCH_HOLD` how long it is held, 20 s; `BENCH_SPEECH` a folder of recordings.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from service.cli.recordings import find_recordings
from service.errors import ServiceUnreachable
from service.loadtest import child
from service.loadtest.generator_settings import GeneratorSettings
from service.loadtest.plan import Plan
from service.loadtest.probe import Probe
from service.loadtest.redis_process import free_port
from service.loadtest.result import Result, Verdict
from service.loadtest.run import Progress
from service.loadtest.session import load_test
from service.replay.demo import SAMPLES

FACTOR = float(os.environ.get("BENCH_FACTOR", "1.1"))
HOLD_S = float(os.environ.get("BENCH_HOLD", "20"))
START = int(os.environ.get("BENCH_START", "20"))
SPEECH = os.environ.get("BENCH_SPEECH")
BAR_RATIO, BAR_CALLS, BAR_CPU = 8.0, 300, 4.3
READY_WITHIN_S = 120.0


def progress(done: Progress) -> None:
    print(f"\r{done.phase:60}", end="", file=sys.stderr, flush=True)


async def measure(url: str | None) -> Result:
    """Returns the capacity of a service that runs at `url`, or of Kanjo."""
    files = find_recordings([Path(SPEECH)]).files[:400] if SPEECH else SAMPLES
    plan = Plan(start=START, factor=FACTOR, hold_s=HOLD_S, overload=False, audit=False)
    settings = GeneratorSettings(url or "", tuple(map(str, files)))
    with tempfile.TemporaryDirectory() as folder:
        return await load_test(plan, settings, Path(folder), url=url, progress=progress)


async def measure_plain() -> Result:
    """Returns the capacity of the plain server."""
    port = free_port()
    process = await child.start_module("tests.benchmarks.plain_server", str(port))
    try:
        probe = Probe(f"http://127.0.0.1:{port}/metrics")
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                try:
                    await probe.sample()
                    break
                except ServiceUnreachable:
                    await asyncio.sleep(0.2)
        return await measure(f"ws://127.0.0.1:{port}/calls/native")
    finally:
        await child.end(process, 10)


def tables() -> Iterator[Table]:
    """Yields the table of both, one after the other in one run."""
    plain, kanjo = asyncio.run(measure_plain()), asyncio.run(measure(None))
    table = Table(
        "server", "calls", "p95 ms", "thousandths of a core a call", "capped by", title="Capacity"
    )
    for name, result in (("plain", plain), ("Kanjo", kanjo)):
        held = [step for step in result.steps if step.verdict is Verdict.HELD]
        last = held[-1] if held else None
        late_s = last.late_p95_s if last else None
        cpu = last.cpu_a_call if last else None
        table.add_row(
            name,
            str(result.capacity or 0),
            f"{late_s * 1000:.0f}" if late_s is not None else "-",
            f"{cpu:.1f}" if cpu else "-",
            result.problem or result.capped_by,
        )
    table.add_section()
    ratio = (kanjo.capacity or 0) / plain.capacity if plain.capacity else float("nan")
    table.add_row("ratio", f"{ratio:.1f}", "", "", f"bar: {BAR_RATIO:g}")
    table.add_row("bar", str(BAR_CALLS), "1000", f"{BAR_CPU}", "")
    yield table
