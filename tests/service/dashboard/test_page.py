"""The page as a person sees it: a real Chromium and server, and a feed the test speaks through."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

import service
from tests.e2e.chromium import MISSING, chromium

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's chromium and chromium-driver; not found: {MISSING}"
)

PAGE = Path(service.__file__).parent / "dashboard"
Json = dict[str, Any]

NEUTRAL = {"anger": 0.06, "happiness": 0.08, "sadness": 0.11, "neutral": 0.75}
ANGRY = {"anger": 0.83, "happiness": 0.05, "sadness": 0.02, "neutral": 0.10}
HAPPY = {"anger": 0.02, "happiness": 0.90, "sadness": 0.03, "neutral": 0.05}


class Feed:
    """What the service would answer. Changes are told as events, in order, to whoever listens."""

    def __init__(self) -> None:
        self.calls: dict[str, Json] = {}
        self.readings: dict[str, list[Json]] = {}
        self.alerts: dict[str, Json] = {}
        self.events: list[tuple[str, Json]] = []
        self.embedded = False
        self.ahead_s = 0.0  # of the browser's clock
        self.after_calls: Callable[[], None] = lambda: None
        self.mute = False  # connected, but no event comes through

    def now(self) -> float:
        return time.time() + self.ahead_s

    def tell(self, name: str, data: Json) -> None:
        self.events.append((name, json.loads(json.dumps(data))))

    def start(self, call_id: str, ago_s: float = 0.0, **fields: Any) -> Json:
        call = {
            "call_id": call_id,
            "session": "first",
            "bridge": "twilio",
            "tracks": ["caller", "agent"],
            "metadata": {},
            "state": "live",
            "started_at": self.now() - ago_s,
            "ended_at": None,
            "reason": None,
            "duration_s": None,
            "last": {},
        } | fields
        self.calls[call_id] = call
        self.readings[call_id] = []
        self.tell("call_started", call)
        return call

    def end(self, call_id: str, ago_s: float = 0.0, reason: str = "hangup") -> None:
        call = self.calls[call_id]
        ended_at = self.now() - ago_s
        duration_s = ended_at - call["started_at"]
        call |= {"state": "ended", "ended_at": ended_at, "reason": reason, "duration_s": duration_s}
        self.tell("call_ended", call)

    def read(
        self,
        call_id: str,
        end_s: float,
        probabilities: dict[str, float],
        heard_s: float = 1.0,
        track: str = "caller",
    ) -> Json:
        reading = {
            "call_id": call_id,
            "number": len(self.readings[call_id]) + 1,
            "track": track,
            "start_s": max(0.0, end_s - 7.5),
            "end_s": end_s,
            "heard_s": heard_s,
            "probabilities": probabilities,
            "at": self.now(),
        }
        self.readings[call_id].append(reading)
        self.calls[call_id]["last"][track] = reading
        self.tell("reading", reading)
        return reading

    def alert(
        self,
        call_id: str,
        state: str,
        since_s: float = 10.0,
        emotion: str = "anger",
        probability: float = 0.83,
        fired_after_s: float = 3.0,
        resolved_at_s: float | None = None,
        alert_id: str | None = None,
    ) -> Json:
        alert_id = alert_id or f"{call_id}:{emotion}:{since_s}"
        fired = state in ("firing", "resolved")
        fired_at_s = since_s + fired_after_s if fired else None
        at = self.calls[call_id]["started_at"] + fired_at_s if fired_at_s else None
        word = {"anger": "angry", "happiness": "happy"}[emotion]
        alert = {
            "alert_id": alert_id,
            "number": {"pending": 1, "firing": 2, "lapsed": 2, "resolved": 3}[state],
            "call_id": call_id,
            "track": "caller",
            "emotion": emotion,
            "state": state,
            "since_s": since_s,
            "fired_at_s": fired_at_s,
            "resolved_at_s": resolved_at_s,
            "at": at,
            "peak": 0.91,
            "probability": probability,
            "text": f"sounds {word} ({probability:.2f})",
        }
        self.alerts[alert_id] = alert
        self.tell("alert", alert)
        return alert


def app_of(feed: Feed, server: "Server") -> FastAPI:
    app = FastAPI()
    app.mount("/dashboard", StaticFiles(directory=PAGE))

    @app.get("/")
    async def index() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/calls")
    async def calls(response: Response) -> Json:
        response.headers["date"] = formatdate(feed.now(), usegmt=True)
        cursor = str(len(feed.events))
        answer = json.loads(json.dumps(list(feed.calls.values())))
        feed.after_calls()
        return {"cursor": cursor, "embedded": feed.embedded, "calls": answer}

    @app.get("/calls/{call_id:path}")
    async def call(call_id: str) -> Json:
        if call_id not in feed.calls:
            raise HTTPException(404)
        alerts = [alert for alert in feed.alerts.values() if alert["call_id"] == call_id]
        return feed.calls[call_id] | {"readings": feed.readings[call_id], "alerts": alerts}

    @app.get("/alerts")
    async def alerts(limit: int) -> Json:
        return {"alerts": list(feed.alerts.values())[-limit:][::-1], "next": None}

    @app.get("/events")
    async def events(request: Request, after: int) -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            told = after
            yield ": hello\n\n"
            while not server.should_exit and not await request.is_disconnected():
                for name, data in [] if feed.mute else feed.events[told:]:
                    told += 1
                    yield f"id: {told}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(stream(), media_type="text/event-stream")

    return app


class Server(uvicorn.Server):
    """The page's service, in a thread of its own; may be stopped and started on the same port."""

    def __init__(self, feed: Feed, port: int = 0) -> None:
        super().__init__(
            uvicorn.Config(
                app_of(feed, self), port=port, log_level="warning", ws="none", date_header=False
            )
        )
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "Server":
        self.thread.start()
        wait_until(lambda: self.started)
        self.port = self.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join()


