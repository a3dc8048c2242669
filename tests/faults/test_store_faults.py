"""One part of the store fails during calls: what was told on the wire is in Redis, once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.stage import Stage
from tests.limits import ENOUGH_S

CALLS = 3
FAULT_S = 5.0
KILLS = 10


async def redis_killed(stage: Stage) -> None:
    stage.redis.stop()
    await asyncio.sleep(FAULT_S)
    await asyncio.to_thread(stage.redis.start)


async def redis_frozen(stage: Stage) -> None:
    async with stage.client() as client:
        pid = (await client.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(FAULT_S)
    os.kill(pid, signal.SIGCONT)


async def redis_out_of_memory(stage: Stage) -> None:
    async with stage.client() as client:
        await client.config_set("maxmemory", 1)
        await asyncio.sleep(FAULT_S)
        await client.config_set("maxmemory", 0)


async def redis_read_only(stage: Stage) -> None:
    async with stage.client() as client:
        await client.replicaof("127.0.0.1", 1)
        await asyncio.sleep(FAULT_S)
        await client.replicaof("NO", "ONE")


async def disk_full(stage: Stage) -> None:
    for _ in range(round(FAULT_S / 0.1)):
        stage.disk.fill()
        await asyncio.sleep(0.1)
    stage.disk.free()


async def disk_gone(stage: Stage) -> None:
    """Nothing of the state folder is left, as if another disk were mounted there."""
    for file in (stage.disk.folder / "var").iterdir():
        file.unlink()
    await asyncio.sleep(FAULT_S)


Fault = Callable[[Stage], Awaitable[None]]
SAMPLE: list[Fault] = [disk_full]
WHOLE: list[Fault] = [redis_killed, redis_frozen, redis_out_of_memory, redis_read_only, disk_gone]


@pytest.mark.parametrize(
    "fault", [*SAMPLE, *(pytest.param(fault, marks=pytest.mark.campaign) for fault in WHOLE)]
)
async def test_a_single_fault_loses_and_doubles_nothing(stage: Stage, fault: Fault) -> None:
    await asyncio.to_thread(stage.service.start)
    async with stage.calls(CALLS) as told:
        await told.until(lambda told: len(told.steps) > 0)
        await fault(stage)
        during = len(told.steps)
    assert stage.told.ended == CALLS, "a call did not end as it should"
    assert during > 0
    await stage.delivered()
    await stage.works()
    await stage.check()
    await stage.check_readings()
    assert set(await stage.stored_steps()) == set(stage.told.steps)
    await asyncio.to_thread(stage.service.stop)


@pytest.mark.campaign
async def test_a_service_on_a_read_only_disk_serves_all_the_same(stage: Stage) -> None:
    stage.disk.read_only(True)
    await asyncio.to_thread(stage.service.start)
    async with stage.calls(CALLS):
        pass
    await stage.delivered()
    await stage.check()
    await stage.check_readings()
    stage.disk.read_only(False)
    await stage.works()


@pytest.mark.campaign
async def test_a_redis_that_lost_its_data_gets_open_alerts_again(stage: Stage) -> None:
    await asyncio.to_thread(stage.service.start)
    async with stage.calls(CALLS) as told:
        await told.until(lambda told: len(told.steps) > 1)
        closed = {s.alert_id for s in told.steps if s.state in ("resolved", "lapsed")}
        async with stage.client() as client:
            await client.flushall()
    await stage.delivered()
    await stage.check(told={step for step in told.steps if step.alert_id not in closed})


async def without_fault(stage: Stage) -> None:
    pass


async def without_redis(stage: Stage) -> None:
    stage.redis.stop()


async def without_disk(stage: Stage) -> None:
    stage.disk.fill()
    async with asyncio.timeout(ENOUGH_S):
        while await stage.service.metric("kanjo_outbox_failing") == 0:
            stage.disk.fill()
            await asyncio.sleep(0.05)


async def kill_at_a_step(stage: Stage, fault: Fault) -> None:
    """Kills the service at the instant at which the next step is told."""
    async with stage.calls(CALLS) as told:
        await told.until(lambda told: sum(map(len, told.readings.values())) > 0)
        await fault(stage)
        stage.told.on_step = stage.service.kill
    stage.told.on_step = lambda: None


@pytest.mark.parametrize(
    ("fault", "kills"),
    [
        (without_fault, 1),
        pytest.param(without_fault, KILLS, marks=pytest.mark.campaign),
        pytest.param(without_redis, KILLS, marks=pytest.mark.campaign),
        pytest.param(without_disk, KILLS, marks=pytest.mark.campaign),
    ],
)
async def test_a_step_that_was_told_survives_a_kill_at_that_instant(
    stage: Stage, fault: Fault, kills: int
) -> None:
    for _ in range(kills):
        before = len(stage.told.steps)
        await asyncio.to_thread(stage.service.start)
        await kill_at_a_step(stage, fault)
        assert len(stage.told.steps) > before, "no step was told"
        stage.disk.free()
        if fault is without_redis:
            await asyncio.to_thread(stage.redis.start)
    await asyncio.to_thread(stage.service.start)
    await stage.delivered()
    await stage.check()
    await asyncio.to_thread(stage.service.stop)
