import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.redis_server import RedisServer

hypothesis.settings.register_profile("fast", max_examples=20)

# What `make test-fast` leaves out: folders and modules whose tests take a second or more each.
SLOW = (
    *("benchmarks", "e2e", "faults", "test_imports.py", "test_packaging.py"),
    *("model/test_artifact.py", "model/test_encoder.py", "model/test_export.py"),
    *("model/test_chunk_encoder.py", "model/test_encoded_artifact.py", "model/test_network.py"),
    *("service/api", "service/cli", "service/dashboard", "service/replay", "service/store"),
    *("service/calls/test_stream.py", "service/calls/test_windows.py"),
    *("service/calls/test_windows_baseline.py", "service/scoring/test_torch_scorer.py"),
    *("service/calls/test_chunks.py", "service/scoring/test_encoded_scoring.py"),
    *("service/telephony/test_new_provider.py", "service/telephony/twilio/test_streamdouble.py"),
    *("service/test_app.py", "service/test_classification.py", "service/test_connections.py"),
    *("service/test_server.py", "service/loadtest/test_session.py"),
    *("training/alerts", "training/data", "training/report", "training/study"),
    *("training/test_paper.py", "training/test_smoke.py", "training/test_train.py"),
)

# Files that take a minute or more come first, so that no process is left alone with one at the end.
LONG = ("training/test_smoke.py", "e2e", "faults", "training/study", "training/test_train.py")


@pytest.fixture(autouse=True)
def signals_are_taken() -> None:
    """Undoes what a shell's background job, or a test before, left ignored: children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the slow tests, and skips those that need corpora or weights where there are none."""
    long = tuple(f"tests/{name}" for name in LONG)
    items.sort(key=lambda item: not item.nodeid.startswith(long))  # stable: else as collected
    slow = tuple(f"tests/{name}" for name in SLOW)
    for item in items:
        if item.nodeid.startswith(slow):
            item.add_marker("slow")
    for marker in ("corpora", "encoder"):
        variable = f"KANJO_{marker.upper()}"
        if variable not in os.environ:
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"{variable} is not set"))


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.stop()
