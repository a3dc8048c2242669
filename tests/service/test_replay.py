import asyncio
import json
import socket as sockets
import time
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from model.labels import Emotion
from service import replay as player
from service.bridges.interleaved import Encoding
from service.bridges.native import ErrorCode, NativeBridge
from service.errors import ServiceRefused, ServiceUnreachable, UnreadableRecording
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    Pcm,
    Reading,
    Track,
    Transition,
)
from service.replay import AlertHeard, Recording, Summary, replay

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
    refusal: ErrorCode | None = None
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
                            bridge.error(self.refusal, "not now")
                        else:
                            bridge.started(session="s", model="m", version="1", hop_s=0.1)
                    case Audio(track, pcm):
                        self.arrived_s.append(time.monotonic())
                        self.heard[call_id][track].append(pcm)
                        samples += len(pcm) if track is Track.CALLER else 0
                    case CallStopped():
                        self.stops += 1
                        if self.answers_stop:
                            bridge.stopped(
                                reason="stop",
                                duration_s=samples / 8000,
                                speech_s=0,
                                readings=readings,
                                alerts=0,
                                dropped=0,
                            )
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
    listener, summary = Listener(halt_after=2), Summary()
    async with at_work(listener) as url, asyncio.timeout(10):
        assert await replay([recording(60)], url, stop=listener.halt, summary=summary) is summary
    assert listener.stops == 1
    assert 0.19 < summary.played_s < 10
    assert not summary.errors


# What is heard.


async def test_alerts_are_counted_when_they_fire_and_told_at_every_step() -> None:
    told: list[AlertHeard] = []
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
    summary = Summary()
    player._time(end_s, 10.0, array("d", [1.0, 2.0, 3.0]), summary)
    assert list(summary.late_s) == [late_s]


def test_lateness_percentiles_are_those_of_all_readings() -> None:
    summary = Summary(late_s=array("d", [n / 100 for n in range(101)]))
    assert summary.late_percentile_s(50) == pytest.approx(0.5)
    assert summary.late_percentile_s(99) == pytest.approx(0.99)
    assert Summary().late_percentile_s(50) is None


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
    async with at_work(Listener(refusal=ErrorCode.OVERLOADED)) as url:
        summary = await replay([recording()], url)
    assert summary.errors == {"overloaded": 1}
    assert summary.reasons == {"overloaded": "not now"}


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


# Recordings.


def test_mono_is_the_caller(tmp_path: Path) -> None:
    pcm = np.array([0, 1, -1, 32767, -32768], np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 8000)
    read = Recording.read(tmp_path / "a.wav")
    assert (read.name, read.tracks) == ("a.wav", (Track.CALLER,))
    assert read.pcm.dtype == np.int16
    assert read.pcm[:, 0].tolist() == pcm.tolist()


@pytest.mark.parametrize(
    ("swap", "tracks"),
    [(False, (Track.CALLER, Track.AGENT)), (True, (Track.AGENT, Track.CALLER))],
)
def test_stereo_is_the_caller_left_unless_swapped(
    tmp_path: Path, swap: bool, tracks: tuple[Track, ...]
) -> None:
    soundfile.write(tmp_path / "a.flac", np.array([[1, 2], [3, 4]], np.int16), 8000)
    read = Recording.read(tmp_path / "a.flac", swap=swap)
    assert read.tracks == tracks
    assert read.pcm.tolist() == [[1, 2], [3, 4]]


def test_float_and_wide_band_files_sound_the_same_at_8_khz(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "a.wav", tone, 44_100, subtype="FLOAT")
    read = Recording.read(tmp_path / "a.wav")
    assert read.pcm.shape == (8000, 1)
    expected = 16_384 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    np.testing.assert_allclose(read.pcm[1000:7000, 0], expected[1000:7000], atol=40)


def test_a_file_that_is_no_recording_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "six.wav", np.zeros((9, 6), np.int16), 8000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.int16), 8000)
    for name, problem in [
        ("text.wav", "text.wav: "),
        ("absent.wav", "absent.wav: "),
        ("six.wav", "got 6 channels, expected 1 or 2"),
        ("none.wav", "got no samples"),
    ]:
        with pytest.raises(UnreadableRecording, match=problem):
            Recording.read(tmp_path / name)
