"""Webhooks that run in the test's event loop, with waits of hundredths of a second."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service.api.numbers import hidden
from service.events import AlertState
from service.metrics import Metrics
from service.webhooks.backoff import Backoff
from service.webhooks.muted import Muted
from service.webhooks.spool import FILE
from service.webhooks.webhooks import Limits, ReceiverState, Webhooks
from tests.limits import ENOUGH_S
from tests.service.webhooks.http_receiver import FACTS, SECRET, HttpReceiver, transition

FAST = Backoff(first_s=0.02, most_s=0.05)
RESOLVED = AlertState.RESOLVED


def limits(**changed: Any) -> Limits:
    usual = {"spool_after_s": 0.01, "poll_s": 0.02, "backoff": FAST, "within_s": 5.0}
    return Limits(**{**usual, "retry_disk_s": 0.02, **changed})


def toml(**receivers: Mapping[str, Any]) -> str:
    """Returns the text of a receivers' file."""
    lines = []
    for name, fields in receivers.items():
        lines.append(f"[receivers.{name}]")
        for field, value in fields.items():
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            lines.append(f"{field} = {shown}")
    return "\n".join(lines) + "\n"


def to(receiver: HttpReceiver, **more: Any) -> dict[str, Any]:
    """Returns the settings of a receiver on loopback."""
    usual = {"url": receiver.url, "secret": SECRET, "allow_private": True}
    return {**usual, **more}


@asynccontextmanager
async def webhooks(
    folder: Path,
    text: str | None,
    metrics: Metrics | None = None,
    clocks: Callable[[], float] | None = None,
    muted: Muted | None = None,
    **changed: Any,
) -> AsyncIterator[Webhooks]:
    """Runs webhooks with a receivers' file of this text, or with the one that is there."""
    path = folder / "webhooks.toml"
    if text is not None:
        path.write_text(text)
    spool = folder / "state" / FILE
    running = Webhooks(
        path,
        spool,
        metrics or Metrics(),
        hidden,
        "https://kanjo.example",
        muted,
        limits=limits(**changed),
        clock=clocks or time.monotonic,
        wall_clock=clocks or time.time,
    )
    task = asyncio.create_task(running.run())
    try:
        yield running
        await running.flush(5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await running.close()


def fire(running: Webhooks, alert: str = "s1-caller-1", session: str = "s1", **more: Any) -> str:
    """Tells of an alert that fires, or of another step of it; returns the notice's id."""
    step = transition(alert, **more)
    running.on_transition(session, "twilio", FACTS, step)
    return f"{alert}-{step.number}"


def state_of(running: Webhooks, name: str = "one") -> ReceiverState:
    return next(each for each in running.receivers if each.name == name)


async def until(condition: Callable[[], object], within_s: float = ENOUGH_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        await asyncio.sleep(0.005)
