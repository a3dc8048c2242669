"""The strict headers, on every response, and pages that work under them."""

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from websockets.exceptions import InvalidStatus

from service.api.headers import DATA_POLICY, EVERYWHERE, PAGE_POLICY, PAGES
from service.app import DOCS
from tests.e2e.chromium import MISSING, chromium
from tests.limits import ENOUGH_S
from tests.service.api.conftest import Running
from tests.service.api.test_origin import http_routes


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if MISSING:
        pytest.skip(f"needs Debian's chromium; not found: {MISSING}")
    with chromium() as browser:
        yield browser


def test_every_response_has_the_strict_headers(service: Running) -> None:
    routes = [route for route in http_routes(service) if "events" not in route[1]]
    more = [("GET", "/dashboard/main.js"), ("GET", "/docs/docs.js"), ("GET", "/none"), ("PUT", "/")]
    with service.client() as client:
        for method, path in [*routes, *more]:
            response = client.request(method, path)
            assert response.headers.items() >= {k.lower(): v for k, v in EVERYWHERE.items()}.items()
            policy = PAGE_POLICY if path in PAGES else DATA_POLICY
            assert response.headers["content-security-policy"] == policy, path
            is_static = path in PAGES or path.startswith(("/dashboard/", "/docs/"))
            kept = "no-cache" if is_static else "no-store"
            assert response.headers["cache-control"] == kept, path


def test_a_refused_handshake_and_a_stream_have_them_too(service: Running) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        service.socket("/nowhere")
    assert refusal.value.response.headers["X-Content-Type-Options"] == "nosniff"
    with service.client() as client, client.stream("GET", "/v1/events") as events:
        assert events.headers["content-security-policy"] == DATA_POLICY
        assert events.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("policy", [PAGE_POLICY, DATA_POLICY])
def test_no_policy_allows_inline_or_foreign_scripts(policy: str) -> None:
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)


@pytest.mark.parametrize(
    ("path", "drawn"), [("/", "#connection.live"), ("/docs", ".swagger-ui .opblock")]
)
def test_a_browser_shows_the_pages_without_a_violation(
    service: Running, browser: Browser, path: str, drawn: str
) -> None:
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(f"http://{service.address}{path}")
    tab.wait_for_selector(drawn, timeout=1000 * ENOUGH_S)
    loaded = tab.evaluate(
        "performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)"
    )
    tab.close()
    assert set(loaded) == {service.address}
    assert errors == []


def test_the_vendored_files_are_those_of_the_package() -> None:
    table = re.findall(r"\| `([\w.-]+)` \| `(\w{64})` \|", (DOCS / "README.md").read_text())
    assert len(table) == 2
    for name, digest in table:
        assert hashlib.sha256((DOCS / name).read_bytes()).hexdigest() == digest
