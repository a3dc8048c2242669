"""Clients that break the protocol in every way, beside a correct call, several times."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.replay.player import Recording, ReplaySummary, replay
from service.settings import Settings
from tests.e2e.service import Service, until
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES
from tests.redis_server import RedisServer

NEUTRAL = SAMPLES / "neutral.flac"
ROUNDS = 3
STOP = '{"type": "stop"}'
TOO_LARGE = Settings().ws_max_size + 1
UPGRADE = (
    b"GET /calls/native HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def start(call_id: str, **more: Any) -> str:
    usual = {"encoding": "mulaw", "sample_rate": 8000, "tracks": ["caller"]}
    return json.dumps({"type": "start", "call_id": call_id, **usual, **more})


def frame_of(text: str) -> bytes:
    """Returns a text frame as a client sends it, masked with zeros."""
    data = text.encode()
    return struct.pack("!BBH", 0x81, 0xFE, len(data)) + bytes(4) + data


def connected(kanjo: Service) -> connect:
    return connect(kanjo.ws, compression=None, proxy=None, max_queue=None)


async def receive_all(client: ClientConnection) -> tuple[list[str], int | None]:
    """Returns the messages by their types or error codes, and the code of the close."""
    kinds = []
    try:
        while True:
            message = json.loads(await client.recv())
            kinds.append(message.get("code", message["type"]))
    except ConnectionClosed:
        return kinds, client.close_code


async def exchange(
    kanjo: Service, *messages: str | bytes, replies: list[str], close_code: int = 1000
) -> None:
    async with asyncio.timeout(ENOUGH_S), connected(kanjo) as client:
        try:
            for message in messages:
                await client.send(message)
        except ConnectionClosed:
            pass  # the reply has the reason
        assert await receive_all(client) == (replies, close_code)


# Each function is one kind of client; `name` is its call id.


async def unknown_encoding(kanjo: Service, name: str) -> None:
    await exchange(kanjo, start(name, encoding="opus"), replies=["bad_start"], close_code=1003)


async def stop_without_start(kanjo: Service, name: str) -> None:
    await exchange(kanjo, STOP, replies=["not_started"], close_code=1008)


async def bad_json(kanjo: Service, name: str) -> None:
    bad = ["{", "[]", "null", '"start"', "{" * 1000, '{"type": {"type": 1}}', "\x00"]
    errors = ["bad_json"] * 5 + ["unknown_type", "bad_json"]
    # Before the call, and in it.
    replies = [*errors, "started", *errors, "stopped"]
    await exchange(kanjo, *bad, start(name), *bad, STOP, replies=replies)


async def text_where_audio_should_be(kanjo: Service, name: str) -> None:
    text = "This should have been audio. " * 100
    replies = ["started", *["bad_json"] * 50, "stopped"]
    await exchange(kanjo, start(name), *[text] * 50, STOP, replies=replies)


async def start_twice(kanjo: Service, name: str) -> None:
    replies = ["started", "already_started", "stopped"]
    await exchange(kanjo, start(name), start(name), STOP, replies=replies)


async def frames_too_large(kanjo: Service, name: str) -> None:
    replies = ["started", *["frame_too_large"] * 20, "stopped"]
    await exchange(kanjo, start(name), *[bytes(1_048_576)] * 20, STOP, replies=replies)


async def frames_above_the_websocket_limit(kanjo: Service, name: str) -> None:
    async with asyncio.timeout(ENOUGH_S), connected(kanjo) as client:
        await client.send(start(name))
        assert json.loads(await client.recv())["type"] == "started"
        with suppress(ConnectionClosed):  # while it is still being sent
            await client.send(bytes(TOO_LARGE))
        assert await receive_all(client) == ([], 1009)


async def frames_of_nothing(kanjo: Service, name: str) -> None:
    await exchange(kanjo, start(name), *[b""] * 2000, STOP, replies=["started", "stopped"])


async def odd_tails(kanjo: Service, name: str) -> None:
    odd = start(name, encoding="l16", tracks=["caller", "agent"])
    frames = [bytes(length) for length in range(200)]
    await exchange(kanjo, odd, *frames, STOP, replies=["started", "stopped"])


async def connection_reset(kanjo: Service, name: str) -> None:
    """Breaks the connection in the middle of a frame, by a TCP reset."""
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", kanjo.port)
        writer.write(UPGRADE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(frame_of(start(name)))
        await reader.readexactly(2)  # the reply begins: the call is live
        writer.write(struct.pack("!BBH", 0x82, 0xFE, 8000) + bytes(4) + bytes(100))
        await writer.drain()
        reset(writer)
        await until(partial(ended, kanjo, name), within_s=ENOUGH_S)  # its id is free again


async def never_read(kanjo: Service, name: str) -> None:
    """Causes more replies than the buffers on the way can hold and reads none."""
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
    """Opens fifty connections without a start, some of which send audio."""
    clients = await asyncio.gather(*(connected(kanjo) for _ in range(50)))
    for client in clients[::2]:
        for _ in range(100):
            await client.send(b"\xff" * 160)
    await asyncio.sleep(2)
    await asyncio.gather(*(client.close() for client in clients))


CLIENTS: tuple[Callable[[Service, str], Awaitable[None]], ...] = (
    unknown_encoding,
    stop_without_start,
    bad_json,
    text_where_audio_should_be,
    start_twice,
    frames_too_large,
    frames_above_the_websocket_limit,
    frames_of_nothing,
    odd_tails,
    connection_reset,
    never_read,
    never_start,
)


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ended(kanjo: Service, name: str) -> bool:
    async with kanjo.client() as client:
        response = await client.get(f"/v1/calls/{name}")
    return response.status_code == 200 and response.json()["state"] == "ended"


async def all_ended(kanjo: Service) -> bool:
    return not await kanjo.live()


async def good_call(kanjo: Service) -> ReplaySummary:
    return await replay([Recording.read(NEUTRAL)], kanjo.ws, speed=8.0)


@pytest.mark.campaign
async def test_bad_clients_affect_no_call_and_leave_nothing_behind(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    # The queue is so long that pressure never widens the hop: the same windows every time.
    with Service(tmp_path, redis_url=redis_server.url, queue_max=100_000) as kanjo:
        alone = await good_call(kanjo)
        assert alone.readings > 10
        assert not alone.errors
        costs = []
        for number in range(ROUNDS):
            beside, *_ = await asyncio.gather(
                good_call(kanjo),
                *(client(kanjo, f"{client.__name__}-{number}") for client in CLIENTS),
            )
            assert beside.readings == alone.readings
            assert not beside.errors, beside.reasons
            await until(partial(all_ended, kanjo), within_s=ENOUGH_S)
            assert await kanjo.metric("kanjo_live_calls") == 0
            costs.append((kanjo.rss_mb, kanjo.threads, kanjo.files))
        print("MB, threads, files:", costs)  # noqa: T201
        (_, *_), (rss_2, threads_2, files_2), (rss_3, threads_3, files_3) = costs
        assert rss_3 - rss_2 < 10
        assert threads_3 <= threads_2
        assert files_3 <= files_2 + 1  # a connection of the pool to Redis comes and goes
        assert await kanjo.metric("kanjo_connection_failures_total") == 0
        assert await kanjo.metric("kanjo_windows_dropped_total") == 0