def wait_until(holds: Callable[[], Any], within_s: float = 8.0) -> None:
    """Passes as soon as `holds` does; an assertion in it that fails is tried again."""
    deadline = time.monotonic() + within_s
    while True:
        late = time.monotonic() > deadline
        try:
            if holds() is not False:
                return
        except Exception:
            if late:
                raise
        assert not late, f"still not so after {within_s} s"
        time.sleep(0.03)


class Page:
    """What a person sees of the page and does to it."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, server: Server) -> "Page":
        self.browser.get(f"http://127.0.0.1:{server.port}/")
        wait_until(lambda: self.connection == "Live")
        return self

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        # In one step, because the page may redraw between two.
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return list(self.browser.execute_script(script, selector))

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def shows(self, selector: str, text: str) -> None:
        def holds() -> None:
            assert text in " | ".join(self.texts(selector))

        wait_until(holds)

    def shows_nothing_at(self, selector: str) -> None:
        wait_until(lambda: not any(element.is_displayed() for element in self.all(selector)))

    @property
    def connection(self) -> str:
        return self.text("#connection")

    def pixels(self, ago_s: float, call: int = 0, ribbon: int = 0) -> list[list[int]]:
        """The ribbon's column at so many seconds before now, top to bottom, as [r, g, b, a]."""
        script = """
            const row = document.querySelectorAll(".call")[arguments[1]];
            const canvas = row.querySelectorAll("canvas")[arguments[2]];
            const { width, height } = canvas;
            const x = Math.min(width - 1, Math.round(width * (1 - arguments[0] / 300)));
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, height);
            return Array.from({ length: height }, (_, y) => [...data.slice(4 * y, 4 * y + 4)]);
        """
        return list(self.browser.execute_script(script, ago_s, call, ribbon))

    def lane(self, name: str, ago_s: float, **where: int) -> list[int]:
        """One pixel of the ribbon: of a lane, clear of its letter, or off the middle."""
        column = self.pixels(ago_s, **where)
        share = {"above": 0.3, "anger": 0.46, "neither": 0.46, "happiness": 0.56, "below": 0.7}
        return column[round(share[name] * len(column))]

    def point_at(self, ago_s: float) -> None:
        (canvas,) = self.all("canvas")
        width = canvas.size["width"]
        x = round(width / 2 - width * ago_s / 300)
        ActionChains(self.browser).move_to_element_with_offset(canvas, x, 0).perform()

    def emulate(self, command: str, **fields: Any) -> None:
        self.browser.execute_cdp_cmd(f"Emulation.{command}", fields)

    def prefer(self, scheme: str) -> None:
        self.emulate(
            "setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def server(feed: Feed) -> Iterator[Server]:
    with Server(feed) as server:
        yield server


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    page = Page(browser)
    page.prefer("light")
    browser.get_log("browser")
    yield page
    page.emulate("clearDeviceMetricsOverride")
    errors = [
        line["message"]
        for line in browser.get_log("browser")
        if line["level"] == "SEVERE" and "ERR_" not in line["message"]  # those of a stopped server
    ]
    browser.get("about:blank")  # lets go of the server
    assert not errors


def is_orange(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and red > green + 15 and green > blue


def is_green(pixel: list[int]) -> bool:
    red, green, blue, alpha = pixel
    return alpha == 255 and green > red + 15 and green > blue


def is_grey(pixel: list[int]) -> bool:
    return pixel[3] == 255 and max(pixel[:3]) - min(pixel[:3]) < 25


def test_an_empty_page_says_what_to_do(page: Page, server: Server) -> None:
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


def test_readings_paint_anger_above_happiness_below_and_neither_between(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=100)
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10)
    feed.read("CA-1", 50.0, HAPPY, heard_s=10)
    feed.read("CA-1", 80.0, NEUTRAL, heard_s=10)

    def painted() -> None:
        assert is_orange(page.lane("anger", 87))
        assert is_green(page.lane("happiness", 57))
        assert is_grey(page.lane("neither", 27))

    wait_until(painted)
    white = [255, 255, 255, 255]
    assert page.lane("below", 87) == white
    assert page.lane("above", 57) == white
    assert page.lane("above", 27) == page.lane("below", 27) == white
    assert page.lane("above", 72) == page.lane("below", 72) == white, "silence is hollow"
    assert page.lane("above", 120)[3] == 0, "before the call there is no ribbon"


@pytest.mark.parametrize(("scheme", "sign"), [("light", -1), ("dark", 1)])
def test_the_more_probable_is_darker_in_light_and_brighter_in_dark(
    page: Page, feed: Feed, server: Server, scheme: str, sign: int
) -> None:
    page.prefer(scheme)
    feed.start("CA-1", ago_s=100)
    feed.read("CA-1", 20.0, {"anger": 0.95, "neutral": 0.05, "sadness": 0, "happiness": 0}, 10)
    feed.read("CA-1", 50.0, {"anger": 0.45, "neutral": 0.35, "sadness": 0.2, "happiness": 0}, 10)
    page.open(server)
    wait_until(lambda: is_orange(page.lane("anger", 87)) and is_orange(page.lane("anger", 57)))
    probable, improbable = sum(page.lane("anger", 87)), sum(page.lane("anger", 57))
    assert sign * (probable - improbable) > 40
    shade = page.text("#legend .shade").replace("\n", " ")
    assert shade.startswith("Darker" if scheme == "light" else "Brighter")
    assert "more probable, not more intense" in shade


def test_the_ribbon_moves_with_call_time(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=20)
    feed.read("CA-1", 20.0, ANGRY, heard_s=6)
    page.open(server)
    wait_until(lambda: is_orange(page.lane("anger", 2)))
    wait_until(lambda: page.lane("anger", 2) == [255, 255, 255, 255])
    assert is_orange(page.lane("anger", 7))


def test_pointing_at_the_ribbon_says_it_in_words(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=60)
    feed.read("CA-1", 15.0, ANGRY, heard_s=3)
    feed.end("CA-1")
    page.open(server)
    wait_until(lambda: is_orange(page.lane("anger", 46.5)))
    page.point_at(46.5)
    page.shows("#tip", "12–15 s: sounds angry 0.83, neutral 0.10, happy 0.05, sad 0.02")
    page.point_at(20)
    page.shows("#tip", "40 s: silence")


def test_the_ribbon_is_read_by_keyboard(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=90)
    feed.read("CA-1", 15.0, ANGRY, heard_s=3)
    feed.read("CA-1", 75.0, HAPPY, heard_s=3)
    page.open(server)
    wait_until(lambda: is_green(page.lane("happiness", 16.5)))

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
    assert page.text(".alert .says") == "sounds angry (0.83)"
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


def test_an_alert_says_since_when_by_the_clock(page: Page, feed: Feed, server: Server) -> None:
    call = feed.start("CA-1", ago_s=50)
    feed.alert("CA-1", "firing", since_s=10)
    page.open(server)
    page.shows(".alert .when", time.strftime("%H:%M:%S", time.localtime(call["started_at"] + 10)))


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


def test_a_lapsed_alert_vanishes_and_a_late_repeat_does_not_revive_it(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=50)
    page.open(server)
    pending = feed.alert("CA-1", "pending")
    page.shows(".alert .state", "pending")
    feed.alert("CA-1", "lapsed")
    page.shows("#no-alerts", "No alerts yet")
    feed.tell("alert", pending)
    feed.start("CA-2")
    page.shows(".call .id", "CA-2")
    assert page.all(".alert") == []


def test_alerts_come_newest_first(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA-1", ago_s=100)
    feed.alert("CA-1", "resolved", since_s=10, resolved_at_s=20)
    feed.alert("CA-1", "firing", since_s=60, emotion="happiness", probability=0.71)
    page.open(server)
    page.shows(".alert .says", "sounds happy (0.71)")
    assert page.texts(".alert .letter") == ["H", "A"]
    assert page.text("#announcements") == "", "what was there before is not news"


def test_everything_told_twice_shows_once(page: Page, feed: Feed, server: Server) -> None:
    once = feed.start("CA-1", ago_s=100)
    twice = feed.start("CA-2", started_at=once["started_at"])
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10)
    reading = feed.read("CA-2", 20.0, ANGRY, heard_s=10)
    alert = feed.alert("CA-2", "firing", since_s=40)
    feed.tell("call_started", twice)
    feed.tell("reading", reading)
    feed.tell("alert", alert)
    feed.start("CA-3")
    page.shows(".call .id", "CA-3")
    assert page.texts(".call .id") == ["CA-2", "CA-1", "CA-3"]
    assert len(page.all(".alert")) == 1
    assert len(page.all("#announcements p")) == 1
    wait_until(lambda: is_orange(page.lane("anger", 87, call=0)))
    once_drawn, twice_drawn = page.lane("anger", 87, call=1), page.lane("anger", 87, call=0)
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


def test_the_past_of_a_call_is_fetched(page: Page, feed: Feed, server: Server) -> None:
    feed.start("CA/1 ?#", ago_s=100)
    feed.read("CA/1 ?#", 20.0, ANGRY, heard_s=10)
    feed.read("CA/1 ?#", 90.0, NEUTRAL, heard_s=5)
    page.open(server)
    wait_until(lambda: is_orange(page.lane("anger", 87)))


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
    assert page.text(".call.ended .time") == "4:50"


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


def test_a_page_long_without_its_service_says_that_it_is_stale(page: Page, feed: Feed) -> None:
    feed.start("CA-1", ago_s=50)
    with Server(feed) as server:
        page.open(server)
        page.shows(".call .id", "CA-1")
    wait_until(lambda: page.connection == "Reconnecting")
    frozen = page.text(".call .time")
    wait_until(lambda: page.connection.startswith("Stale: as of "), within_s=20)
    assert page.text(".call .time") == frozen, "nobody knows that the call still lasts"


def test_a_connection_that_fell_silent_is_made_again(
    page: Page, feed: Feed, server: Server
) -> None:
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
    feed.tell("resync", {})
    wait_until(lambda: page.texts(".call .id") == ["CA-2"])
    assert page.connection == "Live"


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


def test_an_agent_who_is_analysed_has_a_ribbon_and_the_page_says_so(
    page: Page, feed: Feed, server: Server
) -> None:
    feed.start("CA-1", ago_s=100)
    page.open(server)
    feed.read("CA-1", 20.0, ANGRY, heard_s=10, track="agent")
    page.shows("footer", "the agent is analysed too")
    wait_until(lambda: is_orange(page.lane("anger", 87, ribbon=1)))
    assert not is_orange(page.lane("anger", 87, ribbon=0))


def test_ages_follow_the_clock_of_the_service(page: Page, feed: Feed, server: Server) -> None:
    feed.ahead_s = -3600
    feed.start("CA-1", ago_s=30)
    page.open(server)
    wait_until(lambda: page.text(".call .time").startswith("0:3"))


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
    assert is_orange(page.lane("anger", 5))
    assert is_orange(page.lane("anger", 100))


CONTRASTS = """
    const rgba = (text) => {
        const n = text.match(/[\\d.]+/g).map(Number);
        return [n[0], n[1], n[2], n[3] ?? 1];
    };
    const light = ([r, g, b]) => [r, g, b]
        .map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const color = rgba(getComputedStyle(e).backgroundColor);
            if (color[3] > 0) return color;
        }
        throw new Error("no background");
    };
    const texts = [...document.querySelectorAll("body *")].filter((e) =>
        e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
    return texts.map((e) => {
        const lights = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
        return [e.innerText, (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05)];
    });
"""


def busy(feed: Feed) -> None:
    feed.start("CA-1", ago_s=200, metadata={"queue": "billing"})
    feed.read("CA-1", 190.0, ANGRY, heard_s=20)
    feed.alert("CA-1", "firing", since_s=180)
    feed.start("CA-2", ago_s=100)
    feed.read("CA-2", 90.0, HAPPY, heard_s=20)
    feed.alert("CA-2", "firing", since_s=80, emotion="happiness")
    feed.alert("CA-2", "resolved", since_s=20, resolved_at_s=30)
    feed.start("CA-3-" + "x" * 60, ago_s=50, metadata={"a": "y" * 80})
    feed.alert("CA-3-" + "x" * 60, "pending", since_s=40)
    feed.start("CA-4", ago_s=100)
    feed.end("CA-4")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(
    page: Page, feed: Feed, server: Server, scheme: str
) -> None:
    page.prefer(scheme)
    feed.embedded = True
    busy(feed)
    page.open(server)
    wait_until(lambda: len(page.all(".alert")) == 4 and len(page.all(".call")) == 4)
    contrasts = page.browser.execute_script(CONTRASTS)
    assert len(contrasts) > 30
    assert [pair for pair in contrasts if pair[1] < 4.5] == []


def test_a_phone_shows_it_all_without_scrolling_sideways(
    page: Page, feed: Feed, server: Server
) -> None:
    page.emulate(
        "setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True
    )
    busy(feed)
    page.open(server)
    wait_until(lambda: len(page.all(".alert")) == 4 and len(page.all(".call")) == 4)
    script = "return document.documentElement.scrollWidth - innerWidth"
    assert page.browser.execute_script(script) == 0
    wait_until(lambda: is_orange(page.lane("anger", 20)))


def test_a_card_leads_to_its_call(page: Page, feed: Feed, server: Server) -> None:
    for n in range(60):
        feed.start(f"CA-{n}", ago_s=100 - n)
    feed.alert("CA-50", "resolved", resolved_at_s=20)
    page.open(server)
    page.shows(".alert .where", "CA-50")
    (link,) = page.all(".alert a")
    link.click()
    row = page.all(".call:target")
    assert [element.find_element(By.CSS_SELECTOR, ".id").text for element in row] == ["CA-50"]
    in_view = """
        const { top, bottom } = arguments[0].getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
    """
    wait_until(lambda: page.browser.execute_script(in_view, row[0]))
