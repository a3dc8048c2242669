"""A client is held to about real time, whatever it sends."""

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.audio import mulaw_encode
from service.api.connection import Connection
from service.api.pace import BYTES_PER_S, GAP_S, MESSAGES_PER_S, Pace
from service.api.services import Services
from service.events import Audio, CallStarted, Gap, Track
from service.settings import Settings
from service.telephony.native.bridge import NativeBridge
from service.telephony.providers import PROVIDERS
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.provider import BridgeOptions
from tests.service.api.conftest import STOP, Running, start
from tests.service.api.simulated_clock import SimulatedClockLoop, TimedTransport
from tests.service.calls.harness import silence

RATE = 8000
CALLER, AGENT = Track.CALLER, Track.AGENT


def pace(speed: float = 1.0, burst_s: float = 10.0) -> Pace:
    made = Pace(speed, burst_s, 100.0)
    made.receive("", [CallStarted("c", "native", (CALLER, AGENT), RATE)], 100.0)
    return made


def audio(seconds: float, track: Track = CALLER) -> Audio:
    return Audio(track, np.zeros(round(seconds * RATE), np.int16))


def test_a_burst_is_read_at_once_and_more_in_real_time() -> None:
    paced = pace(speed=1.25, burst_s=10)
    paced.receive("", [audio(10)], 100)
    assert paced.ready_s == 100
    paced.receive("", [audio(5)], 100)
    assert paced.ready_s == pytest.approx(104)  # at 1.25 times the speed
    paced.receive("", [audio(1)], 104)
    assert paced.ready_s == pytest.approx(104.8)


def test_a_stream_in_real_time_never_waits_and_may_catch_up_after_a_stall() -> None:
    paced = pace()
    for at in range(1000):
        paced.receive("", [audio(0.02)], 100 + at * 0.02)
        assert paced.ready_s == 100 + at * 0.02
    paced.receive("", [audio(9)], 100 + 20 + 9)
    assert paced.ready_s == 129


def test_each_track_has_its_own_real_time() -> None:
    paced = pace(burst_s=2)
    paced.receive("", [audio(2, CALLER), audio(2, AGENT)], 100)
    assert paced.ready_s == 100
    paced.receive("", [audio(1, AGENT)], 100)
    assert paced.ready_s == 101


def test_a_long_gap_costs_nothing_and_a_flood_of_short_ones_does() -> None:
    paced = pace(burst_s=2)
    paced.receive("", [Gap(CALLER, 3600 * RATE)], 100)
    assert paced.ready_s == 100
    paced.receive("", [Gap(CALLER, round(GAP_S * RATE))] * 30, 100)
    assert paced.ready_s == pytest.approx(101.1)


@pytest.mark.parametrize(
    ("message", "count"), [("", MESSAGES_PER_S * 4), ("x" * round(BYTES_PER_S), 4)]
)
def test_messages_without_audio_are_held_back_too(message: str, count: float) -> None:
    paced = pace(burst_s=2)
    for _ in range(round(count)):
        paced.receive(message, [], 100)
    assert paced.ready_s == pytest.approx(102, abs=0.01)


def test_genesys_may_catch_up_for_longer() -> None:
    handshake = Handshake("/", {"audiohook-session-id": "s", "audiohook-organization-id": "o"})
    settings = Settings()
    bursts = {
        name: provider.create_bridge(settings, BridgeOptions(), handshake).burst_s
        for name, provider in PROVIDERS.items()
        if name in ("audiohook", "native", "twilio")
    }
    assert bursts == {"audiohook": 30, "native": 10, "twilio": 10}


def call_on_a_clock(
    services: Services, script: list[tuple[float, Any]], end_at_s: float | None = None
) -> TimedTransport:
    """Runs a call of the native protocol on a simulated clock; it may be ended meanwhile."""
    settings = services.settings.model_copy(update={"max_speed": 1.0, "idle_s": 8.0})
    services = replace(services, connections=set(), settings=settings)
    transport = TimedTransport(*script)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        transport.began_s = loop.time()
        connection = Connection(transport, NativeBridge(frozenset({CALLER})), "native", services)
        if end_at_s is not None:
            loop.call_at(transport.began_s + end_at_s, connection.end, "service stopping")
        await connection.run()

    with asyncio.Runner(loop_factory=lambda: SimulatedClockLoop(0)) as runner:
        runner.run(run())
    return transport


QUIET = mulaw_encode(silence(20)).tobytes()


def test_a_client_faster_than_real_time_is_read_later(service: Running) -> None:
    transport = call_on_a_clock(
        service.services, [(0, start("c")), *[(0.0, QUIET)] * 3, (0.0, STOP)]
    )
    kinds = [(at_s, reply["type"]) for at_s, reply in transport.replies]
    assert kinds == [(0, "started"), (50, "stopped")]  # 60 s of audio, 10 of them at once


def test_an_end_does_not_wait_for_a_client_that_was_too_fast(service: Running) -> None:
    transport = call_on_a_clock(
        service.services, [(0, start("c")), *[(0.0, QUIET)] * 3], end_at_s=12
    )
    assert [(at_s, reply["type"]) for at_s, reply in transport.replies][-1] == (12, "stopped")
    assert transport.closed is not None


def test_a_client_that_was_too_fast_is_not_taken_for_silent(service: Running) -> None:
    transport = call_on_a_clock(
        service.services, [(0, start("c")), *[(0.0, QUIET)] * 2, (0.0, STOP)]
    )
    at_s, stopped = transport.replies[-1]
    assert (at_s, stopped["type"], stopped["reason"]) == (30, "stopped", "stop")
