import asyncio
import json
import socket as sockets
import time
from array import array
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from model.labels import Emotion
from service.errors import CallRefused, Overloaded, ServiceRefused, ServiceUnreachable
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    Event,
    Pcm,
    Reading,
    Track,
    Transition,
)
from service.events import CallSummary as Ended
from service.replay import player
from service.replay.player import CLIENTS, ReplaySummary, replay
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.audiohook.auth import AudioHookAuthenticator
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.freeswitch.bridge import FreeswitchBridge
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.native.bridge import NativeBridge
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.shared.authenticator import Authenticator, Handshake, Unauthorized
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.bearer import BearerAuthenticator
from service.telephony.shared.bridge import Bridge
from service.telephony.shared.client import (
    AlertReceived,
    ClientCredentials,
    Feedback,
    UnsupportedByProvider,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.twilio.auth import TwilioAuthenticator
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.vonage.bridge import VonageBridge

CALM = {Emotion.ANGER: 0.1, Emotion.HAPPINESS: 0.1, Emotion.SADNESS: 0.1, Emotion.NEUTRAL: 0.7}


def recording(seconds: float = 0.5, tracks: int = 1, name: str = "a.wav") -> Recording:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (int(seconds * 8000), tracks), np.int16)
    return Recording(name, (Track.CALLER, Track.AGENT)[:tracks], pcm)


@dataclass
class Listener:
    """A service that speaks the native dialect and gives a reading each 0.1 s of the caller."""

    delay_s: float = 0.0
    ahead_s: float = 0.0
    fires: bool = False
    answers_stop: bool = True
    refusal: CallRefused | None = None
    hangs_up: bool = False
    halt: asyncio.Event = field(default_factory=asyncio.Event)  # set after so many readings
    halt_after: int = 0
    readings: int = 0
    heard: dict[str, dict[Track, list[Pcm]]] = field(default_factory=dict)
    started: dict[str, CallStarted] = field(default_factory=dict)
    arrived_s: list[float] = field(default_factory=list)
    stops: int = 0
    live: int = 0
    most_live: int = 0

    async def call(self, socket: ServerConnection) -> None:
        self.live += 1
        self.most_live = max(self.most_live, self.live)
        try:
            await self._converse(socket)
        except ConnectionClosed:
            pass
        finally:
            self.live -= 1

    async def _converse(self, socket: ServerConnection) -> None:
        bridge = NativeBridge(frozenset(Track))
        call_id, samples, readings = "", 0, 0
        while bridge.close_code is None:
            for event in bridge.receive(await socket.recv()):
                match event:
                    case CallStarted():
                        call_id = event.call_id
                        self.started[call_id] = event
                        self.heard[call_id] = {track: [] for track in event.tracks}
                        if self.refusal:
                            bridge.refused(self.refusal)
                        else:
                            bridge.started(session="s", model="m", version="1", hop_s=0.1)
                    case Audio(track, pcm):
                        self.arrived_s.append(time.monotonic())
                        self.heard[call_id][track].append(pcm)
                        samples += len(pcm) if track is Track.CALLER else 0
                    case CallStopped():
                        self.stops += 1
                        if self.answers_stop:
                            ended = Ended(samples / 8000, 0.0, readings, 0, 0)
                            bridge.stopped("stop", ended)
            while samples // 800 > readings:
                readings += 1
                self.readings += 1
                if self.readings == self.halt_after:
                    self.halt.set()
                end_s = readings * 0.1 + self.ahead_s
                await asyncio.sleep(self.delay_s)
                bridge.reading(Reading(call_id, readings, Track.CALLER, 0, end_s, 0.1, CALM))
                if self.fires and readings == 2:
                    for number, state in enumerate([AlertState.PENDING, AlertState.FIRING], 1):
                        bridge.alert(
                            Transition(
                                f"{call_id}-1",
                                number,
                                call_id,
                                Track.CALLER,
                                Emotion.ANGER,
                                state,
                                0,
                                0.2,
                                0.83,
                                0.83,
                            )
                        )
                if self.hangs_up:
                    socket.transport.abort()
                    return
            for message in bridge.replies():
                await socket.send(message)
        await socket.close(bridge.close_code)

    def audio(self, call_id: str, track: Track) -> Pcm:
        return np.concatenate(self.heard[call_id][track])


