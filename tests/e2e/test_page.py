"""Supervisors at the page while angry calls are played at the real service, with real Redis."""

import csv
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.access.database import AccessDatabase
from service.access.roles import Role
from service.settings import Settings
from tests.e2e.chromium import MISSING, chromium
from tests.e2e.proxy import Proxy
from tests.limits import ENOUGH_S
from tests.redis_server import RedisServer
from tests.service.api.conftest import ANGRY, USUAL, Running, ready, speak, start, until

FACTS = {"caller_number": "+49 30 1234567", "queue": "billing", "agent": "Ann Lee"}
FIRES_WITHIN = 12 * 8000  # samples of the recording
SUPERVISORS = {
    "Ada": Role.OPERATOR,
    "Ben": Role.OPERATOR,
    "Cem": Role.ADMIN,
    "Vic": Role.VIEWER,
}

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's chromium: {MISSING}")


class Stage:
    """The service with real Redis, its people, and a browser; a test may stop and start each."""

    def __init__(self, state: Path, redis: RedisServer, browser: Browser) -> None:
        self.redis = redis
        self.browser = browser
        self.database = AccessDatabase(state / "access.sqlite3")
        self._settings = {**USUAL, "state_dir": state, "redis_url": redis.url}
        self.port = 0  # it keeps the first one

    def start(self) -> None:
        self.server = Running(Settings.model_validate(self._settings))
        self.server.config.port = self.port
        self.server.thread.start()
        until(lambda: self.server.started)
        ready(self.server)
        self.port = int(self.server.address.rpartition(":")[2])

    def stop(self) -> None:
        self.server.should_exit = True
        self.server.thread.join()

    def log_in(self, name: str, address: str) -> Page:
        """Returns the page of a person at the service, or at a proxy's address."""
        code = self.database.create_link(name, SUPERVISORS[name], 600)
        page = self.browser.new_context(locale="en-US").new_page()
        page.goto(f"http://{address}/#login={code}")
        expect(page.locator("#connection")).to_have_text("Live")
        return page


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    expect.set_options(timeout=1000 * ENOUGH_S)
    folder = tmp_path_factory.mktemp("page")
    redis = RedisServer(folder)
    redis.start()
    with chromium() as browser:
        stage = Stage(folder, redis, browser)
        stage.start()
        try:
            yield stage
        finally:
            stage.stop()
            redis.stop()


