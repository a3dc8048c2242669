import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.redis_server import RedisServer


SLOW = (
    "e2e", "faults", "service/api", "service/cli", "service/dashboard", "service/replay", "service/test_server.py",
    "training/alerts", "training/report", "training/study", "training/test_paper.py",
    "training/test_smoke.py", "training/test_train.py", "test_imports.py", "test_packaging.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Marks tests in folders of slow ones, and skips tests of corpora that are not there."""
    tests = Path(__file__).parent
    slow = tuple(tests / name for name in SLOW)
    for item in items:
        if any(item.path == path or path in item.path.parents for path in slow):
            item.add_marker("slow")
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
