"""Clients that do everything wrong, beside a call that does everything right, again and again."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.replay.player import Recording, ReplaySummary, replay
from service.settings import Settings
from tests.e2e.service import Service, until
from tests.paths import SAMPLES
from tests.redis_server import RedisServer

NEUTRAL = SAMPLES / "neutral.flac"
ROUNDS = 3
STOP = '{"type": "stop"}'
TOO_LARGE = Settings().ws_max_size + 1
UPGRADE = (
    b"GET /calls/native HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def start(call_id: str, **more: Any) -> str:
    usual = {"encoding": "mulaw", "sample_rate": 8000, "tracks": ["caller"]}
    return json.dumps({"type": "start", "call_id": call_id, **usual, **more})


def frame_of(text: str) -> bytes:
    """As a client sends it, masked with zeros."""
    data = text.encode()
    return struct.pack("!BBH", 0x81, 0xFE, len(data)) + bytes(4) + data


def connected(kanjo: Service) -> connect:
    return connect(kanjo.ws, compression=None, proxy=None, max_queue=None)


async def heard(client: ClientConnection) -> tuple[list[str], int | None]:
    """What comes, each by its type or its error's code, and the code of the close at its end."""
    words = []
    try:
        while True:
            message = json.loads(await client.recv())
            words.append(message.get("code", message["type"]))
    except ConnectionClosed:
        return words, client.close_code


async def says(
    kanjo: Service, *messages: str | bytes, hears: list[str], closes: int = 1000
) -> None:
    async with asyncio.timeout(30), connected(kanjo) as client:
        try:
            for message in messages:
                await client.send(message)
        except ConnectionClosed:
            pass  # the answer says why
        assert await heard(client) == (hears, closes)


# Each is one kind of client. `name` makes its call id its own.


async def unknown_encoding(kanjo: Service, name: str) -> None:
    await says(kanjo, start(name, encoding="opus"), hears=["bad_start"], closes=1003)


async def stop_without_start(kanjo: Service, name: str) -> None:
    await says(kanjo, STOP, hears=["not_started"], closes=1008)


async def bad_json(kanjo: Service, name: str) -> None:
    bad = ["{", "[]", "null", '"start"', "{" * 1000, '{"type": {"type": 1}}', "\x00"]
    answers = ["bad_json"] * 5 + ["unknown_type", "bad_json"]
    # Before the call, and in it.
    words = [*answers, "started", *answers, "stopped"]
    await says(kanjo, *bad, start(name), *bad, STOP, hears=words)


async def text_where_audio_should_be(kanjo: Service, name: str) -> None:
    text = "This should have been sound. " * 100
    words = ["started", *["bad_json"] * 50, "stopped"]
    await says(kanjo, start(name), *[text] * 50, STOP, hears=words)


async def start_twice(kanjo: Service, name: str) -> None:
    words = ["started", "already_started", "stopped"]
    await says(kanjo, start(name), start(name), STOP, hears=words)


async def frames_too_large(kanjo: Service, name: str) -> None:
    words = ["started", *["frame_too_large"] * 20, "stopped"]
    await says(kanjo, start(name), *[bytes(1_048_576)] * 20, STOP, hears=words)


async def frames_beyond_all_bounds(kanjo: Service, name: str) -> None:
    async with asyncio.timeout(30), connected(kanjo) as client:
        await client.send(start(name))
        assert json.loads(await client.recv())["type"] == "started"
        with suppress(ConnectionClosed):  # while it is still being sent
            await client.send(bytes(TOO_LARGE))
        assert await heard(client) == ([], 1009)


async def frames_of_nothing(kanjo: Service, name: str) -> None:
    await says(kanjo, start(name), *[b""] * 2000, STOP, hears=["started", "stopped"])


async def odd_tails(kanjo: Service, name: str) -> None:
    odd = start(name, encoding="l16", tracks=["caller", "agent"])
    frames = [bytes(length) for length in range(200)]
    await says(kanjo, odd, *frames, STOP, hears=["started", "stopped"])


async def broken_off(kanjo: Service, name: str) -> None:
    """In the middle of a frame, by a TCP reset."""
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", kanjo.port)
        writer.write(UPGRADE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(frame_of(start(name)))
        await reader.readexactly(2)  # the answer begins: the call is live
        writer.write(struct.pack("!BBH", 0x82, 0xFE, 8000) + bytes(4) + bytes(100))
        await writer.drain()
        reset(writer)
        await until(partial(ended, kanjo, name), within_s=10)  # its id is free again


async def never_read(kanjo: Service, name: str) -> None:
    """More answers than the buffers on the way can hold, and none is fetched."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", kanjo.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    again = frame_of(start(name + "\N{SNAIL}" * 100))
    for _ in range(5000):
        writer.write(again)
        await writer.drain()
    reset(writer)


async def never_start(kanjo: Service, name: str) -> None:
    """Fifty at once, some of which send audio all the same."""
    clients = await asyncio.gather(*(connected(kanjo) for _ in range(50)))
    for client in clients[::2]:
        for _ in range(100):
            await client.send(b"\xff" * 160)
    await asyncio.sleep(2)
    await asyncio.gather(*(client.close() for client in clients))


ABUSES: tuple[Callable[[Service, str], Awaitable[None]], ...] = (
    unknown_encoding,
    stop_without_start,
    bad_json,
    text_where_audio_should_be,
    start_twice,
    frames_too_large,
    frames_beyond_all_bounds,
    frames_of_nothing,
    odd_tails,
    broken_off,
    never_read,
    never_start,
)


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ended(kanjo: Service, name: str) -> bool:
    async with kanjo.client() as client:
        answer = await client.get(f"/calls/{name}")
    return answer.status_code == 200 and answer.json()["state"] == "ended"


async def all_ended(kanjo: Service) -> bool:
    return not await kanjo.live()


async def good_call(kanjo: Service) -> ReplaySummary:
    return await replay([Recording.read(NEUTRAL)], kanjo.ws, speed=8.0)


async def test_bad_clients_harm_no_call_and_cost_nothing_that_lasts(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    # A queue so long that its filling does not widen the hop: the same windows every time.
    with Service(tmp_path, redis_url=redis_server.url, queue_max=100_000) as kanjo:
        alone = await good_call(kanjo)
        assert alone.readings > 10
        assert not alone.errors
        costs = []
        for number in range(ROUNDS):
            beside, *_ = await asyncio.gather(
                good_call(kanjo), *(abuse(kanjo, f"{abuse.__name__}-{number}") for abuse in ABUSES)
            )
            assert beside.readings == alone.readings
            assert not beside.errors, beside.reasons
            await until(partial(all_ended, kanjo), within_s=10)
            assert await kanjo.metric("kanjo_live_calls") == 0
            costs.append((kanjo.rss_mb, kanjo.threads, kanjo.files))
        print("MB, threads, files:", costs)  # noqa: T201
        (_, *_), (rss_2, threads_2, files_2), (rss_3, threads_3, files_3) = costs
        assert rss_3 - rss_2 < 10
        assert threads_3 <= threads_2
        assert files_3 <= files_2 + 1  # a connection of the pool to Redis comes and goes
        assert await kanjo.metric("kanjo_connection_failures_total") == 0
        assert await kanjo.metric("kanjo_windows_dropped_total") == 0
