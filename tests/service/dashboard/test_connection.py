"""The connection to the service: joining, losing it, and finding it again."""

import time

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
    wait_until(lambda: page.connection.startswith("As of "))
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


def test_a_page_without_its_service_says_at_once_as_of_when_it_is_true(
    page: Page, feed: Feed
) -> None:
    feed.start("CA-1", ago_s=50)
    with Server(feed) as server:
        page.open(server)
        page.shows(".call .id", "CA-1")
    wait_until(lambda: page.connection.startswith("As of "))
    frozen = page.text(".call .time")
    dimmed = "return getComputedStyle(document.querySelector('main')).opacity"
    assert float(page.browser.execute_script(dimmed)) < 1
    wait_until(lambda: ": /v1/calls" in page.connection or "fetch" in page.connection.lower())
    assert page.text(".call .time") == frozen, "the call may have ended since"


def test_a_stalled_stream_is_told_with_the_time_of_the_last_heartbeat_and_joined_again(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.beat["every_s"] = 0.5
    page.open(server)
    feed.mute = True
    last_heard = time.time()
    wait_until(lambda: "nothing came from the service for " in page.connection)
    as_of = page.connection.removeprefix("As of ")[:8]
    near = [time.strftime("%H:%M:%S", time.localtime(last_heard - ago)) for ago in (-1, 0, 1)]
    assert as_of in near
    feed.start("CA-1")
    page.shows(".call .id", "CA-1")  # of the snapshot, which comes through
    assert page.connection != "Live"
    feed.mute = False
    wait_until(lambda: page.connection == "Live")


def test_a_redis_that_is_away_is_told_while_the_service_lives(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    page.open(server)
    feed.beat["redis"] = "away"
    wait_until(lambda: page.connection.endswith(": Redis is away"))
    assert page.connection.startswith("As of ")
    feed.beat["redis"] = "up"
    wait_until(lambda: page.connection == "Live")


def test_a_proxys_own_page_is_told(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=50)
    page.open(server)
    feed.proxy_html = True
    feed.emit("resync", {})  # makes the page ask again
    wait_until(lambda: "/v1/calls answered 502, expected 200" in page.connection)
    assert page.connection.startswith("As of ")
    feed.proxy_html = False
    wait_until(lambda: page.connection == "Live")
    page.browser.get_log("browser")  # the browser's own complaint of the status


def test_events_that_come_late_are_told(page: Page, feed: Feed, server: Server) -> None:
    page.open(server)
    feed.beat["at"] = time.time() - 30
    wait_until(lambda: "the events come 3" in page.connection)
    del feed.beat["at"]
    wait_until(lambda: page.connection == "Live")


def test_a_restarted_service_is_told_and_its_ghost_calls_are_dimmed(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50, session="ghost")
    feed.start("CA-2", ago_s=40, session="alive")
    page.open(server)
    assert not page.all("#restarted")[0].is_displayed()
    feed.calls["CA-2"]["metadata"] = {"fetched": "again"}
    feed.beat |= {"start_id": "second", "started_at": time.time(), "unconfirmed": ["ghost"]}
    page.shows("#restarted", "The service started again at")
    page.shows(".call .about", "fetched again")
    wait_until(lambda: len(page.all(".call.unconfirmed")) == 1)
    assert page.texts(".call.unconfirmed .id") == ["CA-1"]
    assert page.text(".call.unconfirmed .sounds") == "no sign of its service"
    feed.beat["unconfirmed"] = []
    wait_until(lambda: page.all(".call.unconfirmed") == [])
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
