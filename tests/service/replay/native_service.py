"""A small service of the native protocol, to replay calls at."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from model.labels import Emotion
from service.errors import CallRefused
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Pcm,
    Reading,
    Track,
    Transition,
)
from service.telephony.native.bridge import NativeBridge

CALM = {Emotion.ANGER: 0.1, Emotion.HAPPINESS: 0.1, Emotion.SADNESS: 0.1, Emotion.NEUTRAL: 0.7}


@dataclass
class NativeService:
    """Takes calls and sends a reading for each 0.1 s of the caller."""

    delay_s: float = 0.0  # before each reading
    ahead_s: float = 0.0  # by which readings end after the audio that came
    fires: bool = False
    answers_stop: bool = True
    refusal: CallRefused | None = None
    hangs_up: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)  # set after so many readings
    stop_after: int = 0
    readings: int = 0
    received: dict[str, dict[Track, list[Pcm]]] = field(default_factory=dict)
    started: dict[str, CallStarted] = field(default_factory=dict)
    arrived_s: list[float] = field(default_factory=list)
    stops: int = 0
    live: int = 0
    most_live: int = 0

    async def call(self, socket: ServerConnection) -> None:
        self.live += 1
        self.most_live = max(self.most_live, self.live)
        try:
            await self._run(socket)
        except ConnectionClosed:
            pass
        finally:
            self.live -= 1

    async def _run(self, socket: ServerConnection) -> None:
        bridge = NativeBridge(frozenset(Track))
        call_id, samples, readings = "", 0, 0
        while bridge.close_code is None:
            for event in bridge.receive(await socket.recv()):
                match event:
                    case CallStarted():
                        call_id = event.call_id
                        self.started[call_id] = event
                        self.received[call_id] = {track: [] for track in event.tracks}
                        if self.refusal:
                            bridge.refused(self.refusal)
                        else:
                            bridge.started(session="s", model="m", version="1", hop_s=0.1)
                    case Audio(track, pcm):
                        self.arrived_s.append(time.monotonic())
                        self.received[call_id][track].append(pcm)
                        samples += len(pcm) if track is Track.CALLER else 0
                    case CallStopped():
                        self.stops += 1
                        if self.answers_stop:
                            summary = CallSummary(samples / 8000, 0.0, readings, 0, 0)
                            bridge.stopped("stop", summary)
            while samples // 800 > readings:
                readings += 1
                self.readings += 1
                if self.readings == self.stop_after:
                    self.stop.set()
                end_s = readings * 0.1 + self.ahead_s
                await asyncio.sleep(self.delay_s)
                bridge.reading(Reading(call_id, readings, Track.CALLER, 0, end_s, 0.1, CALM))
                if self.fires and readings == 2:
                    for number, state in enumerate([AlertState.PENDING, AlertState.FIRING], 1):
                        bridge.alert(
                            Transition(
                                f"{call_id}-1",
                                number,
                                call_id,
                                Track.CALLER,
                                Emotion.ANGER,
                                state,
                                0,
                                0.2,
                                0.83,
                                0.83,
                            )
                        )
                if self.hangs_up:
                    socket.transport.abort()
                    return
            for message in bridge.replies():
                await socket.send(message)
        await socket.close(bridge.close_code)

    def audio(self, call_id: str, track: Track) -> Pcm:
        return np.concatenate(self.received[call_id][track])


@asynccontextmanager
async def serving(
    service: NativeService,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    """The URL at which the service takes calls."""
    async with serve(service.call, "127.0.0.1", 0, process_request=process_request) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/calls/native"
