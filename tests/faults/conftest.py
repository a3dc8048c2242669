from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stage import Stage
from tests.redis_server import RedisServer
from tests.small_disk import small_disk

DISK_KB = 4096


@pytest.fixture
def stage(tmp_path: Path, redis_server: RedisServer) -> Iterator[Stage]:
    """A service that has not been started, with a Redis and a small disk of its own."""
    with small_disk(tmp_path / "disk", DISK_KB) as disk:
        stage = Stage(tmp_path, redis_server, disk)
        try:
            yield stage
        finally:
            stage.service.kill()
            print(stage.service.log)  # pytest shows it where a test failed  # noqa: T201
