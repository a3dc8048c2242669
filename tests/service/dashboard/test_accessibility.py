"""Every view by axe, on a phone, with the viewer's own colours and at twice the size."""

import itertools
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from service.telephony.providers import PROVIDERS
from tests.service.dashboard.feed import ANGRY, HAPPY, Feed, Server, wait_until
from tests.service.dashboard.page import Page, opened
from tests.service.dashboard.test_needs import FACTS
from tests.service.dashboard.test_views import COUNT

VIEWS = ("needs", "calls", "call/CA-1", "history")


def busy(feed: Feed) -> None:
    feed.embedded = True
    feed.start("CA-1", ago_s=80, metadata={"queue": "billing"}, facts=FACTS)
    feed.read("CA-1", 70.0, ANGRY, heard_s=15)
    feed.alert("CA-1", "firing", since_s=60)
    feed.start("CA-2", ago_s=100, facts=FACTS)
    feed.read("CA-2", 90.0, HAPPY, heard_s=15)
    feed.alert("CA-2", "firing", since_s=80, emotion="happiness")
    feed.alert("CA-2", "resolved", since_s=20, resolved_at_s=30)
    taken = feed.alert("CA-2", "firing", since_s=50)["alert_id"]
    feed.did(taken, taken={"by": "Ada", "at": feed.now()}, note={"text": "x", "by": "A", "at": 1})
    feed.start("CA-3-" + "x" * 60, ago_s=50, metadata={"a": "y" * 80})
    feed.alert("CA-3-" + "x" * 60, "pending", since_s=40)
    feed.start("CA-4", ago_s=100)
    feed.end("CA-4")
    mute = {"mute_id": "m", "emotion": "happiness", "by": "Ada", "until": feed.now() + 900}
    feed.mutes = [mute]
    looked = {"name": "Ada", "action": "looked_at", "session": "first", "at": feed.now()}
    feed.audit = [{"id": "1-0", "alert_id": None, "detail": None, **looked}]
    feed.counts = [{**COUNT, "day": "2026-11-27", "queue": "billing"}]


def drawn(page: Page, view: str) -> None:
    shown = {"needs": "#needed li", "calls": ".call", "history": "#queues"}
    page.go(view)
    wait_until(lambda: page.count(shown.get(view, ".chart canvas")) > 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_view(
    browser: Browser, feed: Feed, server: Server, scheme: str
) -> None:
    busy(feed)
    with opened(browser, color_scheme=scheme) as page:
        page.open(server)
        page.press(".choices summary")
        for view in VIEWS:
            drawn(page, view)
            found = Axe().run(page.tab)
            assert found.violations_count == 0, f"{view}: {found.generate_report()}"


def overflow(page: Page) -> int:
    script = "() => document.documentElement.scrollWidth - innerWidth"
    return int(page.tab.evaluate(script))


# As the providers' own messages have them (shared across the tests of their bridges): long ids, SIP
# addresses, numbers, and names of queues and agents as people give them.
REAL: dict[str, dict[str, Any]] = {
    "twilio": {"id": "CA0123456789abcdef0123456789abcdef", "caller_number": "+4930123456789"},
    "audiohook": {
        "id": "e160e428-53e2-487c-977d-96989bf5c99d",
        "caller_number": "sip:+13175550123@pure.cloud;user=phone",
        "queue": "EMEA Billing and Payments (German)",
    },
    "amazon": {"id": "c1f1d2e3-aaaa-bbbb-cccc-0123456789ab", "agent": "Maximiliane-Sophie Krüger"},
}


def test_on_a_phone_name_state_and_take_are_visible_for_every_provider(
    browser: Browser, feed: Feed, server: Server
) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
    for name, real in zip(PROVIDERS, itertools.cycle(REAL.values()), strict=False):
        facts = FACTS | {key: value for key, value in real.items() if key != "id"}
        call_id = f"{real['id']}-{name}"
        feed.start(call_id, ago_s=50, bridge=name, facts=facts, metadata={"x" * 40: "y" * 90})
        feed.alert(call_id, "firing")
    with opened(browser, has_touch=True, is_mobile=True, **phone) as page:
        page.open(server, "calls")
        for view, row in (("calls", ".call"), ("needs", "#needed li")):
            page.go(view)
            wait_until(lambda row=row: page.count(row) == len(PROVIDERS))
            assert overflow(page) <= 0, view
            rows = page.all(row)
            for at in range(rows.count()):
                one = rows.nth(at)
                one.scroll_into_view_if_needed()
                for part in (".name", ".take", ".sounds, .wording"):
                    box = one.locator(part).bounding_box()
                    assert box, part
                    assert box["width"] > 40, (view, part)
                    assert box["x"] >= 0, (view, part)
                    assert box["x"] + box["width"] <= 390, (view, part)


def test_with_colours_of_the_viewers_own_and_at_twice_the_size_everything_is_there(
    browser: Browser, feed: Feed, server: Server
) -> None:
    busy(feed)
    # A window of 1280 at 200 % is as wide as one of 640.
    with opened(browser, forced_colors="active", viewport={"width": 640, "height": 450}) as page:
        page.open(server)
        for view in VIEWS:
            drawn(page, view)
            assert overflow(page) <= 0, view
        drawn(page, "needs")
        borders = "() => getComputedStyle(document.querySelector('#needed .take')).borderTopStyle"
        assert page.tab.evaluate(borders) == "solid"
