"""The list of calls: what a row shows, when it appears and leaves, filters, and its limits."""

from tests.service.dashboard.feed import ANGRY, Feed, Server, wait_until
from tests.service.dashboard.page import Page
from tests.service.dashboard.test_needs import FACTS


def test_an_empty_page_explains_what_to_do(page: Page, feed: Feed, server: Server) -> None:
    feed.embedded = True
    page.open(server, "calls")
    page.shows("#no-calls", "No calls yet.")
    page.shows("#no-calls", "kanjo replay FILE")
    assert page.text("#calls-count") == "0"
    assert "Only the caller is analysed" in page.text("footer")
    assert "does not show what a person feels" in page.text("footer")
    page.shows("#strip", "nothing is kept after a restart")


def test_calls_stand_by_their_start_and_the_ended_last(
    page: Page, feed: Feed, server: Server, now: float
) -> None:
    feed.start("CA-1", ago_s=300)
    feed.start("CA-2", ago_s=65, facts=FACTS)
    feed.start("CA-3", ago_s=20)
    page.open(server, "calls")
    page.shows(".call .sounds", "no speech yet")
    assert page.texts(".call .name") == ["CA-1", "+49 30 1234567", "CA-3"]
    assert page.texts(".call .about")[1].startswith("queue billing · with Ann Lee · 1:05")
    feed.alert("CA-3", "firing", since_s=2)
    page.shows(".call.needs .sounds", "sounds angry (0.83)")
    assert page.texts(".call .name") == ["CA-1", "+49 30 1234567", "CA-3"]
    assert page.count(".call .take") == 1
    feed.calls["CA-2"]["facts"] = FACTS | {"agent": None}
    feed.end("CA-2", ago_s=10, reason="transfer")
    feed.end("CA-1", ago_s=200)
    page.shows(".call.ended .sounds", "ended: transfer")
    wait_until(lambda: page.texts(".call .name") == ["CA-3", "+49 30 1234567"])
    wait_until(lambda: "Ann Lee" not in page.text("body"))
    assert page.text("#calls-count") == "1"


def test_a_call_id_used_again_starts_an_empty_row(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=100)
    feed.read("CA-1", 95.0, ANGRY)
    page.open(server, "calls")
    page.shows(".call .sounds", "sounded angry")
    feed.start("CA-1", session="second")
    page.shows(".call .sounds", "no speech yet")
    assert page.texts(".call .name") == ["CA-1"]


def test_filters_stand_in_the_address(page: Page, feed: Feed, server: Server) -> None:
    for number, queue in enumerate(("billing", "sales", "billing"), 1):
        feed.start(f"CA-{number}", ago_s=100 - number, facts={"queue": queue})
    feed.alert("CA-3", "firing")
    page.open(server, "calls?queue=billing")
    page.shows(".call .name", "CA-3")
    assert page.texts(".call .name") == ["CA-1", "CA-3"]
    assert page.all("select[name=queue]").input_value() == "billing"
    page.all("select[name=emotion]").select_option("anger")
    wait_until(lambda: page.texts(".call .name") == ["CA-3"])
    assert page.tab.url.endswith("#/calls?queue=billing&emotion=anger")
    page.all("select[name=queue]").select_option("sales")
    page.shows("#no-calls", "No call matches the filters.")
    page.tab.reload()
    page.shows("#no-calls", "No call matches the filters.")


def test_many_calls_are_bounded_and_what_needs_somebody_stands_first(
    page: Page, feed: Feed, server: Server
) -> None:
    for n in range(505):
        feed.start(f"CA-{n}", ago_s=600 - n)
    for n in range(16):
        feed.alert(f"CA-{n}", "firing")
    page.open(server, "calls")
    page.shows("#calls-count", "500+")
    page.shows("#strip", "More calls are live than the 500 shown")
    assert len(page.texts(".call")) == 500
    assert page.text("#needs-count") == "16"
    page.go("needs")
    wait_until(lambda: len(page.texts("#needed li")) == 16)
    for n in range(100):
        feed.end(f"CA-{n + 300}", ago_s=200)
    page.shows("#calls-count", "405")


def test_nothing_of_an_erased_call_stays(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", session="s1")
    feed.start("CA-2", session="s2")
    feed.alerts["a"] = feed.alert("CA-1", "firing", alert_id="a") | {"session": "s1"}
    page.open(server)
    page.shows("#needed .name", "CA-1")
    del feed.calls["CA-1"]
    feed.alerts.clear()
    feed.emit("call_erased", {"session": "s1"})
    page.shows_nothing_at("#needed li")
    page.go("calls")
    wait_until(lambda: page.texts(".call .name") == ["CA-2"])
