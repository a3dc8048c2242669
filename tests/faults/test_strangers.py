"""Strangers attack a real service beside honest calls, which must all be complete."""

import asyncio
import contextlib
import json
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import numpy as np
import pytest

from model.audio import mulaw_encode
from service.replay.player import replay
from service.telephony.shared.recording import Recording
from tests.e2e.service import Service
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES
from tests.service.api.clients import BINARY, TEXT, frame

# An attack that is cancelled while it connects leaves its transport to the collector.
UNCLOSED = "ignore::pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(UNCLOSED)]

CALLS = 3
SECONDS = 20  # of each honest call
RATE = 8000
STRANGER = "127.0.0.2"  # limits by address are the strangers' alone
HOST = b"GET /calls/native HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = HOST + (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EMPTY_PING = bytes((0x89, 0x80, 0, 0, 0, 0))


@pytest.fixture(scope="module")
def kanjo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with its usual limits, on a machine that may be slow: no window is too old."""
    patient = {"batch_max": 16, "queue_max": 2048, "window_max_age_s": 60}
    with Service(tmp_path_factory.mktemp("state"), max_speed=1.1, **patient) as service:
        yield service


async def raw(kanjo: Service, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    socket = sockets.socket()
    socket.setblocking(False)
    try:
        socket.bind((STRANGER, 0))
        await asyncio.get_running_loop().sock_connect(socket, ("127.0.0.1", kanjo.port))
        reader, writer = await asyncio.open_connection(sock=socket)
    except BaseException:  # asyncio itself would leave a socket open at a cancellation
        socket.close()
        raise
    writer.write(first)
    return reader, writer


async def send_without_end(kanjo: Service, first: bytes, more: bytes) -> None:
    """Sends the same bytes as long as the service takes them, and connects again when it closes."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await raw(kanjo, first)
            try:
                while not writer.is_closing():
                    writer.write(more)
                    await writer.drain()
                    await asyncio.sleep(0)
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.05)


async def silent(kanjo: Service) -> None:
    """Holds as many connections as it gets, and says nothing."""
    address = ("127.0.0.1", kanjo.port)
    with contextlib.ExitStack() as stack:
        for _ in range(900):
            connected = sockets.create_connection(address, source_address=(STRANGER, 0))
            stack.enter_context(connected)
            await asyncio.sleep(0)
        await asyncio.Future()


async def endless_header(kanjo: Service) -> None:
    await send_without_end(kanjo, HOST + b"X: ", b"a" * 65_536)


async def pings(kanjo: Service) -> None:
    await send_without_end(kanjo, UPGRADE, EMPTY_PING * 10_000)


async def trickling_uploads(kanjo: Service) -> None:
    head = (
        b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n"
    )

    async def upload() -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await raw(kanjo, head)
                while not writer.is_closing():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.5)

    await asyncio.gather(*(upload() for _ in range(16)))


async def unread_responses(kanjo: Service) -> None:
    await send_without_end(
        kanjo, b"", b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 99
    )


async def refused_handshakes(kanjo: Service) -> None:
    nobody = UPGRADE.replace(b"/calls/native", b"/calls/nobody")
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await raw(kanjo, nobody)
            try:
                assert (await reader.readline()).split()[1:2] != [b"101"]
            finally:
                writer.transport.abort()


async def faster_than_real_time(kanjo: Service) -> None:
    """Thirty clients that send speech as fast as they can."""
    speech = mulaw_encode(np.ascontiguousarray(recording().pcm[:, 0])).tobytes()

    frames = [frame(BINARY, speech[at : at + 1600]) for at in range(0, len(speech), 1600)]

    async def greedy(number: int) -> None:
        start = {"type": "start", "call_id": f"greedy-{number}", "encoding": "mulaw"}
        start |= {"sample_rate": RATE, "tracks": ["caller"]}
        reader, writer = await raw(kanjo, UPGRADE)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(TEXT, json.dumps(start).encode()))
            while True:
                for each in frames:
                    writer.write(each)
                    await writer.drain()
        finally:
            writer.transport.abort()

    await asyncio.gather(*(greedy(number) for number in range(30)))


beyond_sample = pytest.mark.campaign
Attack = Callable[[Service], Awaitable[None]]
ATTACKS: tuple[Attack, ...] = (
    silent,
    endless_header,
    pings,
    trickling_uploads,
    unread_responses,
    refused_handshakes,
    faster_than_real_time,
)
SAMPLE = (faster_than_real_time,)


def recording() -> Recording:
    whole = Recording.read(SAMPLES / "sounds-angry.flac")
    return Recording(whole.name, whole.tracks, whole.pcm[: SECONDS * RATE])


@contextlib.asynccontextmanager
async def attacked(attack: Attack | None, kanjo: Service) -> AsyncIterator[None]:
    if attack is None:
        yield
        return
    attacking = asyncio.create_task(attack(kanjo))  # type: ignore[arg-type]
    try:
        await asyncio.sleep(1)
        yield
        assert not attacking.done(), "the attack ended"
    finally:
        attacking.cancel()
        await asyncio.gather(attacking, return_exceptions=True)


async def readings_of_a_call(kanjo: Service, attack: Attack | None) -> int:
    """Plays the honest calls, beside an attack; returns the readings of one of them."""
    async with attacked(attack, kanjo):
        summary = await replay([recording()], kanjo.ws, calls=CALLS, stopped_within_s=ENOUGH_S)
        async with kanjo.client() as client:
            assert (await client.get("/healthz")).status_code == 200
    assert not summary.errors, summary.reasons
    assert summary.readings % CALLS == 0, "calls had different readings"
    return summary.readings // CALLS


@pytest.fixture(scope="module")
def alone(kanjo: Service) -> int:
    """The readings of an honest call that nobody disturbs."""
    return asyncio.run(readings_of_a_call(kanjo, None))


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=attack.__name__, marks=() if attack in SAMPLE else beyond_sample)
        for attack in ATTACKS
    ],
)
async def test_honest_calls_are_complete_beside_an_attack(
    kanjo: Service, alone: int, attack: Attack
) -> None:
    before_mb, logged = kanjo.rss_mb, len(kanjo.log)
    assert await readings_of_a_call(kanjo, attack) == alone > 3
    assert kanjo.rss_mb < before_mb + 150
    log = kanjo.log[logged:]
    assert "[error" not in log
    assert log.count("\n") < 200, "strangers fill the log"
