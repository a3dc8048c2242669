"""The connection to the service: joining, losing it, and finding it again."""

from tests.service.dashboard.feed import ANGRY, HAPPY, Feed, Server, wait_until
from tests.service.dashboard.page import Page, is_orange


def test_everything_sent_twice_shows_once(page: Page, feed: Feed, server: Server) -> None:
    once = feed.start("CA-1", ago_s=100)
    twice = feed.start("CA-2", started_at=once["started_at"])
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10)
    reading = feed.read("CA-2", 20.0, ANGRY, heard_s=10)
    alert = feed.alert("CA-2", "firing", since_s=40)
    feed.emit("call_started", twice)
    feed.emit("reading", reading)
    feed.emit("alert", alert)
    feed.start("CA-3")
    page.shows(".call .id", "CA-3")
    assert page.texts(".call .id") == ["CA-2", "CA-1", "CA-3"]
    assert len(page.all(".alert")) == 1
    assert len(page.all("#announcements p")) == 1
    wait_until(lambda: is_orange(page.band("anger", 87, call=0)))
    once_drawn, twice_drawn = page.band("anger", 87, call=1), page.band("anger", 87, call=0)
    assert once_drawn == twice_drawn, "a reading drawn twice would be darker"


def test_what_happens_while_the_page_joins_is_not_missed(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)

    def meanwhile() -> None:
        feed.after_calls = lambda: None
        feed.start("CA-2", ago_s=40)
        feed.read("CA-2", 20.0, HAPPY)
        feed.alert("CA-1", "firing")

    feed.after_calls = meanwhile
    page.open(server)
    page.shows(".call .id", "CA-2")
    page.shows(".call .sounds", "last sounded happy (0.90)")
    page.shows(".alert .state", "firing")


def test_the_page_outlives_the_service(page: Page, feed: Feed) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    with Server(feed) as first:
        page.open(first)
        page.shows(".call .id", "CA-1")
        page.shows(".alert .where", "CA-1")
    wait_until(lambda: page.connection == "Reconnecting")
    assert page.texts(".call .id") == ["CA-1"]

    afresh = Feed()
    afresh.start("CA-9", ago_s=5)
    with Server(afresh, port=first.port):
        wait_until(lambda: page.connection == "Live")
        page.shows(".call .id", "CA-9")
        assert page.texts(".call .id") == ["CA-9"]
        assert page.all(".alert") == []
        afresh.alert("CA-9", "firing", since_s=1)
        page.shows("#announcements", "The caller on call CA-9 sounds angry")
        page.browser.get("about:blank")


def test_a_page_long_without_its_service_is_marked_stale(page: Page, feed: Feed) -> None:
    feed.start("CA-1", ago_s=50)
    with Server(feed) as server:
        page.open(server)
        page.shows(".call .id", "CA-1")
    wait_until(lambda: page.connection == "Reconnecting")
    frozen = page.text(".call .time")
    wait_until(lambda: page.connection.startswith("Stale: as of "), within_s=20)
    assert page.text(".call .time") == frozen, "the call may have ended since"


def test_a_connection_without_events_is_made_again(page: Page, feed: Feed, server: Server) -> None:
    script = """
        const real = setTimeout;
        window.setTimeout = (call, ms, ...more) => real(call, ms / 20, ...more);
    """
    hurry = "Page.addScriptToEvaluateOnNewDocument"
    added = page.browser.execute_cdp_cmd(hurry, {"source": script})
    page.open(server)
    page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    feed.mute = True
    feed.start("CA-1")
    page.shows(".call .id", "CA-1")
    assert page.connection == "Live"


def test_a_resync_fetches_everything_again(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    page.open(server)
    page.shows(".call .id", "CA-1")
    feed.calls.clear()
    feed.start("CA-2", ago_s=50)
    feed.events.pop()
    feed.emit("resync", {})
    wait_until(lambda: page.texts(".call .id") == ["CA-2"])
    assert page.connection == "Live"


def test_ages_follow_the_clock_of_the_service(page: Page, feed: Feed, server: Server) -> None:
    feed.ahead_s = -3600
    feed.start("CA-1", ago_s=30)
    page.open(server)
    wait_until(lambda: page.text(".call .time").startswith("0:3"))
