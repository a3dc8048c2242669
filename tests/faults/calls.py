"""Replayed calls, with a record of what the service sent them."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from model.audio import SAMPLE_RATE, mulaw_encode
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES

FRAME = 160  # samples: 20 ms


class Step(NamedTuple):
    """One step of an alert, as the wire and Redis know it."""

    alert_id: str
    number: str
    state: str


@dataclass
class Told:
    """What the service told on the connections of calls, in the order in which it came."""

    steps: list[Step] = field(default_factory=list)
    readings: dict[str, list[int]] = field(default_factory=dict)  # numbers, by call id
    ended: int = 0  # calls that the service ended as it should
    on_step: Callable[[], None] = lambda: None

    async def until(self, condition: Callable[["Told"], bool], within_s: float = ENOUGH_S) -> None:
        """Returns as soon as the condition holds."""
        async with asyncio.timeout(within_s):
            while not condition(self):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def recording(name: str = "sounds-angry") -> bytes:
    """Returns a sample call's caller as mu-law."""
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return mulaw_encode(np.ascontiguousarray(pcm[:, 0])).tobytes()


async def play(url: str, call_id: str, told: Told, *, speed: float) -> None:
    """Plays one call over the native protocol; ends early if the connection breaks."""
    start = {"encoding": "mulaw", "sample_rate": SAMPLE_RATE, "tracks": ["caller"]}
    with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
        async with connect(url, proxy=None) as socket:
            await socket.send(json.dumps({"type": "start", "call_id": call_id, **start}))
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(_receive(socket.recv, call_id, told))
                await _send(socket.send, speed)
                await asyncio.wait((receiving,), timeout=ENOUGH_S)
                receiving.cancel()


async def _send(send: Callable[[str | bytes], Awaitable[None]], speed: float) -> None:
    audio, begin_s = recording(), time.monotonic()
    with contextlib.suppress(ConnectionClosed):
        for at in range(0, len(audio), FRAME):
            await asyncio.sleep(begin_s + at / SAMPLE_RATE / speed - time.monotonic())
            await send(audio[at : at + FRAME])
        await send('{"type": "stop"}')


async def _receive(receive: Callable[[], Awaitable[str | bytes]], call_id: str, told: Told) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = json.loads(await receive())
            match message["type"]:
                case "alert":
                    told.steps.append(
                        Step(message["alert_id"], str(message["number"]), message["state"])
                    )
                    told.on_step()
                case "reading":
                    told.readings.setdefault(call_id, []).append(message["number"])
                case "stopped":
                    told.ended += 1
                    return
