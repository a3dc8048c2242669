"""The list of alerts: order, states, wording, announcements."""

import time

from selenium.webdriver.common.by import By

from tests.service.dashboard.feed import Feed, Server, wait_until
from tests.service.dashboard.page import Page


def test_a_firing_alert_is_shown_announced_and_its_call_comes_first(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    feed.start("CA-2", ago_s=40)
    page.open(server)
    wait_until(lambda: page.texts(".call .id") == ["CA-1", "CA-2"])
    feed.alert("CA-2", "pending")
    page.shows(".alert .state", "pending")
    assert page.texts(".call .id") == ["CA-1", "CA-2"]
    assert page.text("#announcements") == ""

    feed.alert("CA-2", "firing")
    wait_until(lambda: page.texts(".call .id") == ["CA-2", "CA-1"])
    assert page.text(".alert .wording") == "sounds angry (0.83)"
    assert page.text(".alert .letter") == "A"
    assert page.text(".alert .state") == "● firing"
    assert page.text(".alert .where") == "CA-2"
    assert page.text(".alert .when").startswith("since 0:10 of the call, ")
    assert page.text(".call.firing .sounds") == "▲ sounds angry (0.83)"
    assert page.text("#firing-count") == "1"
    assert page.browser.title == "(1) Kanjo"
    assert page.text("#announcements") == "The caller on call CA-2 sounds angry (0.83)"
    live = page.all("#announcements")[0].get_attribute("aria-live")
    assert live == "assertive"

    feed.alert("CA-2", "resolved", resolved_at_s=35.0)
    page.shows(".alert .state", "resolved")
    assert "for 0:25" in page.text(".alert .when")
    assert page.text("#firing-count") == "0"
    assert page.texts(".call .id") == ["CA-1", "CA-2"]


def test_an_alert_shows_since_when_by_the_clock(page: Page, feed: Feed, server: Server) -> None:
    call = feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing", since_s=10)
    page.open(server)
    page.shows(".alert .when", time.strftime("%H:%M:%S", time.localtime(call["started_at"] + 10)))


def test_a_lapsed_alert_vanishes_and_a_late_repeat_does_not_revive_it(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    page.open(server)
    pending = feed.alert("CA-1", "pending")
    page.shows(".alert .state", "pending")
    feed.alert("CA-1", "lapsed")
    page.shows("#no-alerts", "No alerts yet")
    feed.emit("alert", pending)
    feed.start("CA-2")
    page.shows(".call .id", "CA-2")
    assert page.all(".alert") == []


def test_alerts_come_newest_first(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=100)
    feed.alert("CA-1", "resolved", since_s=10, resolved_at_s=20)
    feed.alert("CA-1", "firing", since_s=60, emotion="happiness", probability=0.71)
    page.open(server)
    page.shows(".alert .wording", "sounds happy (0.71)")
    assert page.texts(".alert .letter") == ["H", "A"]
    assert page.text("#announcements") == "", "an older alert is not announced"


def test_a_card_leads_to_its_call(page: Page, feed: Feed, server: Server) -> None:
    for n in range(60):
        feed.start(f"CA-{n}", ago_s=100 - n)
    feed.alert("CA-50", "resolved", resolved_at_s=20)
    page.open(server)
    page.shows(".alert .where", "CA-50")
    (link,) = page.all(".alert .call-id")
    link.click()
    row = page.all(".call:target")
    assert [element.find_element(By.CSS_SELECTOR, ".id").text for element in row] == ["CA-50"]
    in_view = """
        const { top, bottom } = arguments[0].getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    """
    wait_until(lambda: page.browser.execute_script(in_view, row[0]))
