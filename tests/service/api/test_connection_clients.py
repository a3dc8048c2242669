import socket as sockets
from collections.abc import Iterator

import pytest

from service.api import connection as connection
from service.api.connection import Connection
from service.events import Track
from service.telephony.native.bridge import NativeBridge
from tests.service.api.clients import (
    BINARY,
    TEXT,
    ScriptedTransport,
    frame,
    leaves_nothing,
    raw_connection,
    reset,
    until_close,
)
from tests.service.api.conftest import (
    STOP,
    Running,
    readings,
    ready,
    receive_until,
    running,
    speak,
    start,
    until,
)

pytestmark = pytest.mark.usefixtures("no_error_logged")


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    """A service with short limits for a start and for silence."""
    with running(start_within_s=0.6, idle_s=0.7, batch_max=1) as server:
        yield ready(server)


@pytest.mark.parametrize("with_audio", [False, True])
def test_a_client_that_closes_without_stop_ends_its_call(
    service: Running, with_audio: bool
) -> None:
    call_id = f"closed {with_audio}"
    with leaves_nothing(service), service.socket() as socket:
        socket.send(start(call_id))
        receive_until(socket, "started")
        if with_audio:
            speak(socket)
    until(lambda: service.get(f"/v1/calls/{call_id}").json()["state"] == "ended")
    view = service.get(f"/v1/calls/{call_id}").json()
    assert view["reason"] == "disconnected"
    assert bool(view["readings"]) is with_audio  # all audio is scored


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        frame(TEXT, start("reset").encode()),
        frame(TEXT, start("reset").encode()) + frame(BINARY, bytes(8000)) * 5,
        frame(TEXT, start("reset").encode()) + frame(BINARY, bytes(8000))[:100],
        frame(TEXT, start("reset").encode())[:20],
    ],
    ids=["connected", "started", "with audio", "in a frame", "in its start"],
)
def test_a_broken_connection_leaves_nothing(service: Running, sent: bytes) -> None:
    with leaves_nothing(service):
        for _ in range(10):
            socket = raw_connection(service)
            assert socket.recv(4096).startswith(b"HTTP/1.1 101 ")
            socket.sendall(sent)
            reset(socket)


def test_a_client_that_disconnects_before_the_upgrade_leaves_nothing(service: Running) -> None:
    with leaves_nothing(service):
        for _ in range(50):
            reset(raw_connection(service))


async def test_a_client_that_disconnects_during_a_reply_is_no_error(service: Running) -> None:
    transport = ScriptedTransport(start("gone"), "{", "{")
    await Connection(transport, NativeBridge(frozenset(Track)), "native", service.services).run()
    assert len(service.services.calls) == 0
    until(lambda: not service.services.connections)


def test_a_connection_without_a_start_is_closed(impatient: Running) -> None:
    service = impatient
    with leaves_nothing(service), service.socket() as silent, service.socket() as with_audio:
        for _ in range(5):
            with_audio.send(b"\xff" * 160)  # audio, but never a start
        for socket in (silent, with_audio):
            messages, code = until_close(socket)
            assert [(m["code"], m["message"]) for m in messages] == [
                ("not_started", "got no start, expected one within 0.6 s")
            ]
            assert code == 1008


def test_a_call_without_messages_for_idle_s_is_ended(impatient: Running) -> None:
    with leaves_nothing(impatient), impatient.socket() as socket:
        socket.send(start("idle"))
        speak(socket)
        messages, code = until_close(socket)
    assert code == 1000
    assert messages[-1]["reason"] == "quiet"
    assert messages[-1]["summary"]["readings"] == len(readings(messages)) > 2


def test_a_client_that_never_reads_is_served_and_then_disconnected(service: Running) -> None:
    host, port = service.address.split(":")
    unread = sockets.socket()
    unread.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    unread.connect((host, int(port)))
    call_id = "\N{PILE OF POO}" * 128  # makes replies long
    service.get("/healthz")
    before = service.tasks()
    with (
        service.limits(last_replies_s=0.3),
        service.socket(sock=unread, close_timeout=0.1, max_queue=1) as socket,
    ):
        socket.send(start(call_id))
        again = start(call_id)
        for _ in range(6_000):  # more replies than the buffers on the way can hold
            socket.send(again)
        speak(socket)
        socket.send(STOP)
        until(lambda: service.get(f"/v1/calls/{call_id}").json()["state"] == "ended")
        view = service.get(f"/v1/calls/{call_id}").json()
        assert view["reason"] == "stop"
        assert len(view["readings"]) > 2
        until(lambda: len(service.services.calls) == 0)
        until(lambda: service.tasks() <= before)  # though the client has not disconnected


def test_a_slow_reader_gets_the_newest_replies_and_the_summary(service: Running) -> None:
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
        until(lambda: service.get(f"/v1/calls/{call_id}").json()["state"] == "ended")
        messages, code = until_close(socket)
    assert messages[0]["type"] == "started"
    assert messages[-1]["type"] == "stopped"
    assert len(messages) < 6_000, "none was dropped: the buffers held them all"
    assert code == 1000
