"""Fixtures of the page's tests: one browser, and a feed and a server for each test."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.e2e.chromium import MISSING, chromium
from tests.service.dashboard.feed import Feed, Server
from tests.service.dashboard.page import Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    if MISSING:
        pytest.skip(f"needs Debian's chromium and chromium-driver; not found: {MISSING}")
    with chromium() as browser:
        yield browser


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def server(feed: Feed) -> Iterator[Server]:
    with Server(feed) as server:
        yield server


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    page = Page(browser)
    page.prefer("light")
    browser.get_log("browser")
    yield page
    page.emulate("clearDeviceMetricsOverride")
    errors = [
        line["message"]
        for line in browser.get_log("browser")
        if line["level"] == "SEVERE" and "ERR_" not in line["message"]  # caused by a stopped server
    ]
    browser.get("about:blank")  # closes its connections to the server
    assert not errors
