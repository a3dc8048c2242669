"""A policy file is followed; a version that is wrong is refused, and the one before it stays."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.alerts.policy_file import PolicyError
from service.alerts.policy_watch import PolicyWatch
from service.errors import KanjoError
from tests.service.store.backend import until


@contextlib.asynccontextmanager
async def running(watch: PolicyWatch) -> AsyncIterator[PolicyWatch]:
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Record:
    """Keeps the versions that were recorded; fails while `away`."""

    def __init__(self) -> None:
        self.versions: list[str] = []
        self.away = False

    async def __call__(self, version: str) -> None:
        if self.away:
            raise KanjoError("away")
        self.versions.append(version)


def write(path: Path, text: str) -> None:
    """Replaces the file in one step."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


async def test_each_version_is_taken_over_and_recorded_and_a_wrong_one_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "policy.toml"
    write(path, "[anger]\nhold_s = 1")
    record = Record()
    async with running(PolicyWatch(path, record, poll_s=0.02)) as watch:
        first = watch.current
        assert first.anger.hold_s == 1
        write(path, "[anger]\nhold_s = -1")
        await until(lambda: watch.problem is not None)
        assert watch.problem is not None
        assert f"{path}: anger.hold_s: got -1, expected" in watch.problem.what
        assert watch.current is first
        since = watch.problem.since
        path.unlink()
        await until(lambda: watch.problem is not None and "No such file" in watch.problem.what)
        assert watch.problem.since == since
        record.away = True
        write(path, "[anger]\nhold_s = 2")
        await until(lambda: watch.problem is None)
        assert watch.current.anger.hold_s == 2
        write(path, "[anger]\nhold_s = 3")
        await until(lambda: watch.current.anger.hold_s == 3)
        assert len(record.versions) == 1
        record.away = False
        await until(lambda: len(record.versions) == 3)
        assert record.versions[-1] == watch.version


async def test_a_reload_reads_at_once_what_looks_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[anger]\nhold_s = 1")
    async with running(PolicyWatch(path, Record(), poll_s=3600)) as watch:
        path.write_text("[anger]\nhold_s = 2")
        watch.reload()
        await until(lambda: watch.current.anger.hold_s == 2)


def test_a_wrong_file_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="got no file that can be read"):
        PolicyWatch(tmp_path / "absent.toml", Record())
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="no UTF-8"):
        PolicyWatch(tmp_path / "binary.toml", Record())
