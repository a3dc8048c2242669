"""An ended call is freed at once, by its last reference: a service of hundreds of calls must not
depend on the garbage collector for its memory."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from model.audio import mulaw_encode
from service.api.connection import Connection, ConnectionState
from service.api.services import Services
from service.calls.call import Call
from service.calls.registry import CallRegistry
from service.calls.stream import CallStream
from service.calls.track import TrackPipeline
from service.events import Track
from service.settings import Settings
from service.telephony.native.bridge import NativeBridge
from tests.service.api.conftest import STOP, start
from tests.service.calls.harness import LoudnessScorer, service, speech, torch_scorer

FREED = (Connection, NativeBridge, CallStream, Call, TrackPipeline)


class Transport:
    """Delivers these messages, then None or nothing more; keeps what is sent."""

    def __init__(self, *messages: str | bytes, disconnects: bool = True) -> None:
        self.messages = [*messages]
        self.disconnects = disconnects
        self.sent: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.all_received = asyncio.Event()

    async def receive(self) -> str | bytes | None:
        await asyncio.sleep(0)
        if self.messages:
            return self.messages.pop(0)
        self.all_received.set()
        if not self.disconnects:
            await asyncio.Future()
        return None

    async def send(self, message: str | bytes) -> None:
        self.sent.append(json.loads(message))

    async def close(self, code: int, reason: str) -> None:
        self.close_code = code


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with service(LoudnessScorer()) as calls:
        yield made(calls)


def made(calls: CallRegistry) -> Services:
    context = calls.context
    return Services(
        Settings(), torch_scorer(), context.batcher, context.store, calls, context.metrics, {}
    )


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> list[object]:
    return [found for found in gc.get_objects() if type(found) in FREED]


def audio(seconds: float) -> list[bytes]:
    data = mulaw_encode(speech(seconds))
    return [piece.tobytes() for piece in np.array_split(data, round(seconds / 0.02))]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("ending", ["stop", "disconnect", "requested", "replaced"])
async def test_an_ended_call_is_freed_at_once(services: Services, ending: str) -> None:
    assert alive() == []
    messages = [start("call"), *audio(4), *([STOP] if ending == "stop" else [])]
    transport = Transport(*messages, disconnects=ending in ("stop", "disconnect"))
    bridge = NativeBridge(frozenset({Track.CALLER}))
    connection = Connection(transport, bridge, "native", services)
    freed = weakref.ref(connection)
    assert connection.state is ConnectionState.WAITING_FOR_START
    if ending == "replaced":
        bridge.replaces = True
    running = asyncio.create_task(connection.run())
    if not transport.disconnects:
        await transport.all_received.wait()
        assert connection.state is ConnectionState.LIVE
        assert {type(found) for found in alive()} == set(FREED)
        if ending == "requested":
            connection.end("service stopping")
        else:
            newer = Transport(start("call"), STOP)
            retry = NativeBridge(frozenset({Track.CALLER}))
            retry.replaces = True
            await Connection(newer, retry, "native", services).run()
            del retry
    await running
    assert connection.state is ConnectionState.CLOSED
    assert len(services.calls) == 0
    assert not services.connections
    kinds = [message["type"] for message in transport.sent]
    assert kinds[0] == "started"
    if ending != "replaced":
        assert "reading" in kinds
    del connection, bridge, running
    await asyncio.sleep(0)
    assert freed() is None
    assert alive() == []
