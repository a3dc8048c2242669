"""The ribbon: colours, bands, movement, and its description by pointer and keys."""

import pytest
from playwright.sync_api import Browser

from tests.service.dashboard.feed import ANGRY, HAPPY, NEUTRAL, Feed, Server, wait_until
from tests.service.dashboard.page import Page, is_green, is_grey, is_orange, opened

WHITE = [255, 255, 255, 255]


def test_readings_paint_anger_above_happiness_below_and_neither_between(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=80)
    page.open(server, "calls")
    feed.read("CA-1", 15.0, ANGRY, heard_s=8)
    feed.read("CA-1", 40.0, HAPPY, heard_s=8)
    feed.read("CA-1", 65.0, NEUTRAL, heard_s=8)

    def painted() -> None:
        assert is_orange(page.band("anger", 70))
        assert is_green(page.band("happiness", 45))
        assert is_grey(page.band("neither", 20))

    wait_until(painted)
    assert page.band("below", 70) == WHITE
    assert page.band("above", 45) == WHITE
    assert page.band("above", 20) == page.band("below", 20) == WHITE
    assert page.band("above", 56) == page.band("below", 56) == WHITE, "silence is hollow"
    assert page.band("above", 88)[3] == 0, "before the call there is no ribbon"


@pytest.mark.parametrize(("scheme", "sign"), [("light", -1), ("dark", 1)])
def test_the_more_probable_is_darker_in_light_and_brighter_in_dark(
    browser: Browser, feed: Feed, server: Server, scheme: str, sign: int
) -> None:
    now = feed.stop_clock()
    feed.start("CA-1", ago_s=80)
    feed.read("CA-1", 20.0, {"anger": 0.95, "neutral": 0.05, "sadness": 0, "happiness": 0}, 8)
    feed.read("CA-1", 50.0, {"anger": 0.45, "neutral": 0.35, "sadness": 0.2, "happiness": 0}, 8)
    with opened(browser, color_scheme=scheme) as page:
        page.set_clock(now)
        page.open(server, "calls")
        wait_until(lambda: is_orange(page.band("anger", 65)) and is_orange(page.band("anger", 35)))
        probable, improbable = sum(page.band("anger", 65)), sum(page.band("anger", 35))
        assert sign * (probable - improbable) > 40
        page.press(".legend summary")
        shade = page.text(".legend .shade").replace("\n", " ")
        assert shade.startswith("Darker" if scheme == "light" else "Brighter")
        assert "more probable, not more intense" in shade


def test_the_ribbon_moves_with_call_time(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=20)
    feed.read("CA-1", 20.0, ANGRY, heard_s=6)
    page.open(server, "calls")
    wait_until(lambda: is_orange(page.band("anger", 1.5)))
    page.set_clock(now + 3)
    wait_until(lambda: page.band("anger", 1.5) == WHITE)
    assert is_orange(page.band("anger", 6))


def test_the_past_of_a_call_is_fetched_as_far_as_the_ribbon_goes_back(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA/1 ?#", ago_s=600)
    for n in range(3000):  # of the first 300 s, which the ribbon no longer shows
        feed.read("CA/1 ?#", n / 10, NEUTRAL)
    feed.read("CA/1 ?#", 550.0, ANGRY, heard_s=10)
    for n in range(1500):  # more than a page
        feed.read("CA/1 ?#", 560 + n / 40, NEUTRAL, track="agent")
    feed.events.clear()
    page.open(server, "calls")
    wait_until(lambda: is_orange(page.band("anger", 56)))
    wait_until(lambda: feed.pages_read == 2)
    page.shows("footer", "the agent is analysed too")


def test_the_ribbon_is_read_by_pointer_and_keyboard(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=60)
    feed.read("CA-1", 15.0, ANGRY, heard_s=3)
    feed.read("CA-1", 55.0, HAPPY, heard_s=3)
    feed.end("CA-1")
    page.open(server, "calls")
    wait_until(lambda: is_orange(page.band("anger", 46.5)))
    page.point_at(46.5)
    page.shows("#tip", "12–15 s: sounds angry (0.83), neutral 0.10, happy 0.05, sad 0.02")
    page.point_at(20)
    page.shows("#tip", "40 s: silence")
    page.tab.mouse.move(5, 5)
    page.shows_nothing_at("#tip")

    page.tab.locator(".call").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):  # name, ribbon, its last reading
        page.tab.keyboard.press(key)
    page.shows("#tip", "52–55 s: sounds happy (0.90)")
    page.tab.keyboard.press("ArrowLeft")
    page.shows("#tip", "12–15 s: sounds angry (0.83)")
    spoken = page.tab.locator("canvas").get_attribute("aria-valuetext")
    assert spoken == page.text("#tip")
    page.tab.keyboard.press("Escape")
    page.shows_nothing_at("#tip")


def test_a_pending_alert_is_outlined_on_the_ribbon_and_a_firing_one_filled(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=80)
    page.open(server, "calls")
    feed.alert("CA-1", "pending", since_s=10)
    wait_until(lambda: is_orange(page.pixels(40)[0]))
    assert page.pixels(40)[2][3] == 0, "hollow inside its outline"
    feed.alert("CA-1", "firing", since_s=10, fired_after_s=40)
    wait_until(lambda: is_orange(page.pixels(15)[2]))
    assert page.pixels(50)[2][3] == 0, "outlined still where it was pending"


def test_a_burst_is_drawn_once_a_frame(page: Page, feed: Feed, server: Server, now: float) -> None:
    feed.start("CA-1", ago_s=200)
    page.open(server, "calls")
    wait_until(lambda: page.pixels(1))
    page.tab.evaluate("""() => {
        const context = CanvasRenderingContext2D.prototype;
        const { clearRect } = context;
        window.paints = 0;
        window.frames = 0;
        const count = () => { window.frames++; requestAnimationFrame(count); };
        requestAnimationFrame(count);
        context.clearRect = function (...area) { window.paints++; clearRect.apply(this, area); };
    }""")
    for n in range(1000):
        feed.read("CA-1", n / 5, ANGRY, heard_s=0.2)
    feed.alert("CA-1", "firing")  # announced when it comes, so all before it has come too
    page.shows("#announcements", "sounds angry")
    paints, frames = page.tab.evaluate("[window.paints, window.frames]")
    assert 1 <= paints <= frames + 1
    wait_until(lambda: is_orange(page.band("anger", 5)))
