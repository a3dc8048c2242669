"""The page in a real browser while real calls are played at the real service."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from service.replay.player import replay
from service.replay.summary import ReplaySummary
from service.telephony.shared.recording import Recording
from tests.e2e.chromium import MISSING, chromium
from tests.e2e.service import Service
from tests.paths import SAMPLES
from tests.redis_server import RedisServer

SCREENSHOT = os.environ.get("KANJO_SCREENSHOT")  # where to leave a picture, if anywhere
PICTURE_AT_S = 27  # of the calls, when all there is to see can be seen

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's chromium and chromium-driver; not found: {MISSING}"
)


def texts(browser: Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
    return list(browser.execute_script(script, selector))


def wait(browser: Chrome, within_s: float, holds: Callable[[Chrome], bool]) -> None:
    WebDriverWait(browser, within_s, poll_frequency=0.1).until(holds)


def test_the_page_shows_the_calls_and_that_one_caller_sounds_angry(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    names = ("sounds-angry", "neutral", "sounds-angry-once")
    recordings = [Recording.read(SAMPLES / f"{name}.flac") for name in names]
    with Service(tmp_path, redis_url=redis_server.url) as kanjo, chromium() as browser:
        browser.get(kanjo.url)
        wait(browser, 15, lambda page: texts(page, "#connection") == ["Live"])
        assert texts(browser, ".call") == []

        summary = ReplaySummary()
        speed = 1.0 if SCREENSHOT else 3.0
        playing = Thread(
            target=lambda: asyncio.run(
                replay(recordings, kanjo.ws, calls=3, speed=speed, summary=summary)
            )
        )
        playing.start()
        try:
            wait(browser, 10, lambda page: len(texts(page, ".call .id")) == 3)
            wait(browser, 40, lambda page: texts(page, "#firing-count") == ["2"])
            assert texts(browser, "#live-count") == ["3"]
            assert any("sounds angry" in wording for wording in texts(browser, ".alert .wording"))
            assert any("firing" in state for state in texts(browser, ".alert .state"))
            assert any("sounds angry" in text for text in texts(browser, ".call .sounds"))
            if not SCREENSHOT:
                browser.find_element("css selector", ".alert.firing .take").click()
                wait(browser, 10, lambda page: "taken by local" in str(texts(page, ".handling")))
            if SCREENSHOT:
                wait(browser, 40, lambda _: summary.played_s > len(names) * PICTURE_AT_S)
                browser.save_screenshot(SCREENSHOT)
        finally:
            playing.join()
        assert summary.fired == {"anger": 2}
        assert not summary.errors, summary.reasons
        wait(browser, 10, lambda page: texts(page, "#live-count") == ["0"])
        wordings = texts(browser, ".alert .wording")  # those that never fired are gone
        assert len(wordings) == 2
        assert all("sounds angry" in wording for wording in wordings)
        assert all(state.endswith("resolved") for state in texts(browser, ".alert .state"))
        assert not any("is angry" in text for text in texts(browser, "body"))
        failures = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        assert failures == []
