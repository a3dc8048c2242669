"""Debian's chromium without a screen, driven by Playwright, which fetches no browser itself."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

MISSING = [name for name in ("chromium",) if shutil.which(name) is None]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yields a browser; each of its contexts is a person with a profile of their own.

    While it is open its thread has an event loop that runs: asyncio needs another thread.
    """
    if MISSING:
        raise FileNotFoundError(f"not found: {', '.join(MISSING)}; expected Debian's chromium")
    with sync_playwright() as playwright:
        path = str(shutil.which("chromium"))
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
