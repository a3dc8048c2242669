import asyncio
import re
import socket
import struct
import threading
from contextlib import suppress

import pytest
import uvloop

from service.store.errors import StoreUnavailable, UnusableRedisUrl
from service.store.redis_client import (
    RedisClient,
    connect,
    endless_retry,
    raise_if_cancelled,
    replies_required,
)
from tests.limits import ENOUGH_S


async def test_a_retry_outlasts_any_number_of_failures() -> None:
    """2**failures no longer fits a float after 1,024."""
    failures = 0

    async def fails_often() -> str:
        if failures < 3000:
            raise ConnectionError("away")
        return "back"

    async def failed(_: Exception) -> None:
        nonlocal failures
        failures += 1

    retry = endless_retry((ConnectionError,), first_s=0, max_s=0)
    assert await retry.call_with_retry(fails_often, failed) == "back"
    assert failures == 3000


async def test_a_retry_lets_other_errors_through() -> None:
    async def breaks() -> None:
        raise ZeroDivisionError

    async def failed(_: Exception) -> None: ...

    with pytest.raises(ZeroDivisionError):
        await endless_retry((ConnectionError,)).call_with_retry(breaks, failed)


async def test_a_failure_of_redis_makes_the_store_unavailable() -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"got no answer from Redis \(refused\)"),
        replies_required(),
    ):
        raise ConnectionRefusedError("refused")


def test_a_redis_that_closes_connections_at_once_is_away() -> None:
    def close_each() -> None:
        with suppress(OSError):  # at the end of the test
            while True:
                connection, _ = server.accept()
                at_once = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                connection.close()

    async def ask(redis: RedisClient) -> None:
        with suppress(StoreUnavailable), replies_required():
            await redis.ping()

    async def ask_often() -> None:
        redis = connect(f"redis://127.0.0.1:{server.getsockname()[1]}")
        for _ in range(200):
            await asyncio.gather(*(ask(redis) for _ in range(10)))
        await redis.aclose()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=close_each, daemon=True).start()
        uvloop.run(ask_often())  # as in the service
        server.shutdown(socket.SHUT_RDWR)


async def test_a_swallowed_cancellation_is_raised_again() -> None:
    async def swallows() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise_if_cancelled()
        raise AssertionError("went on after its cancellation")

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("reply", ["fails", "comes"])
async def test_a_swallowed_cancellation_ends_the_task_after_the_command(reply: str) -> None:
    async def endless() -> None:
        with suppress(StoreUnavailable), replies_required():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # as redis-py does
                if reply == "fails":
                    raise ConnectionError from None
        await asyncio.sleep(60)

    task = asyncio.create_task(endless())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, ENOUGH_S)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://:hidden@redis:99999/0", "a port that is no number from 0 to 65535"),
        ("redis://:hid/den@redis:6379/0", "a port that is no number from 0 to 65535"),
        ("redis://:hidden@redis/0#hidden", "something after #"),
        ("redis://:hidden@redis/hidden", "a database that is no number"),
        ("redis://:hidden@redis/0?hidden=1", "an unknown option"),
        ("redis://:hidden@redis/0?socket_timeout=hidden", "an unknown option, or one with an imp"),
        ("rediss://:hidden@redis/0?ssl_cert_reqs=hidden", "an unknown option, or one with an imp"),
        ("redis://:hidden@[::1/0", "brackets that are no IPv6 address"),
    ],
)
def test_an_address_that_can_not_be_one_is_refused_and_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(UnusableRedisUrl) as refused:
        connect(url)
    assert str(refused.value).startswith(f"got {problem}")
    assert not {"hid", "den", "hidden"} & set(re.findall(r"\w+", str(refused.value)))
    assert refused.value.__cause__ is None


async def test_addresses_that_can_be_are_taken() -> None:
    for url in (
        "redis://:s%2Fcret@redis:6380/2",
        "rediss://user:secret@redis?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/",
    ):
        await connect(url).aclose()
