"""What a supervisor does with an alert on the page, and what others' doing shows."""

import time

from selenium.webdriver.common.by import By

from tests.service.dashboard.feed import Feed, Server, wait_until
from tests.service.dashboard.page import Page


def press(page: Page, selector: str) -> None:
    """Presses the first element that is shown."""
    next(element for element in page.all(selector) if element.is_displayed()).click()


def test_an_alert_is_taken_and_that_is_undone(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    page.open(server)
    page.shows(".alert .take", "Take")
    press(page, ".alert .take")
    page.shows(".alert .handling", "taken by local at ")
    assert not page.all(".alert .take")[0].is_displayed()
    press(page, ".alert .undo")
    wait_until(lambda: page.text(".alert .handling") == "")
    wait_until(lambda: page.all(".alert .take")[0].is_displayed())
    take, undo = feed.acts
    assert (take["action"], undo["action"], undo["undoes"]) == ("take", "undo", take["id"])
    assert len(take["id"]) == 32


def test_who_pressed_second_is_told_who_has_it(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    alert = feed.alert("CA-1", "firing")
    page.open(server)
    page.shows(".alert .take", "Take")
    taken = {"by": "Ben", "at": time.time()}
    feed.refusal = {
        "detail": "got an alert that Ben has taken, expected one that nobody else has",
        "reason": "taken",
        **taken,
        "alert": alert | {"taken": taken, "version": 9},
    }
    press(page, ".alert .take")
    page.shows(".alert .problem", "Ben has it since ")
    page.shows(".alert .handling", "taken by Ben at ")
    assert not any(button.is_displayed() for button in page.all(".alert .take, .alert .dismiss"))
    page.browser.get_log("browser")  # the browser's own complaint of the status


def test_a_dismissed_alert_is_no_alarm_any_more(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    page.open(server)
    page.shows("#firing-count", "1")
    press(page, ".alert .dismiss summary")
    press(page, "[data-why=not_angry]")
    page.shows(".alert .handling", "dismissed by local: does not sound angry")
    page.shows("#firing-count", "0")
    assert [act["why"] for act in feed.acts] == ["not_angry"]
    assert page.all(".call.firing") == []


def test_those_that_need_somebody_come_first_and_the_longest_waiting_of_them(
    page: Page, feed: Feed, server: Server
) -> None:
    for number, state in enumerate(("resolved", "firing", "firing", "firing", "firing"), 1):
        feed.start(f"CA-{number}", ago_s=100 - number)
        feed.alert(f"CA-{number}", state, resolved_at_s=20 if state == "resolved" else None)
    ids = [alert["alert_id"] for alert in feed.alerts.values()]
    feed.did(ids[1], taken={"by": "Ben", "at": time.time()})
    feed.did(ids[4], muted_until=time.time() + 3600)
    page.open(server)
    wait_until(lambda: len(page.all(".alert")) == 5)
    assert page.texts(".alert .call-id") == ["CA-3", "CA-4", "CA-5", "CA-2", "CA-1"]
    assert page.text("#firing-count") == "3"
    muted = page.all(".alert.quiet")
    assert [card.find_element(By.CSS_SELECTOR, ".call-id").text for card in muted] == ["CA-5"]
    page.shows(".alert.quiet .handling", "muted until ")
    feed.did(ids[4], muted_until=time.time())
    wait_until(lambda: page.text("#firing-count") == "4")


def test_a_viewer_sees_who_has_an_alert_and_has_no_buttons(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.role = "viewer"
    feed.start("CA-1", ago_s=50)
    alert = feed.alert("CA-1", "firing")
    feed.did(alert["alert_id"], taken={"by": "Ben", "at": time.time(), "handed_over_by": "Ada"})
    page.open(server)
    page.shows(".alert .handling", ", from Ada")
    assert not any(button.is_displayed() for button in page.all(".alert .actions button"))
