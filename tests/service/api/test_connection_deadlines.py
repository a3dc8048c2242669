import asyncio
import json
import time
from dataclasses import replace
from functools import partial

import pytest

from service.api import connection as connection
from service.api.connection import Connection
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiohook.state import DEADLINES, SessionDeadlines
from tests.limits import ENOUGH_S
from tests.service.api.audiohook import MEDIA, audiohook_session, hooked, opening
from tests.service.api.clients import leaves_nothing, until_close
from tests.service.api.conftest import Running
from tests.service.api.simulated_clock import timed_session

pytestmark = pytest.mark.usefixtures("no_error_logged")


SHORT = SessionDeadlines(open_s=0.4, closed_s=0.4, close_s=0.4, leave_s=0.4)


@pytest.fixture
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = partial(AudioHookBridge, deadlines=SHORT)
    monkeypatch.setattr("service.telephony.audiohook.provider.AudioHookBridge", bridge)


@pytest.mark.usefixtures("short_deadlines")
def test_a_client_that_opens_too_late_is_asked_to_close_and_then_disconnected(
    service: Running,
) -> None:
    began = time.monotonic()  # measured here, not when a busy client reads
    with leaves_nothing(service), audiohook_session(service) as session:
        messages, code = until_close(session.socket)
        assert 0.8 <= time.monotonic() - began < 10  # one deadline, and then the next
    (message,) = messages
    assert (message["type"], message["parameters"]["reason"]) == ("disconnect", "error")
    assert "got no open" in message["parameters"]["info"]
    assert code == 1008


@pytest.mark.usefixtures("short_deadlines")
def test_a_session_that_lasts_has_no_deadline_until_it_ends(service: Running) -> None:
    with leaves_nothing(service), audiohook_session(service) as session:
        session.open("long")
        assert json.loads(session.socket.recv(timeout=ENOUGH_S))["type"] == "opened"
        with pytest.raises(TimeoutError):
            session.socket.recv(timeout=1)
        session.send("close", reason="end")
        messages, code = until_close(session.socket)  # the client does not disconnect
    assert [m["type"] for m in messages] == ["event", "closed"]
    assert code == 1000
    assert service.get("/v1/calls/long").json()["reason"] == "end"


@pytest.mark.parametrize("begins_ms", [6, 7])
def test_a_deadline_is_kept_though_the_clock_is_coarse(service: Running, begins_ms: int) -> None:
    # At the deadline the clock may show less by a rounding error.
    assert (begins_ms / 1000 + 0.4 > (begins_ms + 400) / 1000) is (begins_ms == 7)
    transport = timed_session(service.services, begins_ms=begins_ms, deadlines=SHORT)
    ((at_s, message),) = transport.replies
    assert at_s == 0.4
    assert message["parameters"]["info"] == "got no open, expected one"
    assert transport.closed == (0.8, 1008)


@pytest.mark.parametrize(
    ("message", "reason"),
    [("?", "expected"), (hooked(1, "open", **opening("late", MEDIA)), "stopping")],
    ids=["broken", "refused"],
)
def test_a_client_that_is_asked_to_close_late_has_the_full_time_to_do_so(
    service: Running, message: str, reason: str
) -> None:
    services = replace(service.services, stopping=asyncio.Event())
    services.stopping.set()
    within_s = DEADLINES.close_s
    for sent_s in (1.0, 9.0):
        transport = timed_session(services, (sent_s, message))
        ((at_s, reply),) = transport.replies
        assert (at_s, reply["type"]) == (sent_s, "disconnect")
        assert reason in reply["parameters"]["info"]
        assert transport.closed is not None
        assert transport.closed[0] == sent_s + within_s


def test_a_client_that_sends_now_and_then_is_not_idle(service: Running) -> None:
    idle_s = service.services.settings.idle_s
    beats = [(at * idle_s * 0.9, hooked(at + 1, "ping")) for at in range(1, 5)]
    transport = timed_session(service.services, (0.0, hooked(1, "open", **opening("rare"))), *beats)
    assert [reply["type"] for _, reply in transport.replies] == [
        "opened",
        *["pong"] * 4,
        "disconnect",
    ]
    assert transport.replies[-1][0] == pytest.approx(beats[-1][0] + idle_s)


def test_an_end_requested_at_a_deadline_takes_precedence(service: Running) -> None:
    def stop(connection: Connection) -> None:
        due_s = DEADLINES.open_s
        loop = asyncio.get_running_loop()
        # One turn after the deadline has passed and before the connection has acted on it.
        loop.call_at(due_s, loop.call_soon, connection.end, "service stopping")

    transport = timed_session(service.services, meanwhile=stop)
    ((_, message),) = transport.replies
    assert "stopping" in message["parameters"]["info"]
    assert transport.closed is not None
