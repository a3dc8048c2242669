import json
from typing import Any

import numpy as np
import pytest
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from service.api.telephony import handshake_of
from service.events import CallStarted, Track
from service.settings import Settings
from service.telephony.providers import PROVIDERS
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.interleaved import Encoding
from tests.limits import ENOUGH_S
from tests.service.api.conftest import (
    ANGRY,
    STOP,
    Running,
    call,
    readings,
    ready,
    receive_until,
    running,
    start,
    until,
)

BOTH = ["caller", "agent"]


def test_the_agents_track_is_not_analysed(service: Running) -> None:
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


def test_with_a_recorded_purpose_the_agent_is_analysed_too() -> None:
    with running(analyse_agent="safety of ambulance dispatchers") as server:
        messages = call(ready(server), "two voices", ANGRY[: 20 * 8000], tracks=BOTH)
    assert messages[0]["tracks"] == BOTH
    assert {reading["track"] for reading in readings(messages)} == set(Track)
    numbers = [reading["number"] for reading in readings(messages)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_encoding_is_decoded(service: Running, encoding: Encoding) -> None:
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
        messages = receive_until(socket)
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
                receive_until(socket, "started")
            assert refused(server, "three") == (
                "overloaded",
                "all 2 calls that this service takes are in use; try again later",
                1013,
            )
            for socket in (one, two):
                socket.send(STOP)
                assert receive_until(socket)[-1]["reason"] == "stop"
        until(lambda: len(server.services.calls) == 0)
        assert call(server, "three")[-1]["reason"] == "stop"
        refusals = server.metric('kanjo_calls_refused_total{provider="native",reason="Overloaded"}')
        assert refusals == 1


def test_an_id_that_a_live_call_has_is_refused_and_that_call_goes_on(service: Running) -> None:
    with service.socket() as first:
        first.send(start("unique"))
        receive_until(first, "started")
        code, message, closed = refused(service, "unique")
        assert (code, closed) == ("call_exists", 1008)
        assert message == "got call_id 'unique', expected one that no live call has"
        first.send(STOP)
        assert receive_until(first)[-1]["reason"] == "stop"
    assert call(service, "unique")[-1]["reason"] == "stop"


def refused(server: Running, call_id: str) -> tuple[str, str, int]:
    """The error's code and message, and the code that the connection closes with."""
    with server.socket() as socket:
        socket.send(start(call_id))
        error: dict[str, Any] = json.loads(socket.recv(timeout=ENOUGH_S))
        assert (error["type"], error["fatal"]) == ("error", True)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=ENOUGH_S)
    assert closed.value.rcvd is not None
    return error["code"], error["message"], closed.value.rcvd.code


def test_before_the_model_is_warm_a_call_is_refused_before_the_upgrade(cold: Running) -> None:
    with pytest.raises(InvalidStatus) as refusal, cold.socket():
        pass
    response = refusal.value.response
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(bytes(response.body))
    assert problem["detail"] == "got a request at start-up, expected /readyz first"
    assert len(cold.services.calls) == 0


def test_an_unknown_provider_is_refused(service: Running) -> None:
    with pytest.raises(InvalidStatus) as refusal, service.socket("/calls/klingon"):
        pass
    assert refusal.value.response.status_code in (403, 404)


# The handshake.


@pytest.mark.parametrize(
    ("path", "offered", "taken"),
    [
        ("/calls/asterisk", ["media"], "media"),
        ("/calls/freeswitch", ["other", "audio.drachtio.org"], "audio.drachtio.org"),
        ("/calls/jambonz", ["audio.jambonz.org"], "audio.jambonz.org"),
        ("/calls/asterisk", None, None),
        ("/calls/twilio", ["media"], None),
    ],
)
def test_a_subprotocol_of_the_provider_is_accepted_and_none_is_needed(
    service: Running, path: str, offered: list[str] | None, taken: str | None
) -> None:
    with service.socket(path, subprotocols=offered) as socket:
        assert socket.subprotocol == taken


@pytest.mark.parametrize("query", ["mix=quad", "rate=8k", "rate=-1", "rate=123456", "mix="])
def test_an_impossible_query_is_refused_before_the_upgrade(service: Running, query: str) -> None:
    with pytest.raises(InvalidStatus) as refusal, service.socket(f"/calls/freeswitch?{query}"):
        pass
    response = refusal.value.response
    assert response.status_code == 400
    assert "expected" in json.loads(bytes(response.body))["detail"]


def test_a_fork_with_everything_in_its_query_needs_no_metadata(service: Running) -> None:
    path = "/calls/freeswitch?call_id=by%20query&rate=16000&mix=stereo"
    wide = np.repeat(ANGRY[: 8 * 8000], 2, axis=0).astype("<i2")  # at 16 kHz
    with service.socket(path) as socket:
        for at in range(0, len(wide), 320):
            socket.send(wide[at : at + 320].tobytes())
    until(lambda: service.get("/v1/calls/by query").json().get("state") == "ended")
    kept = service.get("/v1/calls/by query").json()
    assert (kept["bridge"], kept["tracks"]) == ("freeswitch", BOTH)
    assert kept["duration_s"] == pytest.approx(8)
    assert kept["readings"]


