import pytest

from service.store.audit import AuditLog
from service.store.errors import StoreUnavailable
from service.store.looks import HISTORY, LATEST, Looks
from tests.service.store.backend import Backend


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def recorded(audit: AuditLog) -> list[tuple[str, str | None, str | None]]:
    """Returns who looked at which session or list, the first look first."""
    page = await audit.page(None, 100)
    assert {entry.action for entry in page.entries} <= {"looked_at"}
    return [(entry.name, entry.session, entry.detail) for entry in reversed(page.entries)]


async def test_a_look_is_recorded_once_for_each_person_and_session(backend: Backend) -> None:
    audit = AuditLog(backend.redis)
    looks = Looks(audit)
    for _ in range(3):
        await looks.at_call("Ada", "s1")
        await looks.at_call("Ada", "s2")
        await looks.at_call("Ben", "s1")
        await looks.at_list("Ben", LATEST)
        await looks.at_list("Ben", HISTORY)
    assert await recorded(audit) == [
        ("Ada", "s1", None),
        ("Ada", "s2", None),
        ("Ben", "s1", None),
        ("Ben", None, "alerts"),
        ("Ben", None, "history"),
    ]


async def test_a_later_look_is_recorded_again(backend: Backend) -> None:
    audit, clock = AuditLog(backend.redis), Clock()
    looks = Looks(audit, every_s=600, clock=clock)
    for at in (0.0, 599.0, 601.0, 1200.0):
        clock.now = at
        await looks.at_call("Ada", "s1")
    assert len(await recorded(audit)) == 2, "at 0 s and at 601 s"


async def test_what_is_remembered_has_a_limit(backend: Backend) -> None:
    audit = AuditLog(backend.redis)
    looks = Looks(audit, remembered=2)
    for session in ("s1", "s2", "s3", "s3", "s1"):
        await looks.at_call("Ada", session)
    assert [session for _, session, _ in await recorded(audit)] == ["s1", "s2", "s3", "s1"]


async def test_a_look_that_redis_did_not_take_is_recorded_at_the_next(real: Backend) -> None:
    assert real.server is not None
    audit = AuditLog(real.redis)
    looks = Looks(audit)
    real.server.stop()
    with pytest.raises(StoreUnavailable):
        await looks.at_call("Ada", "s1")
    real.server.start()
    await looks.at_call("Ada", "s1")
    assert await recorded(audit) == [("Ada", "s1", None)]
