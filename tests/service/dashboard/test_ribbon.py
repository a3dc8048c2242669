"""The ribbon: colours, bands, movement, and its description by pointer and keys."""

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.action_chains import ActionChains

from tests.service.dashboard.feed import ANGRY, HAPPY, NEUTRAL, Feed, Server, wait_until
from tests.service.dashboard.page import Page, is_green, is_grey, is_orange


def test_readings_paint_anger_above_happiness_below_and_neither_between(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=100)
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10)
    feed.read("CA-1", 50.0, HAPPY, heard_s=10)
    feed.read("CA-1", 80.0, NEUTRAL, heard_s=10)

    def painted() -> None:
        assert is_orange(page.band("anger", 87))
        assert is_green(page.band("happiness", 57))
        assert is_grey(page.band("neither", 27))

    wait_until(painted)
    white = [255, 255, 255, 255]
    assert page.band("below", 87) == white
    assert page.band("above", 57) == white
    assert page.band("above", 27) == page.band("below", 27) == white
    assert page.band("above", 72) == page.band("below", 72) == white, "silence is hollow"
    assert page.band("above", 120)[3] == 0, "before the call there is no ribbon"


@pytest.mark.parametrize(("scheme", "sign"), [("light", -1), ("dark", 1)])
def test_the_more_probable_is_darker_in_light_and_brighter_in_dark(
    page: Page, feed: Feed, server: Server, scheme: str, sign: int
) -> None:
    page.prefer(scheme)
    feed.start("CA-1", ago_s=100)
    feed.read("CA-1", 20.0, {"anger": 0.95, "neutral": 0.05, "sadness": 0, "happiness": 0}, 10)
    feed.read("CA-1", 50.0, {"anger": 0.45, "neutral": 0.35, "sadness": 0.2, "happiness": 0}, 10)
    page.open(server)
    wait_until(lambda: is_orange(page.band("anger", 87)) and is_orange(page.band("anger", 57)))
    probable, improbable = sum(page.band("anger", 87)), sum(page.band("anger", 57))
    assert sign * (probable - improbable) > 40
    shade = page.text("#legend .shade").replace("\n", " ")
    assert shade.startswith("Darker" if scheme == "light" else "Brighter")
    assert "more probable, not more intense" in shade


def test_the_ribbon_moves_with_call_time(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=20)
    feed.read("CA-1", 20.0, ANGRY, heard_s=6)
    page.open(server)
    wait_until(lambda: is_orange(page.band("anger", 2)))
    wait_until(lambda: page.band("anger", 2) == [255, 255, 255, 255])
    assert is_orange(page.band("anger", 7))


def test_readings_before_the_page_are_fetched_as_far_as_the_ribbon_goes_back(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=600)
    for n in range(3000):  # of the first 300 s, which the ribbon no longer shows
        feed.read("CA-1", n / 10, NEUTRAL)
    feed.read("CA-1", 340.0, ANGRY, heard_s=10)
    for n in range(1500):  # more than a page
        feed.read("CA-1", 350 + n / 6, NEUTRAL, track="agent")
    feed.events.clear()
    page.open(server)
    wait_until(lambda: is_orange(page.band("anger", 268)))
    assert feed.pages_read == 2


def test_pointing_at_the_ribbon_gives_it_in_words(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=60)
    feed.read("CA-1", 15.0, ANGRY, heard_s=3)
    feed.end("CA-1")
    page.open(server)
    wait_until(lambda: is_orange(page.band("anger", 46.5)))
    page.point_at(46.5)
    page.shows("#tip", "12–15 s: sounds angry 0.83, neutral 0.10, happy 0.05, sad 0.02")
    page.point_at(20)
    page.shows("#tip", "40 s: silence")


def test_the_ribbon_is_read_by_keyboard(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=90)
    feed.read("CA-1", 15.0, ANGRY, heard_s=3)
    feed.read("CA-1", 75.0, HAPPY, heard_s=3)
    page.open(server)
    wait_until(lambda: is_green(page.band("happiness", 16.5)))

    def press(key: str) -> None:
        ActionChains(page.browser).send_keys(key).perform()

    while page.browser.switch_to.active_element.tag_name != "canvas":
        press(Keys.TAB)
    page.shows("#tip", "1:12–1:15: sounds happy 0.90")
    press(Keys.ARROW_LEFT)
    page.shows("#tip", "12–15 s: sounds angry 0.83")
    spoken = page.browser.switch_to.active_element.get_attribute("aria-valuetext")
    assert spoken == page.text("#tip")
    press(Keys.ARROW_RIGHT)
    page.shows("#tip", "sounds happy 0.90")
    press(Keys.ESCAPE)
    page.shows_nothing_at("#tip")


def test_a_pending_alert_is_outlined_on_the_ribbon_and_a_firing_one_filled(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=100)
    page.open(server)
    feed.alert("CA-1", "pending", since_s=20)
    wait_until(lambda: is_orange(page.pixels(50)[0]))
    assert page.pixels(50)[2][3] == 0, "hollow inside its outline"
    feed.alert("CA-1", "firing", since_s=20, fired_after_s=30)
    wait_until(lambda: is_orange(page.pixels(30)[2]))
    assert page.pixels(65)[2][3] == 0, "outlined still where it was pending"


def test_the_past_of_a_call_is_fetched(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA/1 ?#", ago_s=100)
    feed.read("CA/1 ?#", 20.0, ANGRY, heard_s=10)
    feed.read("CA/1 ?#", 90.0, NEUTRAL, heard_s=5)
    page.open(server)
    wait_until(lambda: is_orange(page.band("anger", 87)))


def test_an_agent_who_is_analysed_has_a_ribbon_and_a_notice(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=100)
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10, track="agent")
    page.shows("footer", "the agent is analysed too")
    wait_until(lambda: is_orange(page.band("anger", 87, ribbon=1)))
    assert not is_orange(page.band("anger", 87, ribbon=0))


def test_a_burst_is_drawn_once_a_frame(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=200)
    page.open(server)
    page.browser.execute_async_script("""
        const done = arguments[0];
        const height = Object.getOwnPropertyDescriptor(HTMLCanvasElement.prototype, "height");
        requestAnimationFrame(() => requestAnimationFrame(() => {
            window.paints = 0;
            Object.defineProperty(HTMLCanvasElement.prototype, "height", {
                ...height,
                set(value) { window.paints++; height.set.call(this, value); },
            });
            window.frames_asked = [];
            window.requestAnimationFrame = (draw) => window.frames_asked.push(draw);
            done();
        }));
    """)
    for n in range(1000):
        feed.read("CA-1", n / 5, ANGRY, heard_s=0.2)
    feed.alert("CA-1", "firing")  # announced when it comes, so all before it has come too
    page.shows("#announcements", "sounds angry")
    asked = "return [window.paints, window.frames_asked.length]"
    assert page.browser.execute_script(asked) == [0, 1]
    page.browser.execute_script("window.frames_asked.shift()(performance.now())")
    assert page.browser.execute_script("return window.paints") == 1
    assert is_orange(page.band("anger", 5))
    assert is_orange(page.band("anger", 100))
