"""What is wrong is named, with its beginning, and judged by writes, never by PING."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from service.store import keys, redis_client
from service.store.outbox import Outbox
from service.store.store import Store
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import NOW, PENDING, started, transition, whole_call
from tests.small_disk import small_disk

Change = Callable[[Backend], Awaitable[None]]


async def stop(real: Backend) -> None:
    assert real.server is not None
    real.server.stop()


async def restart(real: Backend) -> None:
    assert real.server is not None
    real.server.start()


def setting(name: str, value: object) -> Change:
    async def change(real: Backend) -> None:
        await real.redis.config_set(name, value)

    return change


def command(*words: str) -> Change:
    async def change(real: Backend) -> None:
        await real.redis.execute_command(*words)

    return change


FAULTS: dict[str, tuple[Change, Change]] = {
    "does not reply: ": (stop, restart),
    "refuses writes: OOM ": (setting("maxmemory", 1), setting("maxmemory", 0)),
    "refuses writes: READONLY ": (
        command("REPLICAOF", "127.0.0.1", "1"),
        command("REPLICAOF", "NO", "ONE"),
    ),
    "refuses writes: NOREPLICAS ": (
        setting("min-replicas-to-write", 1),
        setting("min-replicas-to-write", 0),
    ),
    "refuses writes: ": (
        command("ACL", "SETUSER", "default", "-zadd"),
        command("ACL", "SETUSER", "default", "+zadd"),
    ),
}


@pytest.mark.parametrize("writing", [False, True], ids=["idle", "writing"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_redis_that_takes_no_writes_is_named_until_it_does(
    real: Backend, fault: str, writing: bool
) -> None:
    begin, end = FAULTS[fault]
    async with running(real.store(heartbeat_s=0.05)) as store:
        await until(lambda: store.redis_up)
        assert store.problems == []
        before = time.time()
        await begin(real)
        if writing:
            whole_call(store)
        await until(lambda: any(p.what.startswith(f"Redis {fault}") for p in store.problems))
        [problem] = store.problems
        assert before <= problem.since <= time.time()
        assert store.keeps_writes
        await asyncio.sleep(0.3)
        assert [now.since for now in store.problems] == [problem.since]  # not each attempt anew
        await end(real)
        await until(lambda: store.problems == [])
        whole_call(store, "s2", "call-2")
        await delivered(store)
        assert store.rejected_writes == 0
        assert store.dead_letters == ()


async def test_a_redis_that_hangs_is_named(real: Backend) -> None:
    assert real.server is not None
    pid = (await real.redis.info("server"))["process_id"]
    client = redis_client.connect(real.server.url, reply_timeout_s=1.5)
    outbox = partial(Outbox, real.folder / "o", 100)
    async with running(Store(client, outbox, retention_s=60, heartbeat_s=0.05)) as store:
        await until(lambda: store.redis_up)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: store.problems != [])
            assert store.problems[0].what.startswith("Redis does not reply: ")
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: store.problems == [])


async def test_a_disk_that_takes_no_writes_is_named_and_redis_keeps_them(real: Backend) -> None:
    assert real.server is not None
    with small_disk(real.folder / "disk", 1024) as disk:
        disk.read_only(True)
        async with running(real.store("disk/o", heartbeat_s=0.05)) as store:
            await until(lambda: store.redis_up and len(store.problems) == 1)
            assert store.problems[0].what.startswith("disk: ")
            assert store.keeps_writes
            real.server.stop()
            for n in range(200):
                store.transition("s1", transition(1, PENDING, alert_id=f"a{n}"), NOW)
            await until(lambda: not store.keeps_writes)
            await until(lambda: len(store.problems) == 3)
            first_words = sorted(problem.what.split()[0] for problem in store.problems)
            assert first_words == ["Redis", "disk", "disk:"]
            real.server.start()
            disk.read_only(False)
            await delivered(store)
            await until(lambda: store.problems == [])
            assert len(await real.transitions()) == 200


async def test_outboxes_set_aside_and_dead_letters_are_problems(real: Backend) -> None:
    (real.folder / "o").write_text("no database")
    await real.redis.set(keys.alert_key("s1-caller-anger-1"), "of another program")
    async with running(real.store("o")) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        aside, letters = store.problems
        assert aside.what.startswith("outbox: a file was set aside as o.not-a-database-")
        assert letters.what.startswith("outbox: 1 writes can never be applied")
        assert store.keeps_writes


async def test_the_oldest_pending_write_s_age_counts_from_its_writing(real: Backend) -> None:
    assert real.server is not None
    now = 1_000.0
    real.server.stop()
    store = real.store("o", wall_clock=lambda: now)
    assert store.oldest_pending_s == 0
    store.call_started("s1", started(), NOW)
    now = 1_010.0
    assert store.oldest_pending_s == 10
    async with running(store):
        await until(lambda: store.writer.in_memory == 0)
        store.transition("s1", transition(1, PENDING), NOW)
        await until(lambda: store.writer.in_memory == 0)
        now = 1_030.0
        assert 20 <= store.oldest_pending_s <= 30
        real.server.start()
        await delivered(store)
        assert store.oldest_pending_s == 0
