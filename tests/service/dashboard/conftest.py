"""Fixtures of the page's tests: a browser a module; a feed, a server and a page a test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.chromium import MISSING, chromium
from tests.service.dashboard.feed import Feed, Server
from tests.service.dashboard.page import Page, opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if MISSING:
        pytest.skip(f"needs Debian's chromium; not found: {MISSING}")
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
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser) as page:
        yield page


@pytest.fixture
def now(page: Page, feed: Feed) -> float:
    """The time, which stands still for the page and its server: a ribbon moves with it."""
    page.set_clock(feed.stop_clock())
    assert feed.stopped_at
    return feed.stopped_at
