import time

import pytest

from service.store.audit import AuditLog
from service.store.errors import BadCursor, StoreUnavailable
from service.store.keys import AUDIT
from tests.service.store.backend import Backend


async def test_entries_come_in_pages_newest_first_with_what_was_said_of_them(
    backend: Backend,
) -> None:
    audit = AuditLog(backend.redis)
    await audit.add("Ada", "purged", session="s1")
    await audit.add("Ben", "took", session="s2", alert_id="s2-caller-anger-1")
    await audit.add("Ada", "dismissed", alert_id="s2-caller-anger-1", detail="not_angry")
    first = await audit.page(None, 2)
    second = await audit.page(first.next, 2)
    newest, taken, purged = [*first.entries, *second.entries]
    assert (newest.name, newest.action, newest.detail) == ("Ada", "dismissed", "not_angry")
    assert (newest.session, newest.alert_id) == (None, "s2-caller-anger-1")
    assert (taken.name, taken.session) == ("Ben", "s2")
    assert (purged.action, purged.session, purged.alert_id) == ("purged", "s1", None)
    assert second.next is None
    assert purged.at <= taken.at <= newest.at
    assert newest.at == pytest.approx(time.time(), abs=3600)


async def test_an_empty_audit_is_an_empty_page(backend: Backend) -> None:
    for before in (None, "0-0", "0-1"):
        page = await AuditLog(backend.redis).page(before, 10)
        assert (page.entries, page.next) == ([], None)


async def test_only_the_newest_entries_are_kept(backend: Backend) -> None:
    audit = AuditLog(backend.redis, limit=100)
    for number in range(400):
        await audit.add(f"person {number}", "took")
    kept = await backend.redis.xlen(AUDIT)
    assert 100 <= kept < 400
    assert (await audit.page(None, 1)).entries[0].name == "person 399"


@pytest.mark.parametrize("before", ["nonsense", "1-2-3", "", "18446744073709551616-0"])
async def test_a_page_after_what_is_no_entry_is_refused(backend: Backend, before: str) -> None:
    with pytest.raises(BadCursor):
        await AuditLog(backend.redis).page(before, 10)


async def test_an_impossible_limit_is_refused(backend: Backend) -> None:
    with pytest.raises(ValueError, match="got a limit of 0, expected 1 or more"):
        await AuditLog(backend.redis).page(None, 0)


async def test_without_redis_nothing_is_appended_or_read(real: Backend) -> None:
    assert real.server is not None
    audit = AuditLog(real.redis)
    real.server.stop()
    with pytest.raises(StoreUnavailable):
        await audit.add("Ada", "purged")
    with pytest.raises(StoreUnavailable):
        await audit.page(None, 10)


async def test_the_entries_of_a_session_are_found_among_others(backend: Backend) -> None:
    audit = AuditLog(backend.redis, scanned=25)
    for number in range(5):
        await audit.add(f"person {number}", "took", session="sought")
        async with backend.redis.pipeline() as pipeline:
            for _ in range(40):
                pipeline.xadd(AUDIT, {"name": "Ben", "action": "took", "session": "other"})
            await pipeline.execute()
    found, before, pages = [], None, 0
    while pages == 0 or before is not None:
        page = await audit.page(before, 2, session="sought")
        found += [entry.name for entry in page.entries]
        before, pages = page.next, pages + 1
    assert found == [f"person {number}" for number in (4, 3, 2, 1, 0)]
    assert 8 < pages < 12
    assert (await audit.page(None, 2, session="unknown")).entries == []


async def test_entries_from_a_time_on(backend: Backend) -> None:
    audit = AuditLog(backend.redis)
    for ms in (1000, 2500, 4000):
        await backend.redis.xadd(AUDIT, {"name": "Ada", "action": "took", "session": "s1"}, id=ms)
    for session in (None, "s1"):
        page = await audit.page(None, 10, session=session, since=2.5)
        assert ([entry.at for entry in page.entries], page.next) == ([4.0, 2.5], None)
