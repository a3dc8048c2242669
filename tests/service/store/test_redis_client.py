import asyncio

import pytest

from service.store.errors import StoreUnavailable
from service.store.redis_client import endless_retry, raise_if_cancelled, replies_required


async def test_a_retry_outlasts_any_number_of_failures() -> None:
    """2**failures no longer fits a float after 1,024."""
    failures = 0

    async def fails_often() -> str:
        if failures < 3000:
            raise ConnectionError("away")
        return "back"

    async def failed(_: Exception) -> None:
        nonlocal failures
        failures += 1

    retry = endless_retry((ConnectionError,), first_s=0, max_s=0)
    assert await retry.call_with_retry(fails_often, failed) == "back"
    assert failures == 3000


async def test_a_retry_lets_other_errors_through() -> None:
    async def breaks() -> None:
        raise ZeroDivisionError

    async def failed(_: Exception) -> None: ...

    with pytest.raises(ZeroDivisionError):
        await endless_retry((ConnectionError,)).call_with_retry(breaks, failed)


def test_a_failure_of_redis_makes_the_store_unavailable() -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"got no answer from Redis \(refused\)"),
        replies_required(),
    ):
        raise ConnectionRefusedError("refused")


async def test_a_swallowed_cancellation_is_raised_again() -> None:
    async def swallows() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise_if_cancelled()
        raise AssertionError("went on after its cancellation")

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
