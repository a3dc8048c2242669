"""Redis behind Sentinels: its addresses, and a failover while calls are written."""

import asyncio
import gc
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisAway

from service.store import keys
from service.store.errors import UnusableRedisUrl
from service.store.redis_client import connect
from service.store.sentinel import SentinelAddress
from service.store.store import Store
from tests.redis_sentinel import PASSWORD, SENTINEL_PASSWORD, SERVICE, RedisSite, client
from tests.service.store.backend import delivered, running, until
from tests.service.store.facts import FIRING, NOW, PENDING, RESOLVED, transition

# redis-py drops a connection to the master that has gone without closing it; Python closes it then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RedisSite]:
    site = RedisSite(tmp_path)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        gc.collect()  # so that the warning comes in this test, which ignores it


def test_an_address_says_where_the_sentinels_are_and_what_redis_wants() -> None:
    address = SentinelAddress.parse(
        "rediss+sentinel://me:s%2Fcret@one,two:26380,[::1]:26381/the%20site/3"
        "?sentinel_username=you&sentinel_password=hid%26den&ssl_ca_certs=/ca.pem&protocol=3"
    )
    assert address.sentinels == (("one", 26379), ("two", 26380), ("::1", 26381))
    assert address.service == "the site"
    assert address.tls
    assert address.options == {
        "username": "me",
        "password": "s/cret",
        "db": 3,
        "ssl_ca_certs": "/ca.pem",
        "protocol": 3,
    }
    assert address.credentials == {"username": "you", "password": "hid&den"}


def test_the_least_of_an_address_is_a_sentinel_and_a_service() -> None:
    address = SentinelAddress.parse("redis+sentinel://one/site")
    assert address == SentinelAddress((("one", 26379),), "site", False, {}, {})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+sentinel://:hidden@one:26379", "no name of the service"),
        ("redis+sentinel://:hidden@one:26379//0", "no name of the service"),
        ("redis+sentinel://:hidden@one/site/hidden", "a database that is no number"),
        ("redis+sentinel://:hidden@one/site/0/1", "a database that is no number"),
        ("redis+sentinel://:hidden@one,/site", "a Sentinel without a host"),
        ("redis+sentinel://:hidden@one:hidden/site", "a Sentinel whose port is no number"),
        ("redis+sentinel://:hidden@[::1/site", "a Sentinel whose port is no number"),
        ("redis+sentinel://:hidden@one/site#hidden", "something after #"),
        ("redis+sentinel://:hidden@one/site?hidden=1", "an unknown option"),
        ("redis+sentinel://:hidden@one/site?sentinel_hidden=1", "an unknown option"),
        ("redis+sentinel://:hidden@one/site?socket_timeout=hidden", "an unknown option, or one"),
        ("redis+sentinel://:hidden@one/site?ssl_ca_certs=hidden", "an unknown option"),
    ],
)
def test_an_address_that_can_not_be_one_is_refused_and_not_repeated(url: str, problem: str) -> None:
    with pytest.raises(UnusableRedisUrl) as refused:
        connect(url)
    assert str(refused.value).startswith(f"got {problem}")
    assert "hidden" not in re.findall(r"\w+", str(refused.value))
    assert refused.value.__cause__ is None


async def test_sentinels_that_do_not_reply_are_named_without_a_secret() -> None:
    redis = connect(f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/{SERVICE}")
    with pytest.raises(RedisAway, match=f"got no master '{SERVICE}' from 2 Sentinels") as away:
        await redis.ping()
    assert PASSWORD not in repr(away.value)
    await redis.aclose()


@pytest.mark.parametrize("fault", ["killed", pytest.param("frozen", marks=pytest.mark.campaign)])
async def test_a_failover_while_calls_are_written_loses_and_doubles_nothing(
    site: RedisSite, tmp_path: Path, fault: str
) -> None:
    expected = []
    path = tmp_path / "outbox.sqlite"
    async with running(Store.connect(site.url, outbox_path=path, retention_s=3600)) as store:
        for n in range(1, 301):
            if n == 100:
                await until(lambda: store.redis_up)
                site.stop_sentinel(0)  # two are enough
                if fault == "killed":
                    site.first.stop()
                else:
                    site.first.signal(signal.SIGSTOP)
            alert_id = f"s1-caller-anger-{n}"
            for number, state in enumerate((PENDING, FIRING, RESOLVED), 1):
                store.transition("s1", transition(number, state, alert_id=alert_id), NOW + n)
                expected.append((alert_id, str(number), str(state)))
            await asyncio.sleep(0.001)
        await delivered(store)
    with client(site.second.port) as second:
        assert second.info("replication")["role"] == "master"
        stored = second.xrange(keys.ALERTS)
        assert [(f["alert_id"], f["number"], f["state"]) for _, f in stored] == expected
        assert {f["kind"] for _, f in second.xrange(keys.EVENTS)} == {"alert"}
        assert second.xlen(keys.EVENTS) == len(expected)


async def test_what_a_master_took_before_it_became_a_replica_is_written_to_the_new_one(
    site: RedisSite, tmp_path: Path
) -> None:
    """Its clients reach it for a moment after the other has become the master."""
    path = tmp_path / "outbox.sqlite"
    options = {"outbox_path": path, "retention_s": 3600, "heartbeat_s": 0.1}
    async with running(Store.connect(site.url, **options)) as store:
        await until(lambda: store.redis_up)
        with client(site.ports[0], SENTINEL_PASSWORD) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE)
        with client(site.second.port) as second:
            for n in range(1, 10_000):
                store.transition("s1", transition(1, PENDING, alert_id=f"a{n}"), NOW)
                await asyncio.sleep(0.001)
                if n % 50 == 0 and second.info("replication")["role"] == "master":
                    break
            await delivered(store)
            await until(lambda: second.xlen(keys.ALERTS) == n)
            stored = second.xrange(keys.ALERTS)
            assert sorted(f["alert_id"] for _, f in stored) == sorted(
                f"a{i}" for i in range(1, n + 1)
            )
