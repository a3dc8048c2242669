"""The figures of Redis in `docs/scaling.md` are what a real Redis counts."""

import pytest

from tests.benchmarks import redis
from tests.benchmarks.costs import Costs
from tests.redis_server import RedisServer

LIKE = {"rel": 0.15}  # fewer calls than in the benchmark, of other lengths


async def test_the_figures_of_redis_are_what_it_counts(redis_server: RedisServer) -> None:
    measured = await redis.measure(redis_server.url, calls=10, readings=40)
    found = {cost.name: cost for cost in measured}
    costs = Costs()
    alone, together = found["reading, alone"], found["reading, together"]
    assert alone.commands == pytest.approx(costs.write_commands, abs=0.1)
    assert alone.received == pytest.approx(costs.write_bytes, **LIKE)
    assert alone.disk == pytest.approx(costs.disk_bytes, **LIKE)
    assert together.kept == pytest.approx(costs.kept_reading_bytes, **LIKE)
    assert found["event, to each service"].sent == pytest.approx(costs.event_bytes, **LIKE)
    kept = found["start of a call"].kept + found["end of a call"].kept
    assert kept == pytest.approx(costs.kept_call_bytes, **LIKE)
    assert found["alert, its three steps"].kept == pytest.approx(costs.kept_alert_bytes, **LIKE)
