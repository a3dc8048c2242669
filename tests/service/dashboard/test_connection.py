"""The connection to the service: joining, losing it, and finding it again."""

import time

from tests.service.dashboard.feed import HAPPY, Feed, Server, wait_until
from tests.service.dashboard.page import Page


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
    page.open(server, "calls")
    page.shows(".call .name", "CA-2")
    page.shows(".call .sounds", "last sounded happy (0.90)")
    page.shows(".call.needs .sounds", "sounds angry")


def test_the_page_outlives_the_service_and_says_at_once_as_of_when_it_is_true(
    page: Page, feed: Feed
) -> None:
    feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing")
    with Server(feed) as first:
        page.open(first, "calls")
        page.shows(".call .name", "CA-1")
    wait_until(lambda: page.connection.startswith("As of "))
    dimmed = "() => getComputedStyle(document.querySelector('main')).opacity"
    assert float(page.tab.evaluate(dimmed)) < 1
    frozen = page.text(".call .about")
    wait_until(lambda: "the service does not answer" in page.connection)
    assert page.text(".call .about") == frozen, "the call may have ended since"

    afresh = Feed()
    afresh.start("CA-9", ago_s=5)
    with Server(afresh, port=first.port):
        wait_until(lambda: page.connection == "Live")
        wait_until(lambda: page.texts(".call .name") == ["CA-9"])
        afresh.alert("CA-9", "firing", since_s=1)
        page.shows("#announcements", "CA-9 sounds angry")
        page.tab.close()


def test_a_stalled_stream_is_told_with_the_time_of_the_last_heartbeat_and_joined_again(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.beat["every_s"] = 0.5
    page.open(server, "calls")
    feed.mute = True
    last_heard = time.time()
    wait_until(lambda: "nothing came from the service for " in page.connection)
    as_of = page.connection.removeprefix("As of ")[:8]
    near = [time.strftime("%H:%M:%S", time.localtime(last_heard - ago)) for ago in (-1, 0, 1)]
    assert as_of in near
    feed.start("CA-1")
    page.shows(".call .name", "CA-1")  # of the snapshot, which comes through
    assert page.connection != "Live"
    feed.mute = False
    wait_until(lambda: page.connection == "Live")


def test_a_redis_that_is_away_is_told_while_the_service_lives(
    page: Page, feed: Feed, server: Server
) -> None:
    page.open(server)
    feed.beat["redis"] = "away"
    wait_until(lambda: page.connection.endswith(": Redis is away"))
    assert page.connection.startswith("As of ")
    feed.beat |= {"redis": "up", "oldest_waiting_write_s": 7.0}
    wait_until(lambda: page.connection == "Live")
    page.shows("#strip", "the oldest write has waited for 7 s")


def test_a_proxys_own_page_is_told(page: Page, feed: Feed, server: Server) -> None:
    page.open(server)
    feed.proxy_html = True
    feed.emit("resync", {})  # makes the page ask again
    wait_until(lambda: "/v1/calls answered 502, expected 200" in page.connection)
    assert page.connection.startswith("As of ")
    feed.proxy_html = False
    wait_until(lambda: page.connection == "Live")


def test_a_restarted_service_is_told_and_its_ghost_calls_are_dimmed(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50, session="ghost")
    feed.start("CA-2", ago_s=40, session="alive")
    page.open(server, "calls")
    page.shows(".call .name", "CA-2")
    feed.calls["CA-2"]["facts"] = {"caller_number": "fetched again"}
    feed.beat |= {"start_id": "second", "started_at": time.time(), "unconfirmed": ["ghost"]}
    page.shows("#strip", "The service started again at")
    page.shows(".call .name", "fetched again")
    wait_until(lambda: page.texts(".call.unconfirmed .name") == ["CA-1"])
    assert page.text(".call.unconfirmed .sounds") == "no sign of its service"
    feed.beat["unconfirmed"] = []
    page.shows_nothing_at(".call.unconfirmed")
    assert page.connection == "Live"


def test_what_is_wrong_with_the_service_is_shown_with_its_beginning(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.room = False
    feed.problems = [
        {"what": "Redis refuses writes: OOM <b>", "since": feed.now() - 60},
        {"what": "outbox: 3 writes can never be applied", "since": feed.now()},
    ]
    page.open(server)
    page.shows("#strip li", "Redis refuses writes: OOM <b> (since ")
    page.shows("#strip li", "outbox: 3 writes can never be applied (since ")
    page.shows("#strip li", "No room")
    assert page.count("#strip li") == 3
