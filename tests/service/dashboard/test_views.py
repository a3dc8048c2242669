"""The pages of a call and of the history, and a viewer's choices: language, sound, desktop."""

from playwright.sync_api import Browser

from tests.service.dashboard.feed import ANGRY, NEUTRAL, Feed, Server, wait_until
from tests.service.dashboard.page import Page, opened
from tests.service.dashboard.test_needs import FACTS

COUNT = {"emotion": "anger", "fired": 4, "taken": 2, "muted": 0, "dismissed": {"not_angry": 1}}


def test_a_call_is_shown_whole_with_its_alerts_and_every_reading(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA 1#", ago_s=65, facts=FACTS, metadata={"tier": "gold"})
    feed.read("CA 1#", 15.0, NEUTRAL, heard_s=5)
    feed.read("CA 1#", 25.0, ANGRY, heard_s=5)
    feed.alert("CA 1#", "firing", since_s=20, fired_after_s=5)
    page.open(server, "call/CA%201%23")
    page.shows("#call-title", "+49 30 1234567")
    assert "tier\ngold" in page.text(".facts")
    page.shows(".evidence", "It rose by 1 reading: 0.83.")
    page.shows(".one .none", "0:10 of speech in 1:05")
    assert page.count(".chart canvas") == 1
    page.press(".readings summary")
    assert len(page.texts(".readings tbody tr")) == 2
    feed.read("CA 1#", 60.0, ANGRY, heard_s=5)
    page.shows(".readings tbody tr", "1:00")
    assert page.texts(".readings tbody td")[-4:] == ["0.06", "0.08", "0.11", "0.75"]
    page.press("[aria-label='Zoom in']")
    assert page.all(".zoom button").last.is_enabled()
    page.press(".one .take")
    page.shows(".handled", "taken by local")


def test_an_admin_sees_who_did_what_with_a_call(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=65)
    alert_id = feed.alert("CA-1", "firing", since_s=20)["alert_id"]
    feed.did(alert_id, dismissed={"why": "not_angry", "by": "Ada", "at": feed.now()}, version=1)
    did = [
        {"name": "Ada", "action": "dismissed", "alert_id": alert_id, "detail": "not_angry"},
        {"name": "Cem", "action": "took", "alert_id": "another", "session": "other"},
        {"name": "Ben", "action": "looked_at"},
        {"name": "Ben", "action": "danced"},
    ]
    for number, entry in enumerate(did):
        usual = {"id": f"{number}-0", "at": feed.now(), "session": "first", "alert_id": None}
        feed.audit.append({**usual, "detail": None, **entry})
    page.open(server, "call/CA-1")
    page.shows(".who-did li", "Ben looked at this call")
    assert page.texts(".who-did span") == [
        "Ada dismissed the alert: does not sound angry (anger, since 0:20 of the call)",
        "Ben looked at this call",
        "Ben danced",
    ]
    usual = feed.audit[0]
    feed.audit.insert(0, {**usual, "id": "9-0", "name": "Cem", "action": "undid", "detail": None})
    feed.did(alert_id, dismissed=None)
    page.shows(".who-did li", "Cem undid the last action (anger, since 0:20 of the call)")


def test_who_may_not_see_the_audit_does_not_ask_for_it(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.role = "operator"
    feed.start("CA-1", ago_s=65)
    page.open(server, "call/CA-1")
    page.shows("#call-title", "CA-1")
    page.shows_nothing_at(".who-did")


def test_an_unknown_call_is_told(page: Page, feed: Feed, server: Server) -> None:
    page.open(server, "call/nobody")
    page.shows("#call-problem", "/v1/calls/nobody answered 404")


def test_a_wish_is_asked_for_twice_and_leaves_nothing(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=65)
    page.open(server, "call/CA-1")
    page.press(".stop_listening")
    page.shows(".ending", "This can’t be taken back.")
    page.press(".ending button:not(.sure)")
    assert feed.acts == []
    page.press(".purge")
    page.press(".ending .sure")
    wait_until(lambda: page.tab.url.endswith("#/calls"))
    assert feed.acts == [{"action": "purge", "call_id": "CA-1"}]
    assert page.count(".call") == 0


def test_the_history_is_filtered_counted_and_left_as_a_table(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=65)
    feed.alert("CA-1", "resolved", resolved_at_s=40.0)
    feed.counts = [
        {**COUNT, "day": "2026-11-27", "queue": "billing"},
        {**COUNT, "day": "2026-11-28", "queue": None, "dismissed": {}},
    ]
    page.open(server, "history?from=2026-11-27&queue=billing")
    page.shows("#past-alerts td", "sounded angry (0.91)")
    assert page.text("#past-alerts tbody").split("\t")[1].strip() == "CA-1"
    assert page.texts("#queues tbody tr") == ["billing\t4\t2\t1\t25%"]
    asked = feed.asked[-1]
    assert asked["queue"] == "billing"
    assert float(asked["from"]) < feed.now()
    link = page.all("#csv").get_attribute("href")
    assert link.startswith("v1/alerts.csv?from=")
    assert "queue=billing" in link
    page.all("select[name=queue]").select_option("")
    wait_until(lambda: "queue" not in feed.asked[-1])
    page.shows("#queues", "without a queue")
    page.all("input[name=id]").fill("CA-7")
    page.tab.keyboard.press("Enter")
    wait_until(lambda: feed.asked[-1].get("call_id") == "CA-7")
    assert page.tab.url.endswith("#/history?from=2026-11-27&id=CA-7")


def test_the_page_speaks_japanese_and_remembers_it(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=65)
    feed.alert("CA-1", "firing")
    page.open(server)
    page.press(".choices summary")
    page.all("#language").select_option("ja")
    page.shows("#needed .wording", "怒っているように聞こえます（0.83）")
    assert page.tab.evaluate("document.documentElement.lang") == "ja"
    page.tab.reload()
    wait_until(lambda: page.connection == "ライブ")


def test_sound_and_notifications_are_off_until_they_are_switched_on(
    browser: Browser, feed: Feed, server: Server
) -> None:
    with opened(browser, permissions=["notifications"], locale="ja-JP") as page:
        page.tab.add_init_script("""
            window.played = 0;
            window.told = [];
            const start = OscillatorNode.prototype.start;
            OscillatorNode.prototype.start = function (at) {
                window.played++;
                start.call(this, at);
            };
            window.Notification = class {
                static permission = "granted";
                static async requestPermission() { return "granted"; }
                constructor(title, { body }) { window.told.push(body); }
            };
        """)
        page.tab.goto(f"http://127.0.0.1:{server.port}/")
        wait_until(lambda: page.connection == "ライブ")  # as the browser prefers
        feed.start("CA-1", ago_s=65)
        feed.alert("CA-1", "firing")
        page.shows("#announcements", "CA-1")
        assert page.tab.evaluate("[window.played, window.told]") == [0, []]
        page.press(".choices summary")
        page.tab.check("#sound")
        wait_until(lambda: page.tab.evaluate("window.played") == 2)
        page.tab.check("#notifications")
        wait_until(lambda: page.tab.evaluate("window.told.length") == 1)
        feed.alert("CA-1", "firing", since_s=30, emotion="happiness")
        page.shows("#announcements", "喜んでいる")
        assert page.tab.evaluate("window.told.length") == 1, "happiness is no alarm"
        page.tab.evaluate("window.played = 0")
        page.tab.wait_for_timeout(2100)  # no two sounds come closer
        feed.alert("CA-1", "firing", since_s=40)
        wait_until(lambda: page.tab.evaluate("[window.played, window.told.length]") == [2, 2])


def test_that_the_browser_blocks_notifications_is_told_once_it_does(
    browser: Browser, server: Server
) -> None:
    with opened(browser) as page:
        page.tab.add_init_script("""
            window.Notification = class {
                static permission = "default";
                static async requestPermission() { return (this.permission = "denied"); }
            };
        """)
        page.open(server)
        page.press(".choices summary")
        assert page.count(".choices .problem") == 0
        page.tab.click("#notifications")
        page.shows(".choices .problem", "The browser blocks notifications")
        assert not page.tab.is_checked("#notifications")
