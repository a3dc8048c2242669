"""Contrast, and the page on a phone."""

import pytest

from tests.service.dashboard.feed import ANGRY, HAPPY, Feed, Server, wait_until
from tests.service.dashboard.page import Page, is_orange

CONTRASTS = """
    const rgba = (text) => {
        const n = text.match(/[\\d.]+/g).map(Number);
        return [n[0], n[1], n[2], n[3] ?? 1];
    };
    const light = ([r, g, b]) => [r, g, b]
        .map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const color = rgba(getComputedStyle(e).backgroundColor);
            if (color[3] > 0) return color;
        }
        throw new Error("no background");
    };
    const texts = [...document.querySelectorAll("body *")].filter((e) =>
        e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
    return texts.map((e) => {
        const lights = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
        return [e.innerText, (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05)];
    });
"""


def busy(feed: Feed) -> None:
    feed.start("CA-1", ago_s=200, metadata={"queue": "billing"})
    feed.read("CA-1", 190.0, ANGRY, heard_s=20)
    feed.alert("CA-1", "firing", since_s=180)
    feed.start("CA-2", ago_s=100)
    feed.read("CA-2", 90.0, HAPPY, heard_s=20)
    feed.alert("CA-2", "firing", since_s=80, emotion="happiness")
    feed.alert("CA-2", "resolved", since_s=20, resolved_at_s=30)
    feed.start("CA-3-" + "x" * 60, ago_s=50, metadata={"a": "y" * 80})
    feed.alert("CA-3-" + "x" * 60, "pending", since_s=40)
    feed.start("CA-4", ago_s=100)
    feed.end("CA-4")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(
    page: Page, feed: Feed, server: Server, scheme: str
) -> None:
    page.prefer(scheme)
    feed.embedded = True
    busy(feed)
    page.open(server)
    wait_until(lambda: len(page.all(".alert")) == 4 and len(page.all(".call")) == 4)
    contrasts = page.browser.execute_script(CONTRASTS)
    assert len(contrasts) > 30
    assert [pair for pair in contrasts if pair[1] < 4.5] == []


def test_a_phone_shows_it_all_without_scrolling_sideways(
    page: Page, feed: Feed, server: Server
) -> None:
    page.emulate(
        "setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
    )
    busy(feed)
    page.open(server)
    wait_until(lambda: len(page.all(".alert")) == 4 and len(page.all(".call")) == 4)
    script = "return document.documentElement.scrollWidth - innerWidth"
    assert page.browser.execute_script(script) == 0
    wait_until(lambda: is_orange(page.band("anger", 20)))
