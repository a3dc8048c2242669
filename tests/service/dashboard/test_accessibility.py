"""Every view by axe, on a phone, with the viewer's own colours and at twice the size."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from service.events import CallStarted
from service.telephony.native.bridge import NativeBridge
from service.telephony.providers import PROVIDERS, facts_of
from service.telephony.shared.facts import FactReader
from tests.service.dashboard.feed import ANGRY, HAPPY, Feed, Server, wait_until
from tests.service.dashboard.page import Page, opened
from tests.service.dashboard.test_needs import FACTS
from tests.service.dashboard.test_views import COUNT
from tests.service.telephony.native.protocol import CALLER
from tests.service.telephony.native.protocol import start as native_start
from tests.service.telephony.test_transcripts import TRANSCRIPTS, Edge

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


def starts() -> Iterator[CallStarted]:
    """Yields the calls that begin in the transcripts, as every provider's bridge begins them."""
    for path in TRANSCRIPTS:
        header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        edge = Edge(header)
        for line in lines:
            if line.get("from") == "client":
                edge.play(line)
            started = [event for event in edge.events if isinstance(event, CallStarted)]
            if started:
                yield from started
                break


# Where the parts of each row lie once it is in view: [name of the row, part, left, right, height].
PLACES = """async (row) => {
    const places = [];
    for (const one of document.querySelectorAll(row)) {
        one.scrollIntoView();
        await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        for (const part of [".name", ".take", ".sounds, .wording"]) {
            const { left, right, height } = one.querySelector(part).getBoundingClientRect();
            places.push([one.querySelector(".name").innerText, part, left, right, height]);
        }
    }
    return places;
}"""


def test_on_a_phone_name_state_and_take_are_visible_for_every_provider(
    browser: Browser, feed: Feed, server: Server
) -> None:
    (native,) = NativeBridge(CALLER).receive(native_start(call_id="native-1", metadata=FACTS))
    assert isinstance(native, CallStarted)
    read = FactReader(facts_of(PROVIDERS)).read
    # Of a call in several transcripts, the start that says most.
    by_length = sorted(map(read, (*starts(), native)), key=lambda start: len(str(start)))
    calls = {start.call_id: start for start in by_length}
    assert {start.bridge for start in calls.values()} >= set(PROVIDERS)
    for start in calls.values():
        told = {"facts": asdict(start.facts), "metadata": dict(start.metadata)}
        feed.start(start.call_id, ago_s=50, bridge=start.bridge, **told)
        feed.alert(start.call_id, "firing")
    names = sorted(start.facts.caller_number or start.call_id for start in calls.values())
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
    with opened(browser, has_touch=True, is_mobile=True, **phone) as page:
        page.open(server, "calls")
        for view, row in (("calls", ".call"), ("needs", "#needed li")):
            page.go(view)
            wait_until(lambda row=row: page.count(row) == len(calls))
            assert overflow(page) <= 0, view
            places = page.tab.evaluate(PLACES, row)
            assert sorted(name for name, part, *_ in places if part == ".name") == names
            for name, part, left, right, height in places:
                assert 0 <= left < right - 10, (view, name, part)
                assert right <= 390, (view, name, part)
                assert height > 10, (view, name, part)


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
