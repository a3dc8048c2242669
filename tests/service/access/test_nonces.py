"""Nonces on a real disk: after a restart, too many, with the disk gone and with a bad file."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from service.access.nonces import KeptNonces
from service.telephony.shared.authenticator import Unauthorized
from service.telephony.shared.nonces import Nonces
from tests.limits import ENOUGH_S

NOW = 1_000.0


@asynccontextmanager
async def running(
    path: Path, settle_within_s: float = ENOUGH_S, **nonces: Nonces
) -> AsyncIterator[KeptNonces]:
    kept = KeptNonces(
        path, nonces, settle_within_s=settle_within_s, retry_s=0.01, clock=lambda: NOW
    )
    task = asyncio.create_task(kept.run())
    try:
        yield kept
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def used(nonces: Nonces, nonce: str) -> bool:
    """Returns whether a nonce was used before; uses it if not."""
    try:
        nonces.use(nonce, NOW)
    except Unauthorized:
        return True
    return False


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "nonces.sqlite3"


async def test_nonces_are_refused_after_a_restart_by_their_own_bridge(path: Path) -> None:
    async with running(path, plivo=(plivo := Nonces(9)), audiohook=(hook := Nonces(9))) as kept:
        assert not used(plivo, "a")
        hook.use("b", NOW, NOW + 5)
        hook.use("expired", NOW - 9, NOW - 1)
        await kept.settle()
        assert mode(path) == 0o600
    async with running(path, plivo=(plivo := Nonces(9)), audiohook=(hook := Nonces(9))):
        assert len(hook) == 1
        assert used(plivo, "a")
        assert used(hook, "b")
        assert not used(plivo, "b")
        assert not used(hook, "a")


async def test_the_file_is_bounded_for_each_bridge(path: Path) -> None:
    async with running(path, one=(one := Nonces(3)), other=(other := Nonces(3))) as kept:
        assert not used(other, "kept")
        for number in range(20):
            assert not used(one, f"{number}")
            await kept.settle()
    async with running(path, one=(one := Nonces(100)), other=(other := Nonces(100))):
        assert len(one) == 3
        assert all(used(one, f"{number}") for number in (17, 18, 19))
        assert used(other, "kept")


async def test_without_the_disk_calls_go_on_and_nonces_are_kept_when_it_is_back(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    async with running(path, one=(one := Nonces(9))) as kept:
        assert not used(one, "a")
        await kept.settle()  # returns, because the disk fails
        assert used(one, "a")
        path.parent.unlink()
        await until(lambda: kept.failing is False)
        assert not used(one, "b")
        await kept.settle()
    async with running(path, one=(one := Nonces(9))):
        assert used(one, "a")
        assert used(one, "b")


async def test_a_handshake_does_not_wait_for_a_slow_disk_for_ever(path: Path) -> None:
    one = Nonces(9)
    kept = KeptNonces(path, {"one": one}, settle_within_s=0.01)  # nothing writes
    assert not used(one, "a")
    await kept.settle()


@pytest.mark.parametrize("content", [b"no database" * 100, b""])
async def test_a_file_that_cannot_be_read_is_set_aside(path: Path, content: bytes) -> None:
    write(path, content)
    async with running(path, one=(one := Nonces(9))) as kept:
        assert path.with_suffix(".1000.unusable").read_bytes() == content
        assert not used(one, "a")
        await kept.settle()
    async with running(path, one=(one := Nonces(9))):
        assert used(one, "a")
