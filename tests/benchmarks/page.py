"""Measures the page with 200 live calls at a reading a second and 10 alerts a minute.

The bars: the browser's main thread is less than 25 % busy, its memory does not grow in ten minutes,
and 100 readers of `GET /v1/events` cost the service at most 10 % more than one. An alert is timed
from the transition that fires it to its card in the document; what it takes to recognise an angry
caller is not in it. The calls are those of another service on the same Redis, so that the CPU
that is measured is what people cost the service, and not what calls do.

`BENCH_MINUTES` is how long the page is measured, 1 by default.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Browser, CDPSession, async_playwright, expect
from playwright.async_api import Page as Tab
from rich.table import Table

from service.store.store import Store
from tests.benchmarks.live_calls import LiveCalls
from tests.e2e.chromium import FLAGS
from tests.e2e.service import Service
from tests.redis_server import RedisServer

MINUTES = float(os.environ.get("BENCH_MINUTES", "1"))
CALLS = 200
ALERTS_A_MINUTE = 10
VIEWS = {"needs": "Needs someone", "calls": "Calls"}
WARM_UP_S, WARM_UP_SPEED = 24.0, 4.0  # fills the ribbons, which show 90 s
SETTLE_S = 5.0  # after that, at the usual speed
READERS = (1, 100)
READERS_S = 20.0
BAR_BUSY, BAR_READERS = 0.25, 1.1
MB = 2**20

# Notes when the card of each call comes into the list of those who need somebody.
WATCH_CARDS = """() => {
    window.cards = [];
    const names = () => [...document.querySelectorAll("#needed .name")];
    const shown = () => new Set(names().map((name) => name.getAttribute("href")));
    let before = shown();
    new MutationObserver(() => {
        const now = shown();
        for (const href of now) if (!before.has(href)) window.cards.push([href, Date.now() / 1000]);
        before = now;
    }).observe(document.body, { childList: true, subtree: true });
}"""


@dataclass(frozen=True)
class Load:
    """What one view has cost so far."""

    at_s: float  # the browser's clock
    busy_s: float  # of the main thread
    cpu_s: float  # of it, without waiting for a core
    heap_mb: float  # after a collection of garbage


class View:
    """One view of the page in a browser context of its own."""

    def __init__(self, tab: Tab, devtools: CDPSession) -> None:
        self.tab = tab
        self._devtools = devtools

    @classmethod
    async def open(cls, browser: Browser, url: str, view: str) -> "View":
        tab = await (await browser.new_context(locale="en-US")).new_page()
        await tab.goto(f"{url}/#/{view}")
        await expect(tab.locator("#connection")).to_have_text("Live", timeout=60_000)
        devtools = await tab.context.new_cdp_session(tab)
        await devtools.send("Performance.enable")
        return cls(tab, devtools)

    async def load(self) -> Load:
        before = await self._metrics()  # so that the collection is not in what was measured
        await self._devtools.send("HeapProfiler.collectGarbage")
        used = (await self._devtools.send("Runtime.getHeapUsage"))["usedSize"]
        return Load(before["Timestamp"], before["TaskDuration"], before["ThreadTime"], used / MB)

    async def _metrics(self) -> dict[str, float]:
        found: dict[str, Any] = await self._devtools.send("Performance.getMetrics")
        return {metric["name"]: metric["value"] for metric in found["metrics"]}


async def watched(url: str, calls: LiveCalls) -> tuple[dict[str, tuple[Load, Load]], list[float]]:
    """Returns what each view cost before and after MINUTES, and how late cards were, in seconds."""
    late_s: list[float] = []

    async def collect(needs: View) -> None:
        while True:
            await asyncio.sleep(1)
            for href, at in await needs.tab.evaluate("window.cards.splice(0)"):
                late_s.append(at - calls.fired_at[href.rpartition("/")[2]])

    async with async_playwright() as playwright:
        path = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        views = {view: await View.open(browser, url, view) for view in VIEWS}
        await calls.run(WARM_UP_S, WARM_UP_SPEED)
        await calls.run(SETTLE_S)
        await views["needs"].tab.evaluate(WATCH_CARDS)
        before = {name: await view.load() for name, view in views.items()}
        collecting = asyncio.create_task(collect(views["needs"]))
        await calls.run(MINUTES * 60)
        await asyncio.sleep(2)
        collecting.cancel()
        after = {name: await view.load() for name, view in views.items()}
        await browser.close()
    return {name: (before[name], after[name]) for name in VIEWS}, late_s


async def read_events(service: Service) -> None:
    """Reads the stream of events until cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while await reader.read(2**16):
            pass
        raise AssertionError("the stream of events ended")
    finally:
        writer.close()