def test_forks_without_an_id_are_calls_of_their_own(service: Running) -> None:
    before = {call["call_id"] for call in service.get("/v1/calls").json()["calls"]}
    path = "/calls/freeswitch?rate=8000&mix=mono"
    with service.socket(path) as one, service.socket(path) as other:
        for socket in (one, other):
            socket.send(bytes(70_000))
        until(lambda: len(service.services.calls) == 2)
    until(lambda: len(service.services.calls) == 0)
    after = {call["call_id"] for call in service.get("/v1/calls").json()["calls"]}
    assert len(after - before) == 2


def test_a_handshake_is_what_came_and_repeated_headers_are_one() -> None:
    scope = {
        "type": "websocket",
        "path": "/calls/audiohook ü",
        "raw_path": b"/calls/audiohook%20%C3%BC",
        "query_string": b"a=%20&b=\xff",
        "headers": [(b"x-one", b"1"), (b"signature", b"a=:b:"), (b"signature", b"c=:d:")],
    }

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    handshake = handshake_of(WebSocket(scope, nothing, nothing))
    assert handshake.target == "/calls/audiohook%20%C3%BC?a=%20&b=\xff"
    assert handshake.headers == {"x-one": "1", "signature": "a=:b:, c=:d:"}
    bare = handshake_of(WebSocket({**scope, "query_string": b""}, nothing, nothing))
    assert bare.target == "/calls/audiohook%20%C3%BC"


# Tracks of legs.

MEDIA_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
TELNYX_FORMAT = {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
STARTS: dict[str, tuple[dict[str, Any], list[Track]]] = {
    "asterisk": (
        {
            "event": "MEDIA_START",
            "channel_id": "c",
            "format": "ulaw",
            "channel_variables": {"callId": "c", "side": "in"},
        },
        [Track.CALLER],
    ),
    "freeswitch": ({"call_id": "c", "sampleRate": 8000, "mixType": "stereo"}, [*Track]),
    "jambonz": ({"callSid": "c", "sampleRate": 8000, "mixType": "mono"}, [Track.CALLER]),
    "twilio": (
        {
            "event": "start",
            "start": {
                "callSid": "c",
                "streamSid": "s",
                "tracks": ["inbound"],
                "mediaFormat": MEDIA_FORMAT,
            },
        },
        [Track.CALLER],
    ),
    "plivo": (
        {
            "event": "start",
            "start": {
                "callId": "c",
                "streamId": "s",
                "tracks": ["inbound"],
                "mediaFormat": MEDIA_FORMAT,
            },
        },
        [Track.CALLER],
    ),
    "telnyx": (
        {
            "event": "start",
            "stream_id": "s",
            "start": {"call_control_id": "c", "media_format": TELNYX_FORMAT},
        },
        [*Track],
    ),
    "exotel": (
        {
            "event": "start",
            "start": {
                "call_sid": "c",
                "stream_sid": "s",
                "media_format": {"encoding": "audio/x-raw", "sample_rate": 8000},
            },
        },
        [*Track],
    ),
}


@pytest.mark.parametrize("bridge", STARTS)
def test_a_bridge_on_the_agents_leg_has_its_tracks_swapped(bridge: str) -> None:
    message, tracks = STARTS[bridge]
    other = {Track.CALLER: Track.AGENT, Track.AGENT: Track.CALLER}
    for settings, expected in (
        (Settings(), tracks),
        (Settings.from_env({"KANJO_AGENT_LEGS": bridge}), [other[track] for track in tracks]),
    ):
        handshake = Handshake(f"/calls/{bridge}", {})
        options = settings.bridge_options(bridge)
        made = PROVIDERS[bridge].create_bridge(settings, options, handshake)
        (event,) = made.receive(json.dumps(message))
        assert isinstance(event, CallStarted)
        assert event.tracks == tuple(expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/calls/twillio", "/calls/twilio"),
        ("/calls/Twilio", "/calls/twilio"),
        ("/calls/twilio/", "/calls/twilio"),
        ("/twilio", "/calls/twilio"),
        ("/v1/bridges/audiohook", "/calls/audiohook"),
        ("/calls/audio-hook", "/calls/audiohook"),
        ("/calls", "/calls/asterisk or /calls/audiohook or"),
        ("/", "/calls/asterisk or /calls/audiohook or"),
    ],
)
def test_a_wrong_websocket_path_is_answered_by_the_right_one(
    service: Running, path: str, expected: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        service.socket(path)
    response = refused.value.response
    assert response.status_code == 404
    assert response.body
    assert f"expected {expected}" in response.body.decode()
