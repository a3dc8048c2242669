"""The outbox's disk is full, small, read-only or slow: Redis alone serves, and the disk again."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from service.store.entries import Entry
from service.store.outbox import Outbox
from service.store.store import Store
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import FIRING, NOW, PENDING, reading, started, transition
from tests.small_disk import SmallDisk, small_disk

SIZE_KB = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", SIZE_KB) as mounted:
        yield mounted


def write(store: Store, numbers: Sequence[int]) -> list[tuple[str, str, str]]:
    """Writes two transitions of each alert; returns what Redis must hold of them."""
    for n in numbers:
        for number, state in enumerate((PENDING, FIRING), 1):
            store.transition("s1", transition(number, state, alert_id=f"a{n}"), NOW + n)
    return [
        (f"a{n}", str(number), state)
        for n in numbers
        for number, state in ((1, "pending"), (2, "firing"))
    ]


async def works(store: Store) -> None:
    await until(lambda: not store.outbox_failing)


async def test_redis_alone_serves_while_the_disk_is_full_and_the_disk_is_used_again(
    real: Backend, disk: SmallDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert real.server is not None
    async with running(real.store("disk/o")) as store:
        expected = write(store, range(10))
        await delivered(store)
        disk.fill()
        full_at = time.time()
        for n in range(10, 60, 10):
            expected += write(store, range(n, n + 10))
            await delivered(store)

        def failing() -> bool:
            disk.fill()  # again: a service that has delivered everything frees its own room
            return store.outbox_failing

        await until(failing)
        [problem] = store.problems
        assert problem.what == "disk: database or disk is full"
        assert full_at <= problem.since <= time.time()
        disk.free()
        await works(store)
        assert store.problems == []
        # It is used again: what Redis does not take is on disk.
        real.server.stop()
        expected += write(store, range(60, 70))
        await until(lambda: store.writer.in_memory == 0)
        real.server.start()
        await delivered(store)
        assert await real.transitions() == expected
        assert (store.dropped_readings, store.rejected_writes) == (0, 0)
    told = "".join(capfd.readouterr())
    assert told.count("disk_failing") == told.count("disk_back") >= 1


async def test_a_disk_that_filled_while_redis_was_away_recovers_by_itself(
    real: Backend, disk: SmallDisk
) -> None:
    """Nobody frees room on it: what Redis has received must."""
    assert real.server is not None
    real.server.stop()
    async with running(real.store("disk/o")) as store:
        expected: list[tuple[str, str, str]] = []
        n = 0
        while not store.outbox_failing:
            expected += write(store, range(n, n + 50))
            n += 50
            await until(lambda: store.outbox_failing or store.writer.in_memory == 0)
        expected += write(store, range(n, n + 50))
        assert store.writer.in_memory >= 100
        real.server.start()
        await delivered(store)
        assert await real.transitions() == expected
        await works(store)
        assert disk.used_bytes < SIZE_KB * 1024 / 2


async def test_a_service_starts_on_a_read_only_disk_and_uses_it_when_it_can(
    real: Backend, disk: SmallDisk
) -> None:
    assert real.server is not None
    disk.read_only(True)
    async with running(real.store("disk/o")) as store:
        expected = write(store, range(10))
        await delivered(store)
        await until(lambda: store.redis_up and len(store.problems) == 1)
        assert "disk/o" in store.problems[0].what
        disk.read_only(False)
        await works(store)
        real.server.stop()
        expected += write(store, range(10, 20))
        await until(lambda: store.writer.in_memory == 0)
    real.server.start()
    async with running(real.store("disk/o")) as store:
        await delivered(store)
    assert await real.transitions() == expected


async def test_a_disk_that_fills_up_in_an_outage_loses_and_doubles_nothing(
    real: Backend, disk: SmallDisk
) -> None:
    assert real.server is not None
    async with running(real.store("disk/o")) as store:
        real.server.stop()
        expected = write(store, range(10))
        await until(lambda: store.writer.in_memory == 0)
        disk.fill()
        expected += write(store, range(10, 20))
        await until(lambda: store.outbox_failing)
    # What was in memory alone is lost with this process; the disk is still full at the next start.
    async with running(real.store("disk/o")) as store:
        assert store.pending_writes == 20
        real.server.start()
        expected = expected[:20] + write(store, range(20, 30))
        await delivered(store)
        await works(store)
        expected += write(store, range(30, 40))
        await delivered(store)
    disk.free()
    async with running(real.store("disk/o")) as store:
        await delivered(store)
    assert await real.transitions() == expected


async def test_without_disk_and_redis_alerts_are_kept_in_memory_and_it_is_said(
    real: Backend, disk: SmallDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert real.server is not None
    real.server.stop()
    disk.read_only(True)
    async with running(real.store("disk/o", memory_limit=30)) as store:
        for number in range(1, 21):
            store.reading("s1", reading(number), NOW)
        expected = write(store, range(15))
        assert (store.dropped_readings, store.rejected_writes) == (20, 0)
        await until(lambda: any("in memory alone" in each.what for each in store.problems))
        real.server.start()
        await delivered(store)
        await until(lambda: len(store.problems) == 1)  # the disk's own
    assert await real.transitions() == expected
    told = "".join(capfd.readouterr())
    assert told.count("writes_in_memory_alone") == told.count("writes_kept_again") == 1


async def test_a_disk_that_hangs_delays_neither_redis_nor_a_receipt(
    real: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    append = Outbox.append

    def hangs(outbox: Outbox, entries: Sequence[Entry]) -> range:
        assert go.wait(ENOUGH_S)
        return append(outbox, entries)

    monkeypatch.setattr(Outbox, "append", hangs)
    async with running(real.store()) as store:
        receipt = store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        assert receipt.kept
        await until(lambda: store.outbox_failing)
        go.set()
        await works(store)
    assert len(await real.transitions()) == 1


async def test_a_receipt_tells_when_redis_or_the_disk_has_the_step(
    real: Backend, disk: SmallDisk
) -> None:
    assert real.server is not None
    real.server.stop()
    async with running(real.store("disk/o")) as store:
        on_disk = store.transition("s1", transition(1, PENDING), NOW)
        await until(lambda: on_disk.kept)
    disk.read_only(True)
    async with running(real.store("disk/o")) as store:
        in_memory = store.transition("s1", transition(2, FIRING), NOW)
        await asyncio.sleep(0.1)
        assert not in_memory.kept
        real.server.start()
        await until(lambda: in_memory.kept)


async def test_what_an_earlier_process_left_comes_first_also_if_the_disk_is_found_late(
    redis_server: RedisServer, tmp_path: Path, disk: SmallDisk
) -> None:
    backend = Backend(tmp_path, redis_server)
    redis_server.stop()
    async with running(backend.store("disk/o")) as store:
        store.call_started("s1", started(), NOW)
        expected = write(store, range(5))
        await until(lambda: store.writer.in_memory == 0)
    assert store.pending_writes == 11
    redis_server.start()
    async with running(backend.store("disk/o")) as store:
        expected += write(store, range(5, 10))
        await delivered(store)
    assert await backend.transitions() == expected
    await backend.redis.aclose()
