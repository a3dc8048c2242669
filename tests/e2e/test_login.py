"""The real service with access closed: a browser that logs in, and our own clients with tokens."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.chromium import MISSING, chromium
from tests.e2e.service import Service
from tests.limits import ENOUGH_S
from tests.paths import ROOT, SAMPLES

ANGRY = str(SAMPLES / "sounds-angry.flac")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("login")


@pytest.fixture(scope="module")
def kanjo(state: Path) -> Iterator[Service]:
    """A service beyond loopback, on which nothing is set up but that it may listen there."""
    with Service(state, batch_max=4, host="0.0.0.0", freeswitch_password="b" * 20) as service:
        yield service


def command(kanjo: Service, state: Path, *arguments: str, **environ: str) -> str:
    own = {"KANJO_STATE_DIR": str(state / "var"), "KANJO_PORT": str(kanjo.port)}
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **own, **environ},
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


def first_link(kanjo: Service) -> str:
    (link,) = re.findall(r"url=(http://\S+#login=[\w-]+)", kanjo.log.replace("'", ""))
    return str(link)


@pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's chromium: {MISSING}")
def test_a_browser_logs_in_by_a_link_once_and_out(kanjo: Service, state: Path) -> None:
    first = first_link(kanjo)
    expect.set_options(timeout=1000 * ENOUGH_S)
    with chromium() as browser:
        ours, strangers = (browser.new_context().new_page() for _ in range(2))
        ours.goto(kanjo.url)
        expect(ours.locator("#login")).to_be_visible()
        expect(ours.locator("#connection")).to_have_text("Not logged in")
        expect(ours.locator("#needs-title")).to_have_count(0)

        ours.goto(first)
        expect(ours.locator("#connection")).to_have_text("Live")
        assert "login=" not in ours.url
        expect(ours.locator("#login")).to_have_count(0)
        expect(ours.locator("#needs-title")).to_be_visible()
        (cookie,) = ours.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert ours.evaluate("document.cookie") == ""

        strangers.goto(first)
        expect(strangers.locator("#login-problem")).to_contain_text("was used, has expired")
        pasted = command(kanjo, state, "login-link", "--role", "viewer", "--name", "Ada")
        strangers.fill("#login-code", pasted)
        strangers.click("#login-form button")
        expect(strangers.locator("#connection")).to_have_text("Live")

        assert upload(ours) != 403
        assert upload(strangers) == 403  # a viewer

        ours.click(".choices summary")
        ours.click("#log-out")
        expect(ours.locator("#login")).to_be_visible()
        assert ours.context.cookies() == []
        secret = {cookie["name"]: cookie["value"]}
        assert (
            httpx.get(f"{kanjo.url}/v1/calls", cookies=secret, trust_env=False).status_code == 401
        )
        expect(strangers.locator("#connection")).to_have_text("Live")


def upload(page: Page) -> int:
    """Posts an empty form from the page and returns the status of the answer."""
    script = """fetch("classify", { method: "POST", body: new FormData() }).then((a) => a.status)"""
    return int(page.evaluate(script))


def test_a_cookie_alone_lets_no_other_page_change_anything(kanjo: Service, state: Path) -> None:
    code = command(kanjo, state, "login-link").partition("=")[2]
    with httpx.Client(base_url=kanjo.url, trust_env=False) as client:
        login = client.post("/login", headers={"X-Kanjo-Login": code})
        assert login.status_code == 204
        assert login.headers["cache-control"] == "no-store"
        assert client.get("/v1/calls").status_code == 200
        for origin in ("http://evil.example", f"http://127.0.0.1:{kanjo.port + 1}", "null", None):
            headers = {"Origin": origin} if origin else {}
            assert client.post("/classify", headers=headers).status_code == 403, origin
            assert client.post("/logout", headers=headers).status_code == 403, origin
        assert client.get("/v1/calls").status_code == 200
        assert client.post("/logout", headers={"Origin": kanjo.url}).status_code == 204
        assert client.get("/v1/calls").status_code == 401


def test_our_own_clients_send_a_token(kanjo: Service, state: Path) -> None:
    bridge = command(kanjo, state, "token", "create", "calls", "--role", "bridge")
    operator = command(kanjo, state, "token", "create", "files", "--role", "operator")
    time.sleep(1)
    played = command(kanjo, state, "replay", ANGRY, "--speed", "20", KANJO_TOKEN=bridge)
    assert re.search(r"^errors +none$", played, re.MULTILINE)
    assert command(kanjo, state, "classify", ANGRY, "--url", kanjo.url, KANJO_TOKEN=operator)
    headers = {"Authorization": f"Bearer {operator}"}
    calls = httpx.get(f"{kanjo.url}/v1/calls", headers=headers, trust_env=False).json()["calls"]
    assert len(calls) == 1
    command(kanjo, state, "token", "revoke", "files")
    time.sleep(1)  # as the README says
    answer = httpx.get(f"{kanjo.url}/v1/calls", headers=headers, trust_env=False)
    assert answer.status_code == 401


def test_a_start_says_who_gets_in(kanjo: Service, tmp_path: Path) -> None:
    assert kanjo.log.count("access_closed") == 1
    for secret in ("kanjo_", "Bearer"):
        assert secret not in kanjo.log
    with Service(tmp_path, batch_max=1) as local:
        assert "access_open" in local.log
        assert "login_link" not in local.log