@asynccontextmanager
async def at_work(
    listener: Listener,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[str]:
    async with serve(listener.call, "127.0.0.1", 0, process_request=process_request) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/calls/native"


# What is played.


@pytest.mark.parametrize(
    ("encoding", "through"),
    [
        (Encoding.MULAW, lambda pcm: mulaw_decode(mulaw_encode(pcm))),
        (Encoding.ALAW, lambda pcm: alaw_decode(alaw_encode(pcm))),
        (Encoding.L16, lambda pcm: pcm),
    ],
)
async def test_every_sample_of_every_track_arrives(
    encoding: Encoding, through: Callable[[Pcm], Pcm]
) -> None:
    listener, stereo = Listener(), recording(0.513, tracks=2)
    async with at_work(listener) as url:
        summary = await replay([stereo], url, speed=5, encoding=encoding)
    (call_id,) = listener.heard
    for lane, track in enumerate(stereo.tracks):
        expected = through(np.ascontiguousarray(stereo.pcm[:, lane]))
        np.testing.assert_array_equal(listener.audio(call_id, track), expected)
    assert listener.started[call_id].metadata == {"recording": "a.wav"}
    assert (summary.calls, summary.live, summary.readings) == (1, 0, 5)
    assert not summary.errors
    assert summary.played_s == pytest.approx(0.513)


async def test_frames_leave_in_real_time_times_speed() -> None:
    listener = Listener()
    async with at_work(listener) as url:
        begin_s = time.monotonic()
        await replay([recording(1.0)], url, speed=2)
        took_s = time.monotonic() - begin_s
    # The last of 50 frames is due at 49 * 20 ms / 2.
    assert listener.arrived_s[-1] - begin_s >= 0.49
    assert took_s < 3
    # Frames that were held up are caught up with, so that the middle one is no earlier than due.
    assert listener.arrived_s[25] - begin_s >= 0.25


async def test_more_calls_than_files_play_at_once() -> None:
    listener = Listener()
    async with at_work(listener) as url:
        summary = await replay([recording(1.5)], url, calls=3)
    assert summary.calls == 3
    assert listener.most_live == 3
    assert len(set(listener.heard)) == 3


async def test_files_are_dealt_round_robin() -> None:
    listener = Listener()
    files = [recording(0.1, name=name) for name in "abc"]
    async with at_work(listener) as url:
        await replay(files, url, speed=5)
        played = [started.metadata["recording"] for started in listener.started.values()]
        assert played == ["a", "b", "c"]
        listener.started.clear()
        await replay(files, url, calls=2, speed=5)
        played = [started.metadata["recording"] for started in listener.started.values()]
        assert sorted(played) == ["a", "b", "c"]
        assert listener.most_live <= 2


async def test_repeating_goes_on_until_stopped() -> None:
    listener = Listener(halt_after=3)
    async with at_work(listener) as url, asyncio.timeout(10):
        summary = await replay([recording(0.1)], url, speed=5, repeat=True, stop=listener.halt)
    assert summary.calls >= 3
    assert not summary.errors


async def test_stopping_ends_the_call_as_a_hang_up_would() -> None:
    listener, summary = Listener(halt_after=2), ReplaySummary()
    async with at_work(listener) as url, asyncio.timeout(10):
        assert await replay([recording(60)], url, stop=listener.halt, summary=summary) is summary
    assert listener.stops == 1
    assert 0.19 < summary.played_s < 10
    assert not summary.errors


# What is heard.


async def test_alerts_are_counted_when_they_fire_and_told_at_every_step() -> None:
    told: list[AlertReceived] = []
    async with at_work(Listener(fires=True)) as url:
        summary = await replay([recording(0.5)], url, calls=2, on_alert=told.append)
    assert summary.fired == {"anger": 2}
    assert [alert.text for alert in told] == ["sounds angry (0.83)"] * 4
    assert {alert.state for alert in told} == {"pending", "firing"}


async def test_lateness_is_what_the_service_made_us_wait() -> None:
    async with at_work(Listener(delay_s=0.15)) as url:
        summary = await replay([recording(0.3)], url)
    assert summary.readings == 3
    assert 0.15 <= (summary.late_percentile_s(50) or 0) < 1.5


@pytest.mark.parametrize(
    ("end_s", "late_s"),
    [
        (0.02, 9.0),  # the last sample of frame 0, which left at 1
        (0.020125, 8.0),  # the first sample of frame 1, which left at 2
        (0.04, 8.0),
        (0.06, 7.0),
        (0.0, 9.0),
        (0.061, 7.0),  # rounded up by the service
    ],
)
def test_lateness_counts_from_the_frame_with_the_last_sample(end_s: float, late_s: float) -> None:
    summary = ReplaySummary()
    player._time(end_s, 10.0, array("d", [1.0, 2.0, 3.0]), summary)
    assert list(summary.late_s) == [late_s]


def test_lateness_percentiles_are_those_of_all_readings() -> None:
    summary = ReplaySummary(late_s=array("d", [n / 100 for n in range(101)]))
    assert summary.late_percentile_s(50) == pytest.approx(0.5)
    assert summary.late_percentile_s(99) == pytest.approx(0.99)
    assert ReplaySummary().late_percentile_s(50) is None


async def test_a_reading_of_audio_that_was_not_played_is_an_error() -> None:
    async with at_work(Listener(ahead_s=5)) as url:
        summary = await replay([recording(0.2)], url)
    assert summary.readings == 0
    assert summary.errors == {"reading_ahead": 2}


async def test_a_message_nobody_understands_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nonsense(socket: ServerConnection) -> None:
        await socket.send('{"type": "reading"}')
        await socket.send("[]")
        async for _ in socket:
            pass

    async with serve(nonsense, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setattr(player, "STOPPED_WITHIN_S", 0.1)
        summary = await replay([recording(0.2)], url)
    assert summary.errors["unreadable"] == 2


# What goes wrong.


async def test_a_refused_port_is_a_sentence() -> None:
    with sockets.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{free.getsockname()[1]}/calls/native"
    with pytest.raises(ServiceUnreachable) as caught:
        await replay([recording()], url, calls=3)
    assert str(caught.value) == f"no service at {url}: Connection refused"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "ws://no-such-host.invalid/"])
