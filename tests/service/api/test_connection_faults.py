import asyncio
import json

import pytest

from service.api import connection as connection
from service.api.connection import Connection
from service.calls.call import Call
from service.calls.stream import CallStream
from service.events import Audio, Gap, Track
from service.telephony.native.bridge import NativeBridge
from tests.limits import ENOUGH_S
from tests.service.api.audiohook import audiohook_session
from tests.service.api.clients import ScriptedTransport, leaves_nothing, until_close
from tests.service.api.conftest import (
    SPOKEN,
    STOP,
    Running,
    call,
    readings,
    receive_until,
    speak,
    start,
    until,
)

pytestmark = pytest.mark.usefixtures("no_error_logged")


async def test_a_flood_of_messages_lets_other_tasks_run(service: Running) -> None:
    """All messages are there at once, so only the connection itself can give way."""
    floods = 500
    turns = 0
    transport = ScriptedTransport(start("flood"), *["{"] * floods, STOP)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await Connection(transport, NativeBridge(frozenset(Track)), "native", service.services).run()
    counting.cancel()
    assert transport.messages == []
    assert turns >= floods


def test_a_fault_while_audio_is_processed_ends_that_call_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receive = CallStream.receive

    async def faulty(self: CallStream, fact: Audio | Gap) -> None:
        if self.call_id == "faulty":
            raise ZeroDivisionError("a fault in our code")
        await receive(self, fact)

    alone = call(service, "alone")
    failures = service.metric("kanjo_connection_failures_total")
    monkeypatch.setattr(CallStream, "receive", faulty)
    with leaves_nothing(service), service.socket() as healthy, service.socket() as faulty_client:
        healthy.send(start("healthy"))
        speak(healthy, SPOKEN[:32_000])
        faulty_client.send(start("faulty"))
        speak(faulty_client)
        messages, code = until_close(faulty_client)
        speak(healthy, SPOKEN[32_000:])
        healthy.send(STOP)
        assert [m["probabilities"] for m in readings(receive_until(healthy))] == [
            m["probabilities"] for m in readings(alone)
        ]
    assert code == 1011
    assert (messages[-1]["code"], messages[-1]["fatal"]) == ("internal", True)
    assert "ZeroDivisionError" not in json.dumps(messages)
    assert service.metric("kanjo_connection_failures_total") == failures + 1
    until(lambda: service.get("/v1/calls/faulty").json()["state"] == "ended")
    assert service.get("/v1/calls/faulty").json()["reason"] == "failed"
    assert service.get("/v1/calls/healthy").json()["reason"] == "stop"
    caplog.clear()


def test_a_fault_while_a_reading_is_made_ends_that_call_alone(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault in our code")

    with leaves_nothing(service), monkeypatch.context() as patch, service.socket() as socket:
        patch.setattr(Call, "add_reading", faulty)
        socket.send(start("unreadable"))
        speak(socket)
        messages, code = until_close(socket)
    assert code == 1011
    assert messages[-1]["code"] == "internal"
    assert call(service, "unreadable")[-1]["reason"] == "stop"
    caplog.clear()


def test_a_fault_is_reported_in_a_protocol_that_can_express_it(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def faulty(*_: object) -> None:
        raise ZeroDivisionError("a fault in our code")

    with leaves_nothing(service), audiohook_session(service) as session:
        monkeypatch.setattr(CallStream, "receive", faulty)
        session.open("faulty session")
        assert json.loads(session.socket.recv(timeout=ENOUGH_S))["type"] == "opened"
        session.socket.send(bytes(1600))
        message = json.loads(session.socket.recv(timeout=ENOUGH_S))
        assert (message["type"], message["parameters"]["reason"]) == ("disconnect", "error")
        session.send("close", reason="disconnect")
        assert json.loads(session.socket.recv(timeout=ENOUGH_S))["type"] == "closed"
    assert service.get("/v1/calls/faulty session").json()["reason"] == "failed"
    caplog.clear()


async def test_a_bridge_that_fails_even_at_its_last_replies_is_closed(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(NativeBridge):
        def replies(self) -> list[str]:
            raise ZeroDivisionError("a fault in our code")

    closes: list[int] = []

    class ClosableTransport(ScriptedTransport):
        async def close(self, code: int, reason: str) -> None:
            closes.append(code)

    failures = service.metric("kanjo_connection_failures_total")
    transport = ClosableTransport("{", *["{"] * 1000)
    await Connection(transport, Faulty(frozenset(Track)), "native", service.services).run()
    assert closes == [1011]
    assert service.metric("kanjo_connection_failures_total") == failures + 2
    caplog.clear()


def test_message_errors_are_counted_by_bridge_and_code(service: Running) -> None:
    with service.socket("/calls/twilio") as socket:
        socket.send("{")
        socket.send("{")
        socket.send(b"audio")
    name = 'kanjo_message_errors_total{code="%s",provider="twilio"}'
    until(lambda: not service.services.connections)
    assert service.metric(name % "bad_json") == 2
    assert service.metric(name % "unexpected_binary") == 1
