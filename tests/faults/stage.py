"""A service with its Redis and its disk, each of which a test can break, and calls at it."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from service.store.views import ReadingView
from tests.e2e.service import Service, until
from tests.faults.calls import Step, Told, play
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer
from tests.small_disk import SmallDisk

SPEED = 3.0
# Low thresholds make many steps of alerts; a high speed makes calls short.
SETTINGS = {
    "anger_fire_at": 0.4,
    "anger_clear_at": 0.3,
    "hold_s": 1,
    "release_s": 1,
    "max_speed": 100,
}


class Stage:
    """The service of one test. Its state folder is on `disk`."""

    def __init__(self, folder: Path, redis: RedisServer, disk: SmallDisk, **settings: Any) -> None:
        self.redis = redis
        self.disk = disk
        settings = {**SETTINGS, "state_dir": disk.folder / "var", **settings}
        self.service = Service(folder, redis_url=redis.url, **settings)
        self.told = Told()

    @contextlib.asynccontextmanager
    async def calls(self, count: int) -> AsyncIterator[Told]:
        """Plays calls while the block runs, and to their ends."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                id = f"call-{number}-{len(self.told.steps)}"
                tasks.create_task(play(self.service.ws, id, self.told, speed=SPEED))
            yield self.told

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        async with Redis.from_url(self.redis.url, decode_responses=True) as client:
            yield client

    async def delivered(self) -> None:
        """Returns when Redis has received all that the service has written."""

        async def none_pending() -> bool:
            return await self.service.metric("kanjo_outbox_pending_writes") == 0

        await until(none_pending, ENOUGH_S)

    async def works(self) -> None:
        """Returns when the service uses its disk."""

        async def disk_used() -> bool:
            return await self.service.metric("kanjo_outbox_failing") == 0

        await until(disk_used, ENOUGH_S)

    async def stored_steps(self) -> list[Step]:
        """Returns all steps of alerts that Redis has, in their order."""
        async with self.client() as client:
            entries = await client.xrange("kanjo:alerts")
        return [Step(f["alert_id"], f["number"], f["state"]) for _, f in entries]

    async def check(self, *, told: set[Step] | None = None) -> None:
        """Asserts that Redis has all that was told, each once and in order.

        `told` replaces the steps that were told, where some may be missing.
        """
        stored = await self.stored_steps()
        assert len(set(stored)) == len(stored), "a step is stored twice"
        assert (set(self.told.steps) if told is None else told) <= set(stored), "a step is lost"
        numbers: dict[str, list[int]] = defaultdict(list)
        for step in stored:
            numbers[step.alert_id].append(int(step.number))
        assert all(found == sorted(found) for found in numbers.values())

    async def check_readings(self) -> None:
        """Asserts that Redis has each reading that was told once, in order, and no gap."""
        async with self.client() as client:
            for call_id, told in self.told.readings.items():
                entries = await client.xrange(f"kanjo:readings:{call_id}")
                stored = [ReadingView.model_validate_json(f["data"]).number for _, f in entries]
                assert stored == list(range(1, len(stored) + 1))
                assert set(told) <= set(stored)
