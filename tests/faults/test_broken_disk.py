"""A disk that hangs or breaks during calls: Redis alone serves, and the disk is used again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import until
from tests.faults.stage import Stage
from tests.limits import ENOUGH_S
from tests.loop_disk import LoopDisk, loop_disk
from tests.redis_server import RedisServer

pytestmark = pytest.mark.campaign
CALLS = 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    with loop_disk(tmp_path / "loop") as disk:
        yield disk


@pytest.fixture
def stage(tmp_path: Path, redis_server: RedisServer, disk: LoopDisk) -> Iterator[Stage]:
    stage = Stage(tmp_path, redis_server, disk)
    try:
        yield stage
    finally:
        disk.go_on()  # a process can't end while its writes hang
        stage.service.kill()
        print(stage.service.log)  # pytest shows it where a test failed  # noqa: T201


async def whole_calls_without_the_disk(stage: Stage, problem: str) -> None:
    """Plays calls, during which /readyz is 200 and names the disk; Redis alone keeps them."""

    async def degraded() -> bool:
        return any(what.startswith("disk: ") for what in await stage.service.degraded())

    async with stage.calls(CALLS) as told:
        await told.until(lambda told: len(told.steps) > 0)
        await until(degraded, ENOUGH_S)
        assert any(problem in what for what in await stage.service.degraded())
        assert await stage.service.ready()
    assert stage.told.ended == CALLS, "a call did not end as it should"

    async def kept() -> bool:
        return set(await stage.stored_steps()) == set(stage.told.steps)

    await until(kept, ENOUGH_S)
    await stage.check()
    await stage.check_readings()


async def whole_calls_with_the_disk(stage: Stage) -> None:
    await stage.works()

    async def well() -> bool:
        return not any(what.startswith("disk: ") for what in await stage.service.degraded())

    await until(well, ENOUGH_S)
    async with stage.calls(CALLS):
        pass
    await stage.delivered()
    await stage.check()
    await stage.check_readings()


async def test_a_disk_that_hangs_holds_up_nothing(stage: Stage, disk: LoopDisk) -> None:
    await asyncio.to_thread(stage.service.start)
    disk.hang()
    await whole_calls_without_the_disk(stage, "gives no answer within 2 s")
    disk.go_on()
    await whole_calls_with_the_disk(stage)
    await asyncio.to_thread(stage.service.stop)


async def test_a_disk_with_io_errors_holds_up_nothing(stage: Stage, disk: LoopDisk) -> None:
    await asyncio.to_thread(stage.service.start)
    disk.fill()
    await whole_calls_without_the_disk(stage, "disk I/O error")
    disk.free()
    await whole_calls_with_the_disk(stage)
    await asyncio.to_thread(stage.service.stop)
