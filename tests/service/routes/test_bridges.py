import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.bridges.native import Encoding
from service.events import Track
from tests.service.routes.conftest import (
    ANGRY,
    STOP,
    Running,
    call,
    readings,
    ready,
    running,
    start,
    told,
    until,
)

BOTH = ["caller", "agent"]


def test_what_the_agent_says_is_not_read(service: Running) -> None:
    messages = call(service, "two voices", ANGRY[: 20 * 8000], tracks=BOTH)
    assert messages[0]["tracks"] == ["caller"]
    assert {reading["track"] for reading in readings(messages)} == {"caller"}
    assert {m["track"] for m in messages if m["type"] == "alert"} <= {"caller"}
    alone = call(service, "one voice", ANGRY[: 20 * 8000, 0])
    assert readings(messages) == readings(alone)


def test_the_caller_may_be_the_second_track(service: Running) -> None:
    swapped = call(service, "swapped", ANGRY[: 20 * 8000, ::-1], tracks=BOTH[::-1])
    alone = call(service, "not swapped", ANGRY[: 20 * 8000, 0])
    assert readings(swapped) == readings(alone)


def test_with_a_recorded_purpose_the_agent_is_read_too() -> None:
    with running(analyse_agent="safety of ambulance dispatchers") as server:
        messages = call(ready(server), "two voices", ANGRY[: 20 * 8000], tracks=BOTH)
    assert messages[0]["tracks"] == BOTH
    assert {reading["track"] for reading in readings(messages)} == set(Track)
    numbers = [reading["number"] for reading in readings(messages)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_encoding_is_heard(service: Running, encoding: Encoding) -> None:
    from model.audio import alaw_encode, mulaw_encode

    pcm = ANGRY[: 9 * 8000, 0]
    data = {
        Encoding.MULAW: mulaw_encode(pcm).tobytes(),
        Encoding.ALAW: alaw_encode(pcm).tobytes(),
        Encoding.L16: pcm.astype("<i2").tobytes(),
    }[encoding]
    with service.socket() as socket:
        socket.send(start(f"in {encoding}", encoding=encoding))
        for at in range(0, len(data), 4001):  # the odd byte of one frame belongs to the next
            socket.send(data[at : at + 4001])
        socket.send(STOP)
        messages = told(socket)
    assert messages[-1]["summary"]["duration_s"] == 9
    plain = readings(call(service, "plain", pcm))
    # A quiet moment may be speech in one coding and none in another.
    assert len(readings(messages)) == pytest.approx(len(plain), abs=1)


def test_one_call_more_than_are_taken_is_refused_and_the_others_go_on() -> None:
    with running(max_calls=2) as server:
        ready(server)
        with server.socket() as one, server.socket() as two:
            for socket, call_id in ((one, "one"), (two, "two")):
                socket.send(start(call_id))
                told(socket, "started")
            assert refused(server, "three") == (
                "overloaded",
                "all 2 calls that this service takes are in use; try again later",
                1013,
            )
            for socket in (one, two):
                socket.send(STOP)
                assert told(socket)[-1]["reason"] == "stop"
        until(lambda: len(server.parts.calls) == 0)
        assert call(server, "three")[-1]["reason"] == "stop"
        refusals = server.metric('kanjo_calls_refused_total{bridge="native",reason="Overloaded"}')
        assert refusals == 1


def test_an_id_that_a_live_call_has_is_refused_and_that_call_goes_on(service: Running) -> None:
    with service.socket() as first:
        first.send(start("unique"))
        told(first, "started")
        code, message, closed = refused(service, "unique")
        assert (code, closed) == ("call_exists", 1008)
        assert message == "got call_id 'unique', expected one that no live call has"
        first.send(STOP)
        assert told(first)[-1]["reason"] == "stop"
    assert call(service, "unique")[-1]["reason"] == "stop"


def refused(server: Running, call_id: str) -> tuple[str, str, int]:
    """The error's code and message, and the code that the connection closes with."""
    with server.socket() as socket:
        socket.send(start(call_id))
        error: dict[str, Any] = json.loads(socket.recv(timeout=10))
        assert (error["type"], error["fatal"]) == ("error", True)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    return error["code"], error["message"], closed.value.rcvd.code


def test_before_the_model_is_warm_a_call_is_refused_before_the_upgrade(cold: Running) -> None:
    with pytest.raises(InvalidStatus) as refusal, cold.socket():
        pass
    response = refusal.value.response
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(bytes(response.body))
    assert problem["detail"] == "got a request at start-up, expected /readyz first"
    assert len(cold.parts.calls) == 0


def test_a_dialect_that_nobody_speaks_is_refused(service: Running) -> None:
    from websockets.sync.client import connect

    url = f"ws://{service.address}/calls/klingon"
    with pytest.raises(InvalidStatus) as refusal, connect(url, proxy=None):
        pass
    assert refusal.value.response.status_code in (403, 404)
