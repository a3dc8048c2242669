import asyncio

import pytest
from redis.exceptions import ConnectionError, ResponseError

from service.store.availability import Availability


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def availability(clock: Clock) -> Availability:
    return Availability(lambda: 0, clock)


def test_redis_is_down_until_it_replies_and_after_a_failure(
    availability: Availability, clock: Clock
) -> None:
    assert not availability.up
    assert availability.up_s == 0
    availability.replied()
    assert availability.up
    clock.now_s += 5
    availability.replied()
    assert availability.up_s == 5
    availability.failed(ConnectionError())
    assert not availability.up
    assert availability.up_s == 0
    clock.now_s += 3
    availability.replied()
    clock.now_s += 1
    assert availability.up_s == 1


async def test_a_step_is_repeated_after_failures_of_redis_only(
    availability: Availability,
) -> None:
    outcomes = [None, ResponseError("full"), None, ZeroDivisionError()]
    availability.replied()

    async def step() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    with pytest.raises(ZeroDivisionError):
        await availability.repeat(step)
    assert outcomes == []
    assert not availability.up


async def test_repetition_ends_with_a_cancellation_that_a_step_swallows(
    availability: Availability,
) -> None:
    async def step() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("swallowed") from None

    task = asyncio.create_task(availability.repeat(step))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