@contextmanager
def angry_call(server: Running, token: str, call_id: str) -> Iterator[None]:
    """Plays a recording until its alert of anger fires; the call stays live within the block."""
    with server.socket(additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        socket.send(start(call_id, metadata=FACTS))
        speak(socket, ANGRY[:FIRES_WITHIN, 0])
        while not is_firing(json.loads(socket.recv(timeout=ENOUGH_S))):
            pass
        yield


def is_firing(message: Mapping[str, str]) -> bool:
    is_alert = message["type"] == "alert"
    return is_alert and (message["state"], message["emotion"]) == ("firing", "anger")


def go(page: Page, view: str) -> None:
    page.evaluate("(hash) => { location.hash = hash; }", f"#/{view}")


def assert_as_of_the_last_heartbeat(page: Page, proxy: Proxy) -> None:
    """Asserts that the page tells the time at which it heard the last heartbeat.

    It hears each after the proxy has passed it on, and would have heard the next 5 s later.
    """
    told = page.locator("#connection").inner_text()
    possible = [time.strftime("%H:%M:%S", time.localtime(proxy.heartbeat_at + s)) for s in range(5)]
    assert told.removeprefix("As of ")[:8] in possible


def test_what_a_proxy_keeps_back_or_answers_itself_is_told(stage: Stage) -> None:
    with Proxy(stage.port) as proxy:
        page = stage.log_in("Ada", proxy.address)
        connection = page.locator("#connection")

        # The stream of events stays open, and nothing comes in it.
        proxy.stall_streams()
        expect(connection).to_contain_text(re.compile(r"nothing came from the service for 1\d s"))
        assert_as_of_the_last_heartbeat(page, proxy)
        proxy.recover()
        expect(connection).to_have_text("Live")

        # The proxy has lost the service, and says so in HTML.
        proxy.lose_upstream()
        expect(connection).to_contain_text(": /v1/calls answered 502, expected 200")
        assert_as_of_the_last_heartbeat(page, proxy)
        proxy.recover()
        expect(connection).to_have_text("Live")
        page.context.close()


def test_supervisors_share_angry_calls(stage: Stage) -> None:
    token = stage.database.create_token("bridge", Role.BRIDGE, None)
    redis, server = stage.redis, stage.server
    with ExitStack() as stack:
        ada, ben, cem, vic = (stage.log_in(name, server.address) for name in SUPERVISORS)
        for page in (ada, ben, cem, vic):
            expect(page.locator("#nobody")).to_be_visible()

        # An angry call comes up for all; numbers are masked for who may not see them.
        first = ExitStack()
        first.enter_context(angry_call(server, token, "angry-1"))
        for page in (ada, ben, cem):
            expect(page.locator("#needed .name")).to_have_text("+49 30 1234567")
            expect(page.locator("#needed .about")).to_contain_text("queue billing · with Ann Lee")
            expect(page.locator("#needed .wording")).to_contain_text("sounds angry (0.")
        expect(vic.locator("#needed .name")).to_have_text("+49 … 67")
        assert "1234567" not in vic.content()
        expect(vic.locator("#needed button")).to_have_count(0)

        # Two who press at once: one has it, and both say who.
        held: list[Route] = []
        for page in (ada, ben):
            page.route("**/take", lambda route: held.append(route))
            page.click("#needed .take")
            page.mouse.move(1, 1)
        while len(held) < 2:
            ada.wait_for_timeout(20)
        for route in held:
            route.continue_()
        told: dict[str, str] = {}  # what the page says to who pressed in vain, for some seconds
        while not told:
            for name, page in (("Ada", ada), ("Ben", ben)):
                for text in page.locator(".problem").all_inner_texts():
                    if " has it since " in text:
                        told[name] = text
        for page in (ada, ben, vic):
            expect(page.locator("#in-hand .handled")).to_contain_text("taken by ")
            expect(page.locator("#needed li")).to_have_count(0)
        holders = {page.locator("#in-hand .handled").inner_text() for page in (ada, ben, vic)}
        assert len(holders) == 1
        winner = holders.pop().split()[2]
        assert winner in ("Ada", "Ben")
        loser = ben if winner == "Ada" else ada
        assert told.keys() == {"Ada", "Ben"} - {winner}
        assert all(f"{winner} has it since " in text for text in told.values())
        expect(loser.locator("#in-hand .take_over")).to_have_count(0)
        cem.click("#in-hand .take_over")
        expect(loser.locator("#in-hand .handled")).to_contain_text("taken by Cem")
        cem.click("#in-hand .undo")
        expect(loser.locator("#in-hand .handled")).to_contain_text(f"taken by {winner}")

        # Redis and then the service go and come back: told, and nothing lost or doubled.
        redis.stop()
        expect(ada.locator("#connection")).to_contain_text("As of ")
        expect(ada.locator("#connection")).to_contain_text("Redis is away")
        redis.start()
        expect(ada.locator("#connection")).to_have_text("Live")
        first.close()
        stage.stop()
        expect(ben.locator("#connection")).to_contain_text("As of ")
        stage.start()
        for page in (ada, ben):
            expect(page.locator("#connection")).to_have_text("Live")
            expect(page.locator("#strip")).to_contain_text("started again")
            expect(page.locator(".alert .handled")).to_contain_text([f"taken by {winner}"])

        # A mute is no alarm for anybody until it ends.
        stack.enter_context(angry_call(stage.server, token, "angry-2"))
        expect(ada.locator("#needed .name")).to_have_count(1)
        ada.click("#needed .mute summary")
        ada.locator("#needed .mute select[name=what]").select_option(label="queue billing")
        ada.click("#needed .mute form button")
        for page in (ada, ben):
            page.mouse.move(1, 1)
            expect(page.locator("#strip")).to_contain_text("queue billing (by Ada)")
            expect(page.locator("#needs-count")).to_have_text("0")
        ben.click("#strip .mute button")
        expect(ada.locator("#needs-count")).to_have_text("1")

        # A dismissal is a false alarm of the history, and of the table that is downloaded.
        ben.click("#needed .dismiss summary")
        ben.click("#needed [data-why=not_angry]")
        expect(ada.locator("#needs-count")).to_have_text("0")
        go(ada, "history?queue=billing")
        expect(ada.locator("#past-alerts tbody tr")).to_have_count(2)
        expect(ada.locator("#past-alerts")).to_contain_text(
            "dismissed by Ben: does not sound angry"
        )
        expect(ada.locator("#queues tbody tr")).to_contain_text(["50%"])
        with ada.expect_download() as download:
            ada.click("#csv")
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert [row["dismissed_why"] for row in rows] == ["not_angry", ""]
        assert not any("agent" in name or "Ann Lee" in rows[0].values() for name in rows[0])

        # The caller's wish: no more listening; and an admin removes what there was of another call.
        go(ada, "call/angry-2")
        expect(ada.locator(".evidence")).to_contain_text("It fires at 0.")
        ada.click(".stop_listening")
        ada.click(".ending .sure")
        go(ben, "calls?queue=billing")
        expect(ben.locator(".call:not(.ended)")).to_have_count(0)
        go(cem, "call/angry-1")
        cem.click(".purge")
        cem.click(".ending .sure")
        expect(cem.locator("#no-calls")).to_be_visible()
        go(cem, "history")
        expect(cem.locator("#past-alerts")).to_have_count(0)