async def cost_of_readers(service: Service, calls: LiveCalls, readers: int) -> float:
    """Returns the CPU seconds that the service takes a second with so many readers."""
    reading = [asyncio.create_task(read_events(service)) for _ in range(readers)]
    await calls.run(SETTLE_S)
    before_s = service.cpu_s
    await calls.run(READERS_S)
    cost = (service.cpu_s - before_s) / READERS_S
    for task in reading:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return cost


@dataclass(frozen=True)
class Measured:
    """Holds what one run of the benchmark measured."""

    loads: dict[str, tuple[Load, Load]]  # by view
    late_s: list[float]
    service: dict[int, float]  # CPU seconds a second, by the number of readers


async def measure(service: Service, redis_url: str, folder: Path) -> Measured:
    """Starts the calls, and measures the page that shows them and then readers of the events."""
    outbox = folder / "outbox.sqlite"
    store = Store.connect(redis_url, outbox_path=outbox, retention_s=86_400)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        running = asyncio.create_task(store.run())
        calls = LiveCalls(store, CALLS, ALERTS_A_MINUTE)
        await calls.begin()
        loads, late_s = await watched(service.url, calls)
        costs = {n: await cost_of_readers(service, calls, n) for n in READERS}
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    return Measured(loads, late_s, costs)


def tables() -> Iterator[Table]:
    """Yields the tables of one run."""
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        redis.start()
        many = {"max_connections": 1000, "max_connections_per_address": 1000}
        service = Service(Path(folder), redis_url=redis.url, **many)
        service.start()
        try:
            measured = asyncio.run(measure(service, redis.url, Path(folder)))
        finally:
            service.stop()
            redis.stop()
    yield page_table(measured)
    yield readers_table(measured)


def page_table(measured: Measured) -> Table:
    """Returns what the page costs the browser, and how soon it shows an alert."""
    table = Table(
        "view",
        "main thread busy",
        "on a core",
        "MB at the start",
        "MB at the end",
        title=f"The page, {CALLS} calls at a reading a second for {MINUTES:g} min",
    )
    for name, (before, after) in measured.loads.items():
        took_s = after.at_s - before.at_s
        table.add_row(
            VIEWS[name],
            f"{(after.busy_s - before.busy_s) / took_s:.0%}",
            f"{(after.cpu_s - before.cpu_s) / took_s:.0%}",
            f"{before.heap_mb:.1f}",
            f"{after.heap_mb:.1f} ({after.heap_mb - before.heap_mb:+.1f})",
        )
    table.add_section()
    table.add_row("bar", f"below {BAR_BUSY:.0%}", "", "", "+0.0")
    table.add_section()
    p50, p95 = (float(np.percentile(measured.late_s, p)) * 1000 for p in (50, 95))
    table.add_row(
        f"from firing to its card, {len(measured.late_s)} alerts",
        f"p50 {p50:.0f} ms",
        f"p95 {p95:.0f} ms",
    )
    return table


def readers_table(measured: Measured) -> Table:
    """Returns what readers of the events cost the service."""
    table = Table("readers of the events", "CPU of the service", title="The service")
    one, many = (measured.service[n] for n in READERS)
    for n, cost in measured.service.items():
        table.add_row(str(n), f"{cost:.0%} of a core")
    table.add_section()
    table.add_row("100 against one", f"{many / one:.2f} (bar: at most {BAR_READERS:.2f})")
    return table
