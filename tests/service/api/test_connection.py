import asyncio
import contextlib
import json
import logging
import selectors
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from service.api import connection as connection
from service.api.connection import Connection
from service.api.services import Services
from service.api.transport import TransportClosed
from service.calls.stream import CallStream
from service.events import Audio, Gap, Track
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.audiohook.state import DEADLINES, SessionDeadlines
from service.telephony.native.bridge import NativeBridge
from tests.service.api.conftest import (
    SPOKEN,
    STOP,
    Running,
    call,
    readings,
    ready,
    running,
    speak,
    start,
    told,
    until,
)


def closed(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """What still comes, and the code that the connection closes with."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(socket.recv(timeout=10)))
    assert socket.close_code is not None
    return messages, socket.close_code  # 1006 if it broke off


UPGRADE = (
    b"GET /calls/native HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, BINARY = 0x81, 0x82


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("!BBH", kind, 0x80 | 126, len(data)) + bytes(4) + data  # masked with zeros


def raw(server: Running) -> sockets.socket:
    """A connection that may be treated badly; nobody has answered yet."""
    host, port = server.address.split(":")
    socket = sockets.create_connection((host, int(port)), timeout=10)
    socket.sendall(UPGRADE)
    return socket


def reset(socket: sockets.socket) -> None:
    """The connection is gone at once, as when a machine loses its power and comes back."""
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close()


@contextlib.contextmanager
def nothing_left(server: Running) -> Iterator[None]:
    """After the block no call is live and no task runs that did not run before."""
    server.get("/healthz")
    before = server.tasks()
    yield
    until(lambda: len(server.services.calls) == 0)
    until(lambda: server.tasks() <= before)


@pytest.fixture(autouse=True)
def _faultless(service: Running, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, nothing is logged as an error."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record.getMessage() for record in caplog.records] == []


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    """A service that waits for nobody."""
    with running(start_within_s=0.6, idle_s=0.7, batch_max=1) as server:
        yield ready(server)


# From start to stop.


def test_a_call_is_told_all_and_then_that_it_is_over(service: Running) -> None:
    with nothing_left(service), service.socket() as socket:
        socket.send(start("whole"))
        speak(socket)
        socket.send(STOP)
        messages, code = closed(socket)
    assert code == 1000
    assert (messages[0]["type"], messages[-1]["type"]) == ("started", "stopped")
    summary = messages[-1]["summary"]
    assert summary["readings"] == len(readings(messages)) > 2
    assert summary["duration_s"] == len(SPOKEN) / 8000
    fired = [m for m in messages if m["type"] == "alert" and m["state"] == "firing"]
    assert summary["alerts"] == len(fired) == 2
    assert summary["dropped"] == 0


def test_readings_come_while_the_call_lasts(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("live"))
        speak(socket)
        assert told(socket, "reading")[-1]["number"] == 1
        assert service.get("/readyz").status_code == 200
        socket.send(STOP)
        told(socket)


def test_a_call_without_audio_is_a_call(service: Running) -> None:
    with service.socket() as socket:
        socket.send(start("mute"))
        socket.send(STOP)
        messages, code = closed(socket)
    assert [message["type"] for message in messages] == ["started", "stopped"]
    assert messages[-1]["summary"] == {
        "duration_s": 0,
        "speech_s": 0,
        "readings": 0,
        "alerts": 0,
        "dropped": 0,
    }
    assert code == 1000


# What the client does wrong.


@pytest.mark.parametrize(
    ("message", "error", "code"),
    [
        (start("x", encoding="opus"), "bad_start", 1003),
        (start("x", sample_rate=96_000), "bad_start", 1008),
        (start("x", tracks=[]), "bad_start", 1008),
        (start(""), "bad_start", 1008),
        (STOP, "not_started", 1008),
    ],
    ids=["encoding", "rate", "tracks", "call_id", "stop first"],
)
def test_a_beginning_that_is_none_ends_the_connection(
    service: Running, message: str, error: str, code: int
) -> None:
    with nothing_left(service), service.socket() as socket:
        socket.send(message)
        messages, close_code = closed(socket)
    assert [(m["type"], m["code"], m["fatal"]) for m in messages] == [("error", error, True)]
    assert close_code == code


def test_what_is_wrong_in_the_middle_is_answered_and_the_call_goes_on(service: Running) -> None:
    plain = call(service, "plain")
    with nothing_left(service), service.socket() as socket:
        socket.send(start("patient"))
        socket.send("{no json")
        socket.send('{"type": "song"}')
        socket.send(start("patient"))
        socket.send("audio as text " * 1000)
        socket.send("x" * 70_000)
        socket.send(b"")
        speak(socket)
        socket.send(STOP)
        messages, code = closed(socket)
    assert code == 1000
    errors = [m["code"] for m in messages if m["type"] == "error"]
    assert errors == ["bad_json", "unknown_type", "already_started", "bad_json", "text_too_large"]
    assert [m["probabilities"] for m in readings(messages)] == [
        m["probabilities"] for m in readings(plain)
    ]


def test_frames_that_are_too_large_are_time_that_passed(service: Running) -> None:
    with nothing_left(service), service.socket() as socket:
        socket.send(start("gross"))
        for _ in range(3):
            socket.send(bytes(1_048_576))
        speak(socket)
        socket.send(STOP)
        messages, code = closed(socket)
    assert code == 1000
    assert [m["code"] for m in messages if m["type"] == "error"] == ["frame_too_large"] * 3
    passed_s = 3 * 1_048_576 / 8000
    assert messages[-1]["summary"]["duration_s"] == pytest.approx(
        passed_s + len(SPOKEN) / 8000, abs=0.001
    )
    assert all(reading["start_s"] > passed_s for reading in readings(messages))
    assert len(readings(messages)) > 2


def test_a_frame_beyond_all_bounds_closes_the_connection(service: Running) -> None:
    with nothing_left(service), service.socket() as socket:
        socket.send(start("monstrous"))
        told(socket, "started")
        with contextlib.suppress(ConnectionClosed):  # while it is still being sent
            socket.send(bytes(service.services.settings.ws_max_size + 1))
        _, code = closed(socket)
    assert code == 1009


def test_audio_before_start_is_heard(service: Running) -> None:
    plain = call(service, "in order")
    with service.socket() as socket:
        speak(socket, SPOKEN[:40_000])
        socket.send(start("late"))
        speak(socket, SPOKEN[40_000:])
        socket.send(STOP)
        assert readings(told(socket)) == readings(plain)


# Clients that go, or do not read, or say nothing.


@pytest.mark.parametrize("speaking", [False, True])
def test_a_client_that_closes_without_stop_ends_its_call(service: Running, speaking: bool) -> None:
    call_id = f"closed {speaking}"
    with nothing_left(service), service.socket() as socket:
        socket.send(start(call_id))
        told(socket, "started")
        if speaking:
            speak(socket)
    until(lambda: service.get(f"/calls/{call_id}").json()["state"] == "ended")
    view = service.get(f"/calls/{call_id}").json()
    assert view["reason"] == "disconnected"
    assert bool(view["readings"]) is speaking  # what was heard is read


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        frame(TEXT, start("reset").encode()),
        frame(TEXT, start("reset").encode()) + frame(BINARY, bytes(8000)) * 5,
        frame(TEXT, start("reset").encode()) + frame(BINARY, bytes(8000))[:100],
        frame(TEXT, start("reset").encode())[:20],
    ],
    ids=["connected", "started", "speaking", "in a frame", "in its start"],
)
def test_a_client_that_breaks_off_leaves_nothing(service: Running, sent: bytes) -> None:
    with nothing_left(service):
        for _ in range(10):
            socket = raw(service)
            assert socket.recv(4096).startswith(b"HTTP/1.1 101 ")
            socket.sendall(sent)
            reset(socket)


def test_a_client_that_is_gone_before_it_is_answered_leaves_nothing(service: Running) -> None:
    with nothing_left(service):
        for _ in range(50):
            reset(raw(service))


class Deaf:
    """A transport of these messages; nobody takes an answer."""

    def __init__(self, *messages: str | bytes) -> None:
        self.messages = [*messages]

    async def receive(self) -> str | bytes | None:
        return self.messages.pop(0) if self.messages else None

    async def send(self, message: str | bytes) -> None:
        raise TransportClosed

    async def close(self, code: int, reason: str) -> None:
        raise TransportClosed


async def test_a_client_that_goes_while_it_is_answered_is_no_fault(service: Running) -> None:
    transport = Deaf(start("gone"), "{", "{")
    await Connection(transport, NativeBridge(frozenset(Track)), "native", service.services).hold()
    assert len(service.services.calls) == 0
    until(lambda: not service.services.connections)


def test_a_connection_without_a_start_is_closed(impatient: Running) -> None:
    service = impatient
    with nothing_left(service), service.socket() as silent, service.socket() as talking:
        for _ in range(5):
            talking.send(b"\xff" * 160)  # audio, but never a start
        for socket in (silent, talking):
            messages, code = closed(socket)
            assert [(m["code"], m["message"]) for m in messages] == [
                ("not_started", "got no start, expected one within 0.6 s")
            ]
            assert code == 1008


def test_a_call_that_falls_silent_for_good_is_ended(impatient: Running) -> None:
    with nothing_left(impatient), impatient.socket() as socket:
        socket.send(start("fell asleep"))
        speak(socket)
        messages, code = closed(socket)
    assert code == 1000
    assert messages[-1]["reason"] == "quiet"
    assert messages[-1]["summary"]["readings"] == len(readings(messages)) > 2


def test_a_client_that_never_reads_is_heard_to_the_end_and_then_left(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LAST_WORDS_S", 0.3)
    host, port = service.address.split(":")
    deaf = sockets.socket()
    deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    deaf.connect((host, int(port)))
    call_id = "\N{PILE OF POO}" * 128  # makes answers long
    service.get("/healthz")
    before = service.tasks()
    with service.socket(sock=deaf, close_timeout=0.1, max_queue=1) as socket:
        socket.send(start(call_id))
        again = start(call_id)
        for _ in range(6_000):  # answers for more than the buffers on the way can hold
            socket.send(again)
        speak(socket)
        socket.send(STOP)
        until(lambda: service.get(f"/calls/{call_id}").json()["state"] == "ended")
        view = service.get(f"/calls/{call_id}").json()
        assert view["reason"] == "stop"
        assert len(view["readings"]) > 2
        until(lambda: len(service.services.calls) == 0)
        until(lambda: service.tasks() <= before)  # though the client is still there


def test_a_slow_reader_gets_the_newest_answers_and_the_last_word(service: Running) -> None:
    host, port = service.address.split(":")
    slow = sockets.socket()
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    slow.connect((host, int(port)))
    call_id = "\N{SNAIL}" * 128
    with service.socket(sock=slow, max_queue=1) as socket:
        socket.send(start(call_id))
        again = start(call_id)
        for _ in range(6_000):
            socket.send(again)
        socket.send(STOP)
        until(lambda: service.get(f"/calls/{call_id}").json()["state"] == "ended")
        messages, code = closed(socket)
    assert messages[0]["type"] == "started"
    assert messages[-1]["type"] == "stopped"
    assert len(messages) < 6_000, "none was dropped: the buffers held them all"
    assert code == 1000


# What reaches no other.


async def test_a_flood_of_messages_lets_others_run(service: Running) -> None:
    """The messages are there already: only the connection itself can give way."""
    floods = 500
    turns = 0
    transport = Deaf(start("flood"), *["{"] * floods, STOP)

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    neighbour = asyncio.create_task(other())
    await Connection(transport, NativeBridge(frozenset(Track)), "native", service.services).hold()
    neighbour.cancel()
    assert transport.messages == []
    assert turns >= floods


def test_a_fault_in_one_call_ends_that_call_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear = CallStream.hear

    async def faulty(self: CallStream, fact: Audio | Gap) -> None:
        if self.call.started.call_id == "cursed":
            raise ZeroDivisionError("a fault of ours")
        await hear(self, fact)

    alone = call(service, "alone")
    failures = service.metric("kanjo_connection_failures_total")
    monkeypatch.setattr(CallStream, "hear", faulty)
    with nothing_left(service), service.socket() as good, service.socket() as bad:
        good.send(start("blessed"))
        speak(good, SPOKEN[:32_000])
        bad.send(start("cursed"))
        speak(bad)
        messages, code = closed(bad)
        speak(good, SPOKEN[32_000:])
        good.send(STOP)
        assert [m["probabilities"] for m in readings(told(good))] == [
            m["probabilities"] for m in readings(alone)
        ]
    assert code == 1011
    assert (messages[-1]["code"], messages[-1]["fatal"]) == ("internal", True)
    assert "ZeroDivisionError" not in json.dumps(messages)
    assert service.metric("kanjo_connection_failures_total") == failures + 1
    until(lambda: service.get("/calls/cursed").json()["state"] == "ended")
    assert service.get("/calls/cursed").json()["reason"] == "failed"
    assert service.get("/calls/blessed").json()["reason"] == "stop"
    caplog.clear()


def test_a_fault_in_what_is_read_ends_that_call_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    with nothing_left(service), monkeypatch.context() as patch, service.socket() as socket:
        patch.setattr(CallStream, "_hear_reading", faulty)
        socket.send(start("unreadable"))
        speak(socket)
        messages, code = closed(socket)
    assert code == 1011
    assert messages[-1]["code"] == "internal"
    assert call(service, "unreadable")[-1]["reason"] == "stop"
    caplog.clear()


# A dialect that says goodbye before it goes.

SESSION = "11111111-2222-3333-4444-555555555555"


MEDIA = {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}


def hooked(seq: int, kind: str, **parameters: Any) -> str:
    message = {"version": "2", "type": kind, "id": SESSION, "seq": seq, "serverseq": 0}
    return json.dumps({**message, "position": "PT0S", "parameters": parameters})


def opening(connection: str, *media: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `open`."""
    wanted = {"organizationId": "o", "conversationId": connection, "participant": {"id": "p"}}
    return {**wanted, "media": media}


class AudioHook:
    """One session, by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seq = 0

    def say(self, kind: str, **parameters: Any) -> None:
        self.seq += 1
        self.socket.send(hooked(self.seq, kind, **parameters))

    def open(self, connection: str) -> None:
        self.say("open", **opening(connection, MEDIA))


@contextlib.contextmanager
def audiohook_session(service: Running) -> Iterator[AudioHook]:
    headers = {"Audiohook-Session-Id": SESSION, "Audiohook-Organization-Id": "o"}
    with service.socket("/calls/audiohook", additional_headers=headers) as socket:
        yield AudioHook(socket)


HASTY = SessionDeadlines(0.4, 0.4, 0.4, 0.4)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = partial(AudioHookBridge, deadlines=HASTY)
    monkeypatch.setattr("service.telephony.audiohook.provider.AudioHookBridge", bridge)


@pytest.mark.usefixtures("hasty")
def test_who_does_not_open_in_time_is_asked_to_leave_and_then_left(service: Running) -> None:
    began = time.monotonic()  # here, not when a busy client gets round to it
    with nothing_left(service), audiohook_session(service) as session:
        messages, code = closed(session.socket)
        assert 0.8 <= time.monotonic() - began < 10  # one deadline, and then the next
    (message,) = messages
    assert (message["type"], message["parameters"]["reason"]) == ("disconnect", "error")
    assert "got no open" in message["parameters"]["info"]
    assert code == 1008


@pytest.mark.usefixtures("hasty")
def test_a_session_that_lasts_has_no_deadline_until_it_ends(service: Running) -> None:
    with nothing_left(service), audiohook_session(service) as session:
        session.open("patient")
        assert json.loads(session.socket.recv(timeout=10))["type"] == "opened"
        with pytest.raises(TimeoutError):
            session.socket.recv(timeout=1)
        session.say("close", reason="end")
        messages, code = closed(session.socket)  # the client does not go
    assert [m["type"] for m in messages] == ["event", "closed"]
    assert code == 1000
    assert service.get("/calls/patient").json()["reason"] == "end"


class Leaping(asyncio.SelectorEventLoop):
    """Its clock shows whole milliseconds, as uvloop's does, and leaps to the next timer."""

    def __init__(self, begins_ms: int) -> None:
        loop = self

        class Leap(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                assert timeout is not None, "nothing will ever happen"
                loop.turns += 1
                assert loop.turns < 1000, "time stands still"
                loop.now_ms += round(timeout * 1000)
                return super().select(0)

        self.now_ms = begins_ms
        self.turns = 0
        super().__init__(Leap())

    def time(self) -> float:
        return self.now_ms / 1000


class Slow:
    """A transport whose client says these messages, each at its time, and then nothing."""

    def __init__(self, *said: tuple[float, str]) -> None:
        self.said = [*said]
        self.answers: list[tuple[float, dict[str, Any]]] = []
        self.closed: tuple[float, int] | None = None
        self.began_s = 0.0

    @property
    def now_s(self) -> float:
        return round(asyncio.get_running_loop().time() - self.began_s, 3)

    async def receive(self) -> str:
        if not self.said:
            await asyncio.Future()
        await asyncio.sleep(self.said[0][0] - self.now_s)
        return self.said.pop(0)[1]

    async def send(self, message: str | bytes) -> None:
        self.answers.append((self.now_s, json.loads(message)))

    async def close(self, code: int, reason: str) -> None:
        self.closed = self.now_s, code


def slowly(
    services: Services,
    *said: tuple[float, str],
    begins_ms: int = 0,
    meanwhile: Callable[[Connection], None] = lambda _: None,
    deadlines: SessionDeadlines = DEADLINES,
) -> Slow:
    """A session at a clock of its own, to its end; `meanwhile` is called as it begins."""
    services = replace(services, conversations=set())  # not for the service's own clock to end
    transport = Slow(*said)
    faults: list[Any] = []

    async def hold() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, fault: faults.append(fault))
        transport.began_s = loop.time()
        held = Connection(
            transport, AudioHookBridge(SESSION, "o", deadlines=deadlines), "audiohook", services
        )
        meanwhile(held)
        await held.hold()

    with asyncio.Runner(loop_factory=lambda: Leaping(begins_ms)) as runner:
        runner.run(hold())
    assert faults == []
    return transport


@pytest.mark.parametrize("begins_ms", [6, 7])
def test_a_deadline_is_kept_whatever_a_coarse_clock_makes_of_it(
    service: Running, begins_ms: int
) -> None:
    # When its time has come the clock may show a rounding error less.
    assert (begins_ms / 1000 + 0.4 > (begins_ms + 400) / 1000) is (begins_ms == 7)
    transport = slowly(service.services, begins_ms=begins_ms, deadlines=HASTY)
    ((at_s, message),) = transport.answers
    assert at_s == 0.4
    assert message["parameters"]["info"] == "got no open, expected one"
    assert transport.closed == (0.8, 1008)


@pytest.mark.parametrize(
    ("message", "reason"),
    [("?", "expected"), (hooked(1, "open", **opening("late", MEDIA)), "stopping")],
    ids=["broken", "refused"],
)
def test_who_is_asked_to_leave_late_has_as_long_as_others(
    service: Running, message: str, reason: str
) -> None:
    services = replace(service.services, stopping=asyncio.Event())
    services.stopping.set()
    within_s = SessionDeadlines().close_s
    for said_s in (1.0, 9.0):
        transport = slowly(services, (said_s, message))
        ((at_s, answer),) = transport.answers
        assert (at_s, answer["type"]) == (said_s, "disconnect")
        assert reason in answer["parameters"]["info"]
        assert transport.closed is not None
        assert transport.closed[0] == said_s + within_s


def test_who_speaks_now_and_then_is_not_quiet(service: Running) -> None:
    idle_s = service.services.settings.idle_s
    beats = [(at * idle_s * 0.9, hooked(at + 1, "ping")) for at in range(1, 5)]
    transport = slowly(service.services, (0.0, hooked(1, "open", **opening("rare"))), *beats)
    assert [answer["type"] for _, answer in transport.answers] == [
        "opened",
        *["pong"] * 4,
        "disconnect",
    ]
    assert transport.answers[-1][0] == pytest.approx(beats[-1][0] + idle_s)


def test_an_end_that_comes_with_a_deadline_is_an_end(service: Running) -> None:
    def stop(held: Connection) -> None:
        due_s = SessionDeadlines().open_s
        loop = asyncio.get_running_loop()
        # One turn later: the deadline has passed, and has not been dealt with.
        loop.call_at(due_s, loop.call_soon, held.end, "service stopping")

    transport = slowly(service.services, meanwhile=stop)
    ((_, message),) = transport.answers
    assert "stopping" in message["parameters"]["info"]
    assert transport.closed is not None


def test_a_fault_of_ours_is_told_in_a_dialect_that_has_words_for_it(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    with nothing_left(service), audiohook_session(service) as session:
        monkeypatch.setattr(CallStream, "hear", faulty)
        session.open("cursed session")
        assert json.loads(session.socket.recv(timeout=10))["type"] == "opened"
        session.socket.send(bytes(1600))
        message = json.loads(session.socket.recv(timeout=10))
        assert (message["type"], message["parameters"]["reason"]) == ("disconnect", "error")
        session.say("close", reason="disconnect")
        assert json.loads(session.socket.recv(timeout=10))["type"] == "closed"
    assert service.get("/calls/cursed session").json()["reason"] == "failed"
    caplog.clear()


async def test_a_dialect_that_fails_even_at_its_last_words_is_closed(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(NativeBridge):
        def replies(self) -> list[str]:
            raise ZeroDivisionError("a fault of ours")

    closes: list[int] = []

    class Wire(Deaf):
        async def close(self, code: int, reason: str) -> None:
            closes.append(code)

    failures = service.metric("kanjo_connection_failures_total")
    transport = Wire("{", *["{"] * 1000)
    await Connection(transport, Faulty(frozenset(Track)), "native", service.services).hold()
    assert closes == [1011]
    assert service.metric("kanjo_connection_failures_total") == failures + 2
    caplog.clear()


def test_what_was_wrong_is_counted_by_bridge_and_code(service: Running) -> None:
    with service.socket("/calls/twilio") as socket:
        socket.send("{")
        socket.send("{")
        socket.send(b"audio")
    name = 'kanjo_message_errors_total{code="%s",provider="twilio"}'
    until(lambda: not service.services.connections)
    assert service.metric(name % "bad_json") == 2
    assert service.metric(name % "unexpected_binary") == 1
