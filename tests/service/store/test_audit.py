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
