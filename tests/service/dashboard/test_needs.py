"""The first view: who needs somebody, what is done with an alert, and what others' doing shows."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser

from tests.service.dashboard.feed import Feed, Server, wait_until
from tests.service.dashboard.page import Page, opened

FACTS = {
    "caller_number": "+49 30 1234567",
    "called_number": "+49 30 999",
    "queue": "billing",
    "agent": "Ann Lee",
    "language": "de",
    "call_url": "https://pbx.example/monitor?id=CA-1",
}


def test_a_firing_alert_comes_up_and_is_announced(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=50, facts=FACTS)
    feed.start("CA-2", ago_s=40)
    page.open(server)
    page.shows("#nobody", "Nobody needs you now.")
    feed.alert("CA-1", "pending")
    feed.alert("CA-1", "firing")
    page.shows("#needed .name", "+49 30 1234567")
    assert page.text("#needed .wording") == "sounds angry (0.83) for 0:40"
    assert page.text("#needed .about").startswith("queue billing · with Ann Lee · 0:50")
    assert page.text("#needed .waits") == "waiting 0:37"
    assert page.text("#needed .when").startswith("since 0:10 of the call, ")
    link = page.all("#needed .open")
    assert link.get_attribute("href") == FACTS["call_url"]
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert page.text("#needs-count") == "1"
    assert page.tab.title() == "(1) Kanjo"
    assert page.text("#announcements") == "+49 30 1234567 sounds angry (0.83)"
    assert page.tab.locator("#announcements").get_attribute("aria-live") == "polite"
    feed.alert("CA-2", "firing", emotion="happiness", probability=0.9)
    page.shows("#announcements", "CA-2 sounds happy (0.90)")
    assert page.text("#needs-count") == "1", "happiness is no alarm"
    feed.alert("CA-1", "resolved", resolved_at_s=35.0)
    page.shows("#lately .wording", "sounded angry (0.91) for 0:25")
    assert page.text("#needs-count") == "0"


def test_an_alert_is_taken_and_that_is_undone(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    page.open(server)
    page.press("#needed .take")
    page.shows("#in-hand .handled", "taken by local at ")
    page.press("#in-hand .undo")
    page.shows("#needed .take", "Take")
    assert page.count("#in-hand li") == 0
    take, undo = feed.acts
    assert (take["action"], undo["action"], undo["undoes"]) == ("take", "undo", take["id"])
    assert len(take["id"]) == 32


def test_who_pressed_second_is_told_who_has_it(page: Page, feed: Feed, server: Server) -> None:
    feed.role = "operator"
    feed.start("CA-1", ago_s=50)
    alert = feed.alert("CA-1", "firing")
    page.open(server)
    taken = {"by": "Ben", "at": time.time()}
    feed.refusal = {
        "detail": "got an alert that Ben has taken, expected one that nobody else has",
        "reason": "taken",
        **taken,
        "alert": alert | {"taken": taken, "version": 9},
    }
    page.press("#needed .take")
    page.shows(".problem", "Ben has it since ")
    page.shows(".handled", "taken by Ben at ")
    assert page.count(".take, .dismiss, .take_over, .hand_over") == 0


def test_an_alert_is_handed_over_noted_dismissed_and_muted(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    alert = feed.alert("CA-1", "firing")
    feed.did(alert["alert_id"], taken={"by": "local", "at": time.time(), "handed_over_by": "Ada"})
    feed.start("CA-2", ago_s=50)
    feed.alert("CA-2", "firing", since_s=20)
    page.open(server)
    page.shows("#in-hand .handled", ", from Ada")
    page.press("#in-hand .note summary")
    page.tab.keyboard.press("Tab")
    page.tab.keyboard.type("calls back at noon")
    page.tab.keyboard.press("Enter")
    wait_until(lambda: feed.acts[-1:] and feed.acts[-1]["text"] == "calls back at noon")
    page.press("#in-hand .hand_over summary")
    page.all("#in-hand .hand_over input").fill("Ben")
    page.press("#in-hand .hand_over form button")
    wait_until(lambda: feed.acts[-1].get("to") == "Ben")
    assert feed.acts[-1]["action"] == "hand-over"
    page.press("#needed .mute summary")
    page.all("#needed .mute select[name=what]").select_option(label="all of anger")
    page.press("#needed .mute form button")
    page.shows("#strip .mute", "anger (by local)")
    assert (feed.acts[-1]["action"], feed.acts[-1]["emotion"]) == ("mute", "anger")
    assert 800 < feed.acts[-1]["until"] - time.time() < 1000
    page.press("#strip .mute button")
    page.shows_nothing_at("#strip .mute")
    page.press("#needed .dismiss summary")
    page.press("#needed [data-why=not_angry]")
    page.shows("#lately .handled", "dismissed by local: does not sound angry")
    assert page.text("#needs-count") == "0"


def test_a_mute_ends_when_the_viewer_wants_it_to(
    browser: Browser, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    now = datetime.now(ZoneInfo("Asia/Tokyo"))
    evening = now.replace(hour=18, minute=30, second=0, microsecond=0) + timedelta(days=3)
    with opened(browser, timezone_id="Asia/Tokyo") as page:
        page.open(server)
        page.press("#needed .mute summary")
        page.all("#needed .mute select[name=minutes]").select_option(label="another time")
        page.press("#needed .mute form button")
        assert not [act for act in feed.acts if act["action"] == "mute"], "no time was given"
        page.all("#needed .mute input[name=time]").fill(evening.strftime("%Y-%m-%dT%H:%M"))
        page.press("#needed .mute form button")
        page.shows("#strip .mute", f"{evening:%b} {evening.day}, {evening.year}, 18:30")
    [mute] = [act for act in feed.acts if act["action"] == "mute"]
    assert mute["until"] == evening.timestamp()


def test_an_admin_takes_an_alert_over(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    alert = feed.alert("CA-1", "firing")
    feed.did(alert["alert_id"], taken={"by": "Ben", "at": time.time()})
    page.open(server)
    page.press("#in-hand .take_over")
    page.shows("#in-hand .handled", "taken by local")
    assert feed.acts[0]["action"] == "take-over"


def test_a_viewer_has_no_buttons(page: Page, feed: Feed, server: Server) -> None:
    feed.role = "viewer"
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    page.open(server)
    page.shows("#needed .wording", "sounds angry")
    assert page.count("#needed button, #needed details") == 0


def test_the_list_stands_still_while_somebody_points_at_it(
    page: Page, feed: Feed, server: Server
) -> None:
    for number in (1, 2, 3):
        feed.start(f"CA-{number}", ago_s=100 - number)
        feed.alert(f"CA-{number}", "firing")
    first, second, third = feed.alerts
    page.open(server)
    page.shows("#needed .name", "CA-3")
    assert page.texts("#needed .name") == ["CA-1", "CA-2", "CA-3"]
    page.tab.hover("#needed li:nth-child(2) .wording")
    feed.did(first, taken={"by": "Ben", "at": time.time()})
    page.shows("#needed .handled", "taken by Ben")
    assert page.texts("#needed .name") == ["CA-1", "CA-2", "CA-3"]
    page.tab.mouse.move(5, 5)
    wait_until(lambda: page.texts("#needed .name") == ["CA-2", "CA-3"])


def test_a_list_has_one_tab_stop_and_keys_that_move_and_take(
    page: Page, feed: Feed, server: Server
) -> None:
    for number in (1, 2, 3):
        feed.start(f"CA-{number}", ago_s=100 - number)
        feed.alert(f"CA-{number}", "firing")
    page.open(server)
    page.shows("#needed .name", "CA-3")
    stops = """() => [...document.querySelectorAll("#needed *")]
        .filter((e) => e.tabIndex >= 0 && e.checkVisibility()).length"""
    assert page.tab.evaluate(stops) == 1
    page.tab.locator("#needed li").first.focus()
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("j")
    page.tab.keyboard.press("k")
    page.tab.keyboard.press("t")
    page.shows("#in-hand .name", "CA-2")
    focused = "() => document.activeElement.closest('#needed li')?.querySelector('.name').innerText"
    wait_until(lambda: page.tab.evaluate(focused) in ("CA-1", "CA-3"))
    page.tab.keyboard.press("Home")
    page.tab.keyboard.press("Enter")
    wait_until(lambda: page.tab.url.endswith("#/call/CA-1"))


def test_what_others_name_things_stays_text(page: Page, feed: Feed, server: Server) -> None:
    evil = "<img src=x onerror='window.broken = true'>"
    page.open(server)
    facts = FACTS | {"caller_number": evil, "agent": evil, "call_url": "javascript:window.broken=1"}
    feed.start(evil, ago_s=50, bridge=evil, metadata={evil: evil}, facts=facts)
    feed.alert(evil, "firing")
    page.shows("#needed .name", evil)
    assert page.count("#needed .open") == 0, "an address that is none of the web is no link"
    page.press("#needed .name")
    page.shows(".facts", evil)
    page.go("calls")
    page.shows(".call .about", evil)
    assert page.count("img") == 0
    assert page.tab.evaluate("window.broken") is None
