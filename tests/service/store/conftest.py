from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer
from tests.service.store.backend import Backend


@pytest.fixture
async def real(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Backend]:
    """A real Redis, for tests that stop it or depend on its limits."""
    backend = Backend(tmp_path, redis_server)
    yield backend
    await backend.redis.aclose()


@pytest.fixture(params=["redis", "embedded"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Both kinds of Redis, one after the other."""
    server = request.getfixturevalue("redis_server") if request.param == "redis" else None
    backend = Backend(tmp_path, server)
    yield backend
    await backend.redis.aclose()
