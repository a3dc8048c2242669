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
import structlog

from model.audio import mulaw_encode
from service.access.nonces import FILE, KeptNonces
from service.access.setup import set_up
from service.api.connection import Connection, ConnectionState
from service.api.heartbeat import Heartbeat
from service.api.services import Services
from service.api.transport import TransportClosed
from service.calls.call import Call
from service.calls.registry import CallRegistry
from service.calls.stream import CallStream
from service.calls.track import TrackPipeline
from service.events import CallStarted, Event, Track
from service.settings import Settings
from service.telephony.native.bridge import NativeBridge
from service.webhooks.webhooks import Webhooks
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
    settings = Settings()
    parts = set_up(settings)
    return Services(
        settings,
        torch_scorer(),
        context.batcher,
        context.store,
        calls,
        context.metrics,
        {},
        heartbeat=Heartbeat(context.store, calls),
        webhooks=Webhooks(None, settings.state_dir / "webhooks.sqlite3", context.metrics, str),
        access=parts.access,
        logins=parts.logins,
        nonces=KeptNonces(settings.state_dir / FILE, {}),
    )


@pytest.fixture
def plain_log() -> Iterator[None]:
    """The log as the service configures it: rich tracebacks would keep what they show."""
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    yield
    structlog.reset_defaults()


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


class Faulty(NativeBridge):
    """A bridge in which our own code raises at the first audio."""

    def receive(self, message: str | bytes) -> list[Event]:
        if isinstance(message, bytes):
            raise ArithmeticError("in the bridge")
        return super().receive(message)


class Unsent(Transport):
    """A transport of a client that left: nothing can be sent to it."""

    async def send(self, message: str | bytes) -> None:
        raise TransportClosed

    async def close(self, code: int, reason: str) -> None:
        raise TransportClosed


class Broken(Transport):
    """A transport that fails in a way that nothing expects."""

    async def send(self, message: str | bytes) -> None:
        raise ArithmeticError("in the transport")


@pytest.mark.usefixtures("no_collector", "plain_log")
@pytest.mark.parametrize(
    ("transport_class", "bridge_class", "messages"),
    [
        (Transport, Faulty, [start("call"), *audio(4)]),
        (Broken, NativeBridge, [start("call"), *audio(4)]),
        (Unsent, NativeBridge, [start("call"), *audio(4), STOP]),
        (Transport, NativeBridge, [start("busy"), *audio(4)]),
        (Transport, NativeBridge, ["nonsense", start("")]),
        (Transport, NativeBridge, []),
    ],
    ids=["fault in the bridge", "fault in the transport", "left", "refused", "bad start", "silent"],
)
async def test_a_connection_that_ends_otherwise_is_freed_at_once(
    services: Services,
    transport_class: type[Transport],
    bridge_class: type[NativeBridge],
    messages: list[str | bytes],
) -> None:
    other = services.calls.open(CallStarted("busy", "native", (Track.CALLER,), 8000), print)
    before = alive()
    connection = Connection(
        transport_class(*messages), bridge_class(frozenset({Track.CALLER})), "native", services
    )
    freed = weakref.ref(connection)
    await connection.run()
    assert connection.state is ConnectionState.CLOSED
    del connection
    await asyncio.sleep(0)
    assert freed() is None
    assert len(alive()) == len(before)
    other.abandon("over")
