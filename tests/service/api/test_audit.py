import asyncio

import pytest

from service.store.audit import AuditLog
from tests.service.api.conftest import Running


def added(service: Running, name: str, action: str) -> None:
    """Appends an entry in the service's own event loop."""
    audit: AuditLog = service.services.store.audit
    loop = service.servers[0].get_loop()
    asyncio.run_coroutine_threadsafe(audit.add(name, action, session="s1"), loop).result(20)


def test_what_was_done_comes_in_pages_newest_first(service: Running) -> None:
    for number in range(3):
        added(service, f"person {number}", "took")
    first = service.get("/v1/audit", params={"limit": 2}).json()
    assert [entry["name"] for entry in first["entries"]] == ["person 2", "person 1"]
    second = service.get("/v1/audit", params={"limit": 1, "before": first["next"]}).json()
    assert [(entry["name"], entry["session"]) for entry in second["entries"]] == [
        ("person 0", "s1")
    ]


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "1001"), ("before", "x")])
def test_an_impossible_page_is_refused(service: Running, name: str, value: str) -> None:
    response = service.get("/v1/audit", params={name: value})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
