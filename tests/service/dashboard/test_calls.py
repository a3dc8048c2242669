"""The list of calls: what a row shows, when it appears and leaves, and its limits."""

from tests.service.dashboard.feed import ANGRY, Feed, Server, wait_until
from tests.service.dashboard.page import Page


def test_an_empty_page_explains_what_to_do(page: Page, server: Server) -> None:
    page.open(server)
    page.shows("#no-calls", "No calls yet")
    page.shows("#no-calls", "kanjo replay FILE")
    page.shows("#no-alerts", "No alerts yet")
    assert page.text("#live-count") == "0"
    assert "Only the caller is analysed" in page.text("footer")
    assert "does not show what a person feels" in page.text("footer")
    page.shows_nothing_at("#embedded")


def test_an_embedded_store_is_named(page: Page, feed: Feed, server: Server) -> None:
    feed.embedded = True
    page.open(server)
    page.shows("#embedded", "nothing is kept after a restart")


def test_a_call_appears_with_its_id_its_bridge_and_its_age(
    page: Page, feed: Feed, server: Server
) -> None:
    page.open(server)
    feed.start("CA-17", ago_s=65, metadata={"queue": "billing"})
    page.shows(".call .id", "CA-17")
    page.shows(".call .about", "twilio · queue billing")
    wait_until(lambda: page.text(".call .time").startswith("1:0"))
    page.shows(".call .sounds", "no speech yet")
    assert page.text("#live-count") == "1"
    assert page.text("#live-word") == "live call"
    page.shows_nothing_at("#no-calls")


def test_an_ended_call_stays_greyed_for_two_minutes_and_leaves(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=300)
    feed.start("CA-2", ago_s=300)
    feed.start("CA-3", ago_s=20)
    page.open(server)
    feed.end("CA-1", ago_s=117, reason="hangup")
    feed.end("CA-2", ago_s=10, reason="transfer")
    page.shows(".call.ended .sounds", "ended: hangup")
    assert page.texts(".call .id") == ["CA-3", "CA-1", "CA-2"]
    assert page.text("#live-count") == "1"
    wait_until(lambda: page.texts(".call .id") == ["CA-3", "CA-2"])
    started_at, ended_at = (feed.calls["CA-2"][at] for at in ("started_at", "ended_at"))
    minutes, seconds = divmod(int(ended_at - started_at), 60)  # about 290 s
    assert page.text(".call.ended .time") == f"{minutes}:{seconds:02}"


def test_a_call_id_used_again_starts_an_empty_row(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=100)
    feed.read("CA-1", 95.0, ANGRY)
    page.open(server)
    page.shows(".call .sounds", "sounded angry")
    feed.start("CA-1", session="second")
    page.shows(".call .sounds", "no speech yet")
    assert page.texts(".call .id") == ["CA-1"]


def test_what_others_name_things_stays_text(page: Page, feed: Feed, server: Server) -> None:
    evil = "<img src=x onerror='window.broken = true'>"
    page.open(server)
    feed.start(evil, ago_s=50, bridge=evil, metadata={evil: evil})
    feed.alert(evil, "firing")
    page.shows(".alert .where", evil)
    assert page.text(".call .id") == evil
    assert page.text(".call .about") == f"{evil} · {evil} {evil}"
    assert page.all("img") == []
    assert page.browser.execute_script("return window.broken") is None


def test_what_the_page_keeps_is_bounded(page: Page, feed: Feed, server: Server) -> None:
    for n in range(505):
        feed.start(f"CA-{n}", ago_s=600 - n)
    page.open(server)
    page.shows("#live-count", "500+")
    page.shows("#more-calls", "More calls are live than the 500 shown")
    for n in range(230):
        feed.alert("CA-0", "resolved", since_s=n, resolved_at_s=n + 0.5)
    feed.alert("CA-0", "firing", since_s=300)
    page.shows("#firing-count", "1")
    assert len(page.all(".call")) == 500
    assert len(page.all(".alert")) == 200
    for n in range(100):
        feed.end(f"CA-{n}", ago_s=200)
    page.shows("#live-count", "405")


FACTS = {
    "caller_number": "+49 30 1234567",
    "called_number": "+49 30 999",
    "queue": "billing",
    "agent": "Ann Lee",
    "language": "de",
    "call_url": "https://pbx.example/monitor?id=CA-1",
}


def test_who_is_calling_is_shown_without_a_tooltip_and_leads_to_the_pbx(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=65, facts=FACTS)
    feed.alert("CA-1", "firing")
    page.open(server)
    for row in (".call", ".alert"):
        page.shows(f"{row} .who", "+49 30 1234567 · queue billing · with Ann Lee")
        (link,) = page.all(f"{row} .open")
        assert (link.text, link.get_attribute("href")) == ("Open in PBX", FACTS["call_url"])
        assert link.get_attribute("rel") == "noopener noreferrer"
    assert " · 1:" in page.text(".alert .who")  # how long the call lasts
    feed.calls["CA-1"]["facts"] = FACTS | {"agent": None}
    feed.end("CA-1")
    page.shows(".call.ended .who", "queue billing")
    assert "Ann Lee" not in page.text("body")


def test_an_alert_of_an_earlier_call_with_the_same_id_shows_nobody_else(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=65, facts=FACTS, session="second")
    feed.alerts["a"] = feed.alert("CA-1", "resolved", resolved_at_s=20.0) | {"session": "first"}
    feed.alerts = {"a": feed.alerts["a"]}
    page.open(server)
    page.shows(".call .who", "queue billing")
    assert page.text(".alert .where") == "CA-1"
    assert page.text(".alert .who") == ""


def test_an_address_that_is_none_of_the_web_is_no_link(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", facts=FACTS | {"call_url": "javascript:window.broken=true"})
    page.open(server)
    page.shows(".call .who", "queue billing")
    page.shows_nothing_at(".call .open")
    assert page.all(".call .open")[0].get_attribute("href") is None


def test_nothing_of_an_erased_call_stays(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", session="s1")
    feed.start("CA-2", session="s2")
    feed.alerts["a"] = feed.alert("CA-1", "firing", alert_id="a") | {"session": "s1"}
    page.open(server)
    page.shows(".alert .where", "CA-1")
    del feed.calls["CA-1"]
    feed.alerts.clear()
    feed.emit("call_erased", {"session": "s1"})
    wait_until(lambda: page.texts(".call .id") == ["CA-2"])
    assert page.all(".alert") == []
