"""A service that is stopped, whatever its clients do."""

import asyncio
import json
import socket
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.service import Service, until
from tests.e2e.test_bad_input import UPGRADE, ended, frame_of, start
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer

DRAIN_S = 2
STOP_S = 18  # for everything else: with KANJO_DRAIN_S it stays below compose's stop_grace_period


async def test_a_stop_ends_calls_and_pages_in_time_and_stores_the_calls(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with Service(tmp_path, redis_url=redis_server.url, drain_s=DRAIN_S) as kanjo:
        async with AsyncExitStack() as ends:
            # Pages, one that reads and one that does not.
            pages = [
                await ends.enter_async_context(
                    (await ends.enter_async_context(kanjo.client())).stream("GET", "/v1/events")
                )
                for _ in range(2)
            ]
            reading = asyncio.create_task(pages[0].aread())
            # A call, and a connection that never becomes one.
            call = await ends.enter_async_context(connect(kanjo.ws, proxy=None))
            await call.send(start("cut off"))
            assert json.loads(await call.recv())["type"] == "started"
            idle = await ends.enter_async_context(connect(kanjo.ws, proxy=None))

            began = time.monotonic()
            await asyncio.to_thread(kanjo.stop)
            assert DRAIN_S < time.monotonic() - began < DRAIN_S + STOP_S
            for client, kind, code in ((call, "stopped", 1000), (idle, "error", 1013)):
                message = json.loads(await client.recv())
                assert message["type"] == kind
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == code
            await reading  # to the end of the response, which is complete
    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        stored = await redis.hgetall("kanjo:call:cut off")
    assert (stored["state"], stored["reason"]) == ("ended", "service stopping")


async def test_a_client_that_never_reads_does_not_keep_the_service_from_stopping(
    tmp_path: Path,
) -> None:
    with Service(tmp_path, drain_s=DRAIN_S) as kanjo:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", kanjo.port))
            raw.sendall(UPGRADE)
            assert raw.recv(4096).startswith(b"HTTP/1.1 101 ")
            raw.sendall(frame_of(start("unread" + "\N{SNAIL}" * 100)) * 5000)
            assert len(await kanjo.live()) == 1
            began = time.monotonic()
            await asyncio.to_thread(kanjo.stop)
            assert time.monotonic() - began < DRAIN_S + STOP_S


@pytest.mark.campaign
async def test_a_stop_without_redis_takes_no_longer_than_allowed(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with Service(tmp_path, redis_url=redis_server.url, drain_s=DRAIN_S) as kanjo:
        async with connect(kanjo.ws, proxy=None) as call:
            redis_server.stop()
            await call.send(start("kept on disk"))
            assert json.loads(await call.recv())["type"] == "started"
            began = time.monotonic()
            await asyncio.to_thread(kanjo.stop)
            assert time.monotonic() - began < DRAIN_S + STOP_S
        redis_server.start()
        await asyncio.to_thread(kanjo.start)
        await until(partial(ended, kanjo, "kept on disk"), within_s=ENOUGH_S)
