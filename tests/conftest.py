import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.redis_server import RedisServer


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What is marked `corpora` needs real recordings."""
    if "KANJO_CORPORA" not in os.environ:
        for item in items:
            if item.get_closest_marker("corpora"):
                item.add_marker(pytest.mark.skip(reason="KANJO_CORPORA is not set"))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
