"""The connection to Redis, and how its failures are treated."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import DecorrelatedJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as ClosedConnection
from redis.exceptions import ReadOnlyError, RedisError

from service.store.errors import StoreUnavailable, UnusableRedisUrl
from service.store.sentinel import SCHEMES, SentinelAddress
from service.store.tls import check_files

RedisClient = Redis | FakeAsyncRedis

# A server that is away raises RedisError; a refused or broken socket can also raise OSError.
REDIS_FAILURES = (RedisError, OSError)
REPLY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
FIRST_RETRY_S = 0.1
MAX_RETRY_S = 5.0


def connect(
    url: str | None,
    *,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> RedisClient:
    """Returns a client without connecting yet; without a URL, one of a Redis in this process.

    Raises:
        UnusableRedisUrl: no connection can be made with this URL, wherever Redis is.
    """
    if url is None:
        return FakeAsyncRedis(server=FakeServer(), decode_responses=True)
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": reply_timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "retry": Retry(NoBackoff(), 1),  # one for a connection that broke while it was idle
    }
    try:
        if url.partition("://")[0] in SCHEMES:
            redis = Redis.from_pool(SentinelAddress.parse(url).pool(**options))
        else:
            _check(url)
            redis = Redis.from_url(url, **options)
        pool = redis.connection_pool
        kind = pool.connection_class
        pool.connection_class = type(kind.__name__, (_Connection, kind), {})
        connection = pool.make_connection()  # type: ignore[no-untyped-call]  # only checks options
    except (TypeError, ValueError, RedisError):  # their texts may hold a part of the password
        raise UnusableRedisUrl("got an unknown option, or one with an impossible value") from None
    if isinstance(connection, SSLConnection):
        check_files(pool.connection_kwargs, connection.ssl_context)
    return redis


async def leave_replica(redis: RedisClient) -> None:
    """Closes the idle connections, so that the next command finds the master of that moment."""
    if not is_embedded(redis):
        await redis.connection_pool.disconnect(inuse_connections=False)


class _Connection:
    """What is treated in another way than redis-py does, on top of each of its connections.

    One that closed before it was written to is a failure of Redis like any other: uvloop raises
    RuntimeError then, which redis-py lets through as it would a fault of the program. One to a
    server that has become a replica is closed, so that its successor can be another server.
    """

    async def read_response(self, *args: Any, **named: Any) -> Any:
        """Returns a reply; raises redis' ReadOnlyError, or ConnectionError, of a replica."""
        try:
            return await super().read_response(*args, **named)  # type: ignore[misc]
        except ReadOnlyError:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise

    async def send_packed_command(self, *args: Any, **named: Any) -> None:
        """Sends a command; raises redis' ConnectionError if the connection has closed."""
        try:
            await super().send_packed_command(*args, **named)  # type: ignore[misc]
        except RuntimeError as exc:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise ClosedConnection("the connection was closed") from exc


def _check(url: str) -> None:
    """Raises UnusableRedisUrl for an address that the library takes apart in another way."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UnusableRedisUrl("got brackets that are no IPv6 address") from None
    try:
        _ = parts.port
    except ValueError:
        raise UnusableRedisUrl("got a port that is no number from 0 to 65535") from None
    if parts.fragment:
        raise UnusableRedisUrl("got something after #")
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise UnusableRedisUrl("got a database that is no number")


def is_embedded(redis: RedisClient) -> bool:
    """Returns whether this Redis lives in this process."""
    return isinstance(redis, FakeAsyncRedis)


def endless_retry(
    failures: tuple[Any, ...], first_s: float = FIRST_RETRY_S, max_s: float = MAX_RETRY_S
) -> Retry:
    """Returns a Retry that never gives up on `failures`, with random pauses up to `max_s`.

    The pauses are random so that all instances of the service do not come back at once. The
    library's other growing back-offs compute 2**failures, which overflows a float after 1,024
    failures: an outage of about an hour.
    """
    return Retry(DecorrelatedJitterBackoff(cap=max_s, base=first_s), -1, failures)


@contextlib.contextmanager
def replies_required() -> Iterator[None]:
    """Raises StoreUnavailable where a command in the block fails.

    A task that was cancelled in the block ends there, also if the library swallowed it.
    """
    try:
        yield
    except REDIS_FAILURES as exc:
        raise_if_cancelled()
        raise StoreUnavailable(str(exc)) from exc
    raise_if_cancelled()


def raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled.

    redis-py sends inside asyncio.wait_for, which in Python 3.11 can swallow a cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
