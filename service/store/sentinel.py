"""Redis behind Sentinels: each new connection asks them for the master, by redis-py's client."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from service.store.errors import UnusableRedisUrl

SCHEMES = {"redis+sentinel": False, "rediss+sentinel": True}  # and whether both use TLS
PORT = 26379
TO_SENTINELS = ("socket_timeout", "socket_connect_timeout", "socket_keepalive")


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where Sentinels are, and which of the masters they watch is meant.

    `redis+sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/NUMBER][?OPTIONS]`, the
    form of other programs too. User and password are those of Redis; the options
    `sentinel_username` and `sentinel_password` are those of the Sentinels, all others redis-py's.
    With `rediss+sentinel` Redis and Sentinels are both spoken to over TLS, with the same options.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    tls: bool
    options: Mapping[str, Any]  # of connections to Redis
    credentials: Mapping[str, str]  # of connections to Sentinels

    @classmethod
    def parse(cls, url: str) -> "SentinelAddress":
        """Returns the parts of a URL.

        Raises:
            UnusableRedisUrl: a part is missing or impossible.
            ValueError: an option has an impossible value.
        """
        scheme, _, rest = url.partition("://")
        if "#" in rest:
            raise UnusableRedisUrl("got something after #")
        rest, _, query = rest.partition("?")
        place, _, path = rest.partition("/")
        user, at, hosts = place.rpartition("@")
        service, _, database = path.partition("/")
        if not service:
            raise UnusableRedisUrl("got no name of the service after the Sentinels")
        if not re.fullmatch(r"\d*", database):
            raise UnusableRedisUrl("got a database that is no number")
        own, others = {}, []
        for name, value in parse_qsl(query):
            if name in ("sentinel_username", "sentinel_password"):
                own[name.removeprefix("sentinel_")] = value
            else:
                others.append((name, value))
        # redis-py's own reading of all that Redis itself is concerned with.
        options = dict(parse_url(f"redis://{user}{at}sentinel/{database}?{urlencode(others)}"))
        del options["host"]
        return cls(
            tuple(map(_host, hosts.split(","))),
            unquote(service),
            SCHEMES[scheme],
            options,
            own,
        )

    def pool(self, **defaults: Any) -> "SentinelPool":
        """Returns a pool of connections to the master; `defaults` give way to the URL's options."""
        options = {**defaults, **self.options}
        shared = {
            name: value
            for name, value in options.items()
            if name in TO_SENTINELS or name.startswith("ssl_")
        }
        manager = Sentinel(  # type: ignore[no-untyped-call]
            self.sentinels,
            sentinel_kwargs={
                **shared,
                **self.credentials,
                "ssl": self.tls,
                "decode_responses": True,
                "retry": Retry(NoBackoff(), 1),
            },
        )
        pool: Any = SentinelPool
        return cast(SentinelPool, pool(self.service, manager, ssl=self.tls, **options))


class SentinelPool(SentinelConnectionPool):
    """Connections to the master of the moment; it owns those to the Sentinels too."""

    async def get_master_address(self) -> Any:
        """Returns host and port of the master.

        Raises:
            MasterNotFoundError: no Sentinel replies, or those that do know no master that is up.
        """
        try:
            return await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:  # its text has every option of the connections
            raise MasterNotFoundError(
                f"got no master {self.service_name!r} from {len(self.sentinel_manager.sentinels)} "
                "Sentinels, expected one that is up"
            ) from None

    async def aclose(self) -> None:
        """Closes all connections, to Redis and to the Sentinels."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _host(text: str) -> tuple[str, int]:
    """Returns the host and port of one Sentinel."""
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise UnusableRedisUrl(
            "got a Sentinel whose port is no number from 0 to 65535, or with brackets that are no "
            "IPv6 address"
        ) from None
    if not parts.hostname:
        raise UnusableRedisUrl("got a Sentinel without a host")
    return parts.hostname, PORT if port is None else port
