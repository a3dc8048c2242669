"""An independent Media Streams client over a real socket: loss, jitter, an abrupt end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from streamdouble.api import call
from streamdouble.chaos import Impairments
from streamdouble.protocol import MediaStreamEncoder
from streamdouble.session import SessionConfig
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from model.audio import mulaw_decode
from service.events import CallStarted, CallStopped, Event, Gap, Track
from service.telephony.twilio.bridge import TwilioBridge
from tests.limits import ENOUGH_S
from tests.service.telephony.media_streams import BOTH, samples

FRAMES = 50  # of 20 ms


def speech(seed: int) -> list[bytes]:
    codes = np.random.default_rng(seed).integers(0, 255, (FRAMES, 160), np.uint8)
    return [frame.tobytes() for frame in codes]


class BridgeServer:
    """The smallest websocket server around a bridge."""

    def __init__(self) -> None:
        self.bridge = TwilioBridge(BOTH)
        self.events: list[Event] = []
        self.over = asyncio.Event()

    async def serve_one(self, socket: ServerConnection) -> None:
        try:
            async for message in socket:
                self.events += self.bridge.receive(message)
                assert list(self.bridge.replies()) == []
        except ConnectionClosed:
            pass
        self.events += self.bridge.disconnected()
        self.over.set()


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[BridgeServer, str]]:
    server = BridgeServer()
    async with serve(server.serve_one, "127.0.0.1", 0) as listener:
        yield server, f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/calls/twilio"


def forked(**changes: object) -> SessionConfig:
    return SessionConfig(
        **{
            "fork": True,
            "tracks": ["inbound", "outbound"],
            "agent_frames": speech(2),
            "strict_fork": True,
            "response_timeout_s": 0.1,
            "quiet_period_s": 0.1,
            "custom_parameters": {"queue": "7"},
            **changes,
        }
    )


async def test_a_fork_of_both_tracks_is_decoded_sample_for_sample() -> None:
    async with serving() as (server, url):
        report = await call(url, frames=speech(1), config=forked())
        await asyncio.wait_for(server.over.wait(), ENOUGH_S)
    started = server.events[0]
    assert isinstance(started, CallStarted)
    assert started.call_id == report.result.identity.call_sid
    assert started.tracks == (Track.CALLER, Track.AGENT)
    assert started.metadata["queue"] == "7"
    assert server.events[-1] == CallStopped("stop")
    for track, seed in ((Track.CALLER, 1), (Track.AGENT, 2)):
        decoded = samples(server.events, track)
        np.testing.assert_array_equal(decoded[: FRAMES * 160], mulaw_decode(b"".join(speech(seed))))
    assert report.violations == []
    assert not server.bridge.message_errors


@pytest.mark.parametrize("seed", [1, 7])
async def test_loss_is_a_gap_and_jitter_changes_nothing(seed: int) -> None:
    config = forked(
        tracks=["inbound"],
        agent_frames=[],
        impairments=Impairments(loss=0.2, jitter_ms=40, latency_ms=60),
        chaos_seed=seed,
    )
    async with serving() as (server, url):
        report = await call(url, frames=speech(1), config=config)
        await asyncio.wait_for(server.over.wait(), ENOUGH_S)
    assert report.result.frames_dropped > 0
    decoded, whole = samples(server.events, Track.CALLER), mulaw_decode(b"".join(speech(1)))
    gaps = sum(event.samples for event in server.events if isinstance(event, Gap))
    assert gaps % 160 == 0
    lost_at_the_end = FRAMES * 160 - len(decoded)
    assert gaps + max(0, lost_at_the_end) == report.result.frames_dropped * 160
    received = decoded[: len(whole)] != 0
    np.testing.assert_array_equal(decoded[: len(whole)][received], whole[: len(decoded)][received])
    assert not server.bridge.message_errors


async def test_an_abrupt_end_without_stop_ends_the_call() -> None:
    encoder = MediaStreamEncoder()
    async with serving() as (server, url):
        async with connect(url, compression=None) as socket:
            await socket.send(json.dumps(encoder.connected()))
            await socket.send(json.dumps(encoder.start(tracks=["inbound"])))
            for frame in speech(1)[:5]:
                await socket.send(json.dumps(encoder.media(frame)))
            socket.transport.abort()
        await asyncio.wait_for(server.over.wait(), ENOUGH_S)
    assert server.events[-1] == CallStopped("disconnected")
    assert samples(server.events, Track.CALLER).size > 0