async def test_an_address_that_leads_nowhere_is_a_sentence(url: str) -> None:
    with pytest.raises(ServiceUnreachable, match="no service at"):
        await replay([recording()], url)


async def test_a_refused_handshake_says_why() -> None:
    def full(connection: ServerConnection, _: Request) -> Response:
        body = {"title": "Overloaded", "detail": "all 2 calls are in use"}
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, json.dumps(body))

    async with at_work(Listener(), full) as url:
        with pytest.raises(ServiceRefused, match="HTTP 503: Overloaded: all 2 calls are in use"):
            await replay([recording()], url)


async def test_calls_refused_beside_others_are_counted() -> None:
    listener = Listener()

    def full(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full") if listener.live else None

    async with at_work(listener, full) as url:
        summary = await replay([recording(2.0)], url, calls=3)
    assert summary.calls == 1
    assert summary.errors == {"refused": 2}
    assert "HTTP 503: full" in summary.reasons["refused"]


async def test_a_fatal_error_and_its_close_are_one_error() -> None:
    async with at_work(Listener(refusal=Overloaded(2))) as url:
        summary = await replay([recording()], url)
    assert summary.errors == {"overloaded": 1}
    assert summary.reasons == {"overloaded": str(Overloaded(2))}


async def test_a_broken_connection_is_an_error_of_its_call() -> None:
    async with at_work(Listener(hangs_up=True)) as url:
        summary = await replay([recording()], url)
    assert summary.errors == {"closed": 1}
    assert summary.live == 0


async def test_a_stop_that_nobody_answers_ends_the_call_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(player, "STOPPED_WITHIN_S", 0.1)
    async with at_work(Listener(answers_stop=False)) as url, asyncio.timeout(10):
        summary = await replay([recording(0.1)], url)
    assert summary.errors == {"no_stopped": 1}


# Other bridges, each in a server that is little more than it.

ENDED = Ended(duration_s=0.5, speech_s=0.0, readings=0, alerts=0, dropped=0)
BOTH = frozenset(Track)
SECRET = "c2VjcmV0"
BASIC = ("freeswitch", "jambonz", "asterisk", "exotel")
PUBLIC = "wss://kanjo.example.com/calls"
DOORS: dict[str, Callable[[], Authenticator]] = {
    "audiohook": lambda: AudioHookAuthenticator({"k": b64decode(SECRET)}),
    "twilio": lambda: TwilioAuthenticator(f"{PUBLIC}/twilio", SECRET),
    "plivo": lambda: PlivoAuthenticator(f"{PUBLIC}/plivo", SECRET),
    "telnyx": lambda: BearerAuthenticator([SECRET]),
    "vonage": lambda: BearerAuthenticator([SECRET]),
    **{name: lambda: BasicAuthenticator({"u": SECRET}) for name in BASIC},
}
ACCESS = {
    "audiohook": ClientCredentials(api_key="k", secret=SECRET),
    "twilio": ClientCredentials(secret=SECRET, public_url=f"{PUBLIC}/twilio"),
    "plivo": ClientCredentials(secret=SECRET, public_url=f"{PUBLIC}/plivo"),
    "telnyx": ClientCredentials(token=SECRET),
    "vonage": ClientCredentials(token=SECRET),
    **{name: ClientCredentials(user="u", password=SECRET) for name in BASIC},
}


def _asterisk(request: Request) -> Bridge:
    query = parse_qs(urlsplit(request.path).query)
    return AsteriskBridge(BOTH, call_id_hint=query["callId"][0], side_hint=query["side"][0])


BRIDGES: dict[str, Callable[[Request], Bridge]] = {
    "audiohook": lambda request: AudioHookBridge(
        request.headers["audiohook-session-id"],
        request.headers["audiohook-organization-id"],
        analyse=BOTH,
    ),
    "twilio": lambda _: TwilioBridge(BOTH),
    "freeswitch": lambda _: FreeswitchBridge(BOTH, call_id_hint="hint", alerts=True),
    "jambonz": lambda _: JambonzBridge(BOTH),
    "asterisk": _asterisk,
    "vonage": lambda _: VonageBridge(BOTH, analyse_mix=True),
    "telnyx": lambda _: TelnyxBridge(BOTH),
    "plivo": lambda _: PlivoBridge(BOTH),
    "exotel": lambda _: ExotelBridge(BOTH),
}
SUBPROTOCOLS = {
    "freeswitch": Subprotocol("audio.drachtio.org"),
    "jambonz": Subprotocol("audio.jambonz.org"),
    "asterisk": Subprotocol("media"),
}


@dataclass
class Edge:
    """One bridge a connection, behind a door; every call fires an alert at its end."""

    bridge: str
    door: Authenticator | None = None
    refusal: CallRefused | None = None
    fails_after: int | None = None  # messages
    connected: list[Bridge] = field(default_factory=list)
    subprotocols: list[str | None] = field(default_factory=list)
    heard: list[list[Event]] = field(default_factory=list)
    audible: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        bridge = BRIDGES[self.bridge](socket.request)
        heard: list[Event] = []
        self.connected.append(bridge)
        self.subprotocols.append(socket.subprotocol)
        self.heard.append(heard)
        messages = 0
        try:
            while bridge.close_code is None:
                message = await socket.recv()
                messages += 1
                for event in bridge.receive(message):
                    heard.append(event)
                    self._answer(bridge, event)
                if messages == self.fails_after:
                    bridge.failed()
                for reply in bridge.replies():
                    await socket.send(reply)
            await socket.close(bridge.close_code, getattr(bridge, "close_reason", ""))
        except ConnectionClosed:
            heard += bridge.disconnected()

    def _answer(self, bridge: Bridge, event: Event) -> None:
        match event:
            case CallStarted() if self.refusal:
                bridge.refused(self.refusal)
            case CallStarted():
                bridge.started("s", "kanjo", "1", 1.0)
                for number, state in enumerate([AlertState.PENDING, AlertState.FIRING], 1):
                    place = (Emotion.ANGER, state, 0.0, 2.0, 0.83, 0.83)
                    bridge.alert(Transition("a", number, event.call_id, Track.CALLER, *place))
            case Audio():
                self.audible.set()
            case CallStopped():
                bridge.stopped(event.reason, ENDED)

    def enter(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        try:
            if self.door is not None:
                self.door.check(Handshake(request.path, headers), time.time())
        except Unauthorized as refusal:
            return connection.respond(HTTPStatus.UNAUTHORIZED, str(refusal))
        return None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        protocols = [SUBPROTOCOLS[self.bridge]] if self.bridge in SUBPROTOCOLS else None
        async with serve(
            self.call, "127.0.0.1", 0, process_request=self.enter, subprotocols=protocols
        ) as server:
            port = server.sockets[0].getsockname()[1]
            yield f"ws://127.0.0.1:{port}/calls/{self.bridge}"

    def pcm(self, track: Track) -> Pcm:
        parts = [
            event.pcm
            for heard in self.heard
            for event in heard
            if isinstance(event, Audio) and event.track is track
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def expected(bridge: str, played: Recording, lane: int) -> Pcm:
    if bridge == "vonage":
        mix = played.pcm.sum(axis=1, dtype=np.int32)
        return mix.clip(-32_768, 32_767).astype(np.int16)
    pcm = np.ascontiguousarray(played.pcm[:, lane])
    mulaw = CLIENTS[bridge].encodings[0] is Encoding.MULAW
    return mulaw_decode(mulaw_encode(pcm)) if mulaw else pcm


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_every_bridge_hears_every_sample_once_until_it_is_hung_up(bridge: str) -> None:
    edge, stereo = Edge(bridge), recording(0.513, tracks=2)
    async with edge.open() as url:
        summary = await replay([stereo], url, bridge=bridge, speed=5)
    for lane, track in enumerate(stereo.tracks[: 1 if bridge in ("vonage", "exotel") else 2]):
        np.testing.assert_array_equal(edge.pcm(track), expected(bridge, stereo, lane))
    for heard in edge.heard:
        kinds = [type(event) for event in heard]
        assert kinds.count(CallStarted) == kinds.count(CallStopped) == 1
        assert kinds[-1] is CallStopped
    assert not any(getattr(bridge, "problems", None) for bridge in edge.connected)
    assert set(edge.subprotocols) == {SUBPROTOCOLS.get(bridge)}
    assert not summary.errors, summary.reasons
    assert (summary.calls, summary.live) == (1, 0)
    assert summary.played_s == pytest.approx(0.513)


async def test_both_voices_of_an_asterisk_call_are_connections_of_one_call() -> None:
    edge = Edge("asterisk")
    async with edge.open() as url:
        summary = await replay([recording(0.1, tracks=2)], url, bridge="asterisk", speed=5)
    assert summary.calls == 1
    started = [event for heard in edge.heard for event in heard if isinstance(event, CallStarted)]
    assert sorted(event.tracks for event in started) == [(Track.AGENT,), (Track.CALLER,)]
    assert len({event.call_id for event in started}) == 1
    assert all(getattr(bridge, "joins", False) for bridge in edge.connected)


@pytest.mark.parametrize("encoding", ["mulaw", "alaw", "l16"])
async def test_samples_travel_as_they_are_told_to(encoding: str) -> None:
    edge, mono = Edge("telnyx"), recording(0.1)
    async with edge.open() as url:
        await replay([mono], url, bridge="telnyx", encoding=Encoding(encoding), speed=5)
    through = {
        "mulaw": lambda pcm: mulaw_decode(mulaw_encode(pcm)),
        "alaw": lambda pcm: alaw_decode(alaw_encode(pcm)),
        "l16": lambda pcm: pcm,
    }[encoding]
    np.testing.assert_array_equal(edge.pcm(Track.CALLER), through(mono.pcm[:, 0].copy()))


@pytest.mark.parametrize("bridge", DOORS)
async def test_a_provider_proves_itself_and_is_refused_when_it_does_not(bridge: str) -> None:
    async with Edge(bridge, door=DOORS[bridge]()).open() as url:
        summary = await replay([recording(0.1)], url, bridge=bridge, access=ACCESS[bridge], speed=5)
        assert summary.calls == 1
        assert not summary.errors, summary.reasons
        with pytest.raises(ServiceRefused, match="HTTP 401"):
            await replay([recording(0.1)], url, bridge=bridge)


async def test_what_no_provider_says_is_told_before_anybody_is_called() -> None:
    edge = Edge("twilio")
    async with edge.open() as url:
        with pytest.raises(UnsupportedByProvider, match="twilio: got encoding l16, expected mulaw"):
            await replay([recording()], url, bridge="twilio", encoding=Encoding.L16)
    assert not edge.connected


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_what_a_bridge_is_told_is_in_the_summary(bridge: str) -> None:
    told: list[AlertReceived] = []
    async with Edge(bridge).open() as url:
        summary = await replay([recording(0.4)], url, bridge=bridge, on_alert=told.append)
    ear = Feedback.ALERTS if bridge in ("audiohook", "freeswitch") else Feedback.NOTHING
    assert summary.ear is ear
    assert summary.fired == ({"anger": 1} if ear is Feedback.ALERTS else {})
    assert {alert.text for alert in told} <= {"sounds angry (0.83)"}
    assert summary.readings == 0


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("refused", [True, False])
async def test_a_call_that_the_service_ends_is_one_error_and_stops_playing(
    bridge: str, refused: bool
) -> None:
    refusal = Overloaded(2) if refused else None
    edge = Edge(bridge, refusal=refusal, fails_after=None if refused else 4)
    async with edge.open() as url, asyncio.timeout(10):
        summary = await replay([recording(30)], url, bridge=bridge)
    assert summary.errors.total() == 1, summary.reasons
    (reason,) = summary.reasons.values()
    assert ("all 2 calls" if refused else "the service failed") in reason
    assert summary.played_s < 5
    assert summary.live == 0


@pytest.mark.parametrize("bridge", BRIDGES)
async def test_stopping_ends_a_call_of_any_bridge_as_a_hang_up_would(bridge: str) -> None:
    edge, halt = Edge(bridge), asyncio.Event()
    async with edge.open() as url, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        playing = tasks.create_task(replay([recording(60)], url, bridge=bridge, stop=halt))
        await edge.audible.wait()
        halt.set()
        summary = await playing
    assert isinstance(edge.heard[0][-1], CallStopped)
    assert not summary.errors, summary.reasons


async def test_a_service_that_never_answers_a_hang_up_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def deaf(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await asyncio.sleep(1)
        socket.transport.abort()

    async with serve(deaf, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        summary = await replay([recording(0.1)], url, bridge="twilio", speed=5)
    assert summary.errors == {"closed": 1}
