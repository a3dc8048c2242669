"""Plays recordings at the service as a telephone bridge would: for a demo, a load test, a check.

kanjo replay call.wav --calls 20
"""

import asyncio
import itertools
import json
import os
import secrets
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from model.audio import SAMPLE_RATE, alaw_encode, mulaw_encode, quantised, resample
from service.bridges.interleaved import Encoding
from service.errors import ServiceFailed, ServiceRefused, ServiceUnreachable, UnreadableRecording
from service.events import AlertState, Pcm, Track

FRAME_SAMPLES = 160  # 20 ms
STOPPED_WITHIN_S = 10.0  # from our stop to the service's answer
CALLS_PER_S = 100  # new calls, where there are many
GOLDEN = 0.618034  # multiples of it, modulo 1, are spread evenly however many there are


@dataclass(frozen=True, slots=True)
class Recording:
    """One call as it was recorded."""

    name: str
    tracks: tuple[Track, ...]
    pcm: Pcm  # (n, tracks) at 8 kHz

    @classmethod
    def read(cls, path: Path, *, swap: bool = False) -> "Recording":
        """Mono is the caller; stereo is the caller left and the agent right, or swapped."""
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise UnreadableRecording(path, str(error)) from error
        count, channels = samples.shape
        if channels > 2:
            raise UnreadableRecording(path, f"got {channels} channels, expected 1 or 2")
        if not count:
            raise UnreadableRecording(path, "got no samples, expected a recording")
        tracks = (Track.AGENT, Track.CALLER) if swap else (Track.CALLER, Track.AGENT)
        return cls(
            name=path.name.encode(errors="replace").decode(),
            tracks=tracks if channels == 2 else (Track.CALLER,),
            pcm=resample(quantised(samples), rate),
        )


# What a call hears from the service.


@dataclass(frozen=True, slots=True)
class ReadingHeard:
    """A window that ended here was scored."""

    end_s: float


@dataclass(frozen=True, slots=True)
class AlertHeard:
    """An alert took a step."""

    call_id: str
    emotion: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class ErrorHeard:
    """Something was wrong; after a fatal one the service closes."""

    code: str
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class StoppedHeard:
    """The service has said all it had to say."""


Heard = ReadingHeard | AlertHeard | ErrorHeard | StoppedHeard
Message = str | bytes


class Dialect(Protocol):
    """One call as one kind of bridge speaks it: frames out, messages in."""

    def start(self) -> Iterable[Message]: ...
    def frame(self, pcm: Pcm) -> Iterable[Message]: ...  # (n, tracks)
    def stop(self) -> Iterable[Message]: ...
    def receive(self, message: Message) -> Iterable[Heard]: ...


class NativeDialect:
    """The client's side of `service.bridges.native`."""

    def __init__(self, call_id: str, recording: Recording, encoding: Encoding) -> None:
        self._call_id = call_id
        self._recording = recording
        self._encoding = encoding

    def start(self) -> Iterable[Message]:
        yield json.dumps(
            {
                "type": "start",
                "call_id": self._call_id,
                "encoding": self._encoding,
                "sample_rate": SAMPLE_RATE,
                "tracks": self._recording.tracks,
                "metadata": {"recording": self._recording.name},
            }
        )

    def frame(self, pcm: Pcm) -> Iterable[Message]:
        match self._encoding:
            case Encoding.MULAW:
                yield mulaw_encode(pcm).tobytes()
            case Encoding.ALAW:
                yield alaw_encode(pcm).tobytes()
            case Encoding.L16:
                yield pcm.astype("<i2", copy=False).tobytes()

    def stop(self) -> Iterable[Message]:
        yield '{"type": "stop"}'

    def receive(self, message: Message) -> Iterable[Heard]:
        try:
            heard = self._heard(json.loads(message))
        except (ValueError, KeyError, TypeError):
            heard = ErrorHeard("unreadable", f"the service said {message[:80]!r}", fatal=False)
        if heard is not None:
            yield heard

    def _heard(self, content: Any) -> Heard | None:
        match content["type"]:
            case "reading":
                return ReadingHeard(float(content["end_s"]))
            case "alert":
                return AlertHeard(
                    self._call_id, content["emotion"], content["state"], content["text"]
                )
            case "error":
                return ErrorHeard(content["code"], content["message"], content["fatal"])
            case "stopped":
                return StoppedHeard()
        return None


BRIDGES: dict[str, Callable[[str, Recording, Encoding], Dialect]] = {"native": NativeDialect}


@dataclass(slots=True)
class Summary:
    """What came of it so far."""

    calls: int = 0  # connected
    live: int = 0
    played_s: float = 0.0
    readings: int = 0
    fired: Counter[str] = field(default_factory=Counter)  # alerts, by emotion
    errors: Counter[str] = field(default_factory=Counter)  # by code
    reasons: dict[str, str] = field(default_factory=dict)  # the first of each code
    late_s: "array[float]" = field(default_factory=lambda: array("d"))  # of each reading
    behind_s: float = 0.0  # the latest that a frame left this player

    def failed(self, code: str, reason: str) -> None:
        """One more error."""
        self.errors[code] += 1
        self.reasons.setdefault(code, reason)

    def late_percentile_s(self, percent: float) -> float | None:
        """How late a reading is at most, for so many of them."""
        return float(np.percentile(self.late_s, percent)) if self.late_s else None


async def replay(
    recordings: Sequence[Recording],
    url: str,
    *,
    calls: int = 1,
    speed: float = 1.0,
    repeat: bool = False,
    bridge: str = "native",
    encoding: Encoding = Encoding.MULAW,
    stop: asyncio.Event | None = None,
    summary: Summary | None = None,
    on_alert: Callable[[AlertHeard], None] = lambda _: None,
) -> Summary:
    """Plays every recording at least once, `calls` of them at a time.

    Setting `stop` ends all calls as a hang-up would. `summary` is filled while the calls run.
    A call that is refused counts as an error; if none is taken, the first refusal is raised.
    """
    stop = stop or asyncio.Event()
    summary = summary or Summary()
    run = secrets.token_hex(3)
    failures: list[ServiceFailed] = []
    begin_s = asyncio.get_running_loop().time()
    spread_s = 0.0 if calls == 1 else max(1.0, calls / CALLS_PER_S)

    async def line(first: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(begin_s + first * GOLDEN % 1 * spread_s):
                await stop.wait()
        last = None if repeat else max(len(recordings), calls)
        for number in itertools.islice(itertools.count(), first, last, calls):
            if stop.is_set():
                return
            recording = recordings[number % len(recordings)]
            dialect = BRIDGES[bridge](f"replay-{run}-{number + 1}", recording, encoding)
            try:
                await _call(dialect, recording, url, speed, stop, summary, on_alert)
            except ServiceFailed as failure:
                failures.append(failure)
                summary.failed("refused", str(failure))
                return

    async with asyncio.TaskGroup() as group:
        for first in range(calls):
            group.create_task(line(first))
    if failures and not summary.calls:
        raise failures[0]
    return summary


async def _call(
    dialect: Dialect,
    recording: Recording,
    url: str,
    speed: float,
    stop: asyncio.Event,
    summary: Summary,
    on_alert: Callable[[AlertHeard], None],
) -> None:
    sent_s = array("d")  # when each frame left
    async with await _connect(url) as socket:
        summary.calls += 1
        summary.live += 1
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_listen(dialect, socket, sent_s, summary, on_alert))
                with suppress(ConnectionClosed):
                    await _speak(dialect, recording, socket, speed, stop, sent_s, summary)
                if not (await asyncio.wait({listening}, timeout=STOPPED_WITHIN_S))[0]:
                    summary.failed("no_stopped", f"no answer to stop in {STOPPED_WITHIN_S:.0f} s")
                    listening.cancel()
        finally:
            summary.live -= 1


async def _connect(url: str) -> ClientConnection:
    local = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    try:
        return await connect(url, compression=None, proxy=None if local else True)
    except InvalidStatus as refused:
        response = refused.response
        raise ServiceRefused.from_body(url, response.status_code, bytes(response.body)) from refused
    except TimeoutError as error:
        raise ServiceUnreachable(url, "no answer in time") from error
    except OSError as error:
        number = error.errno or 0  # resolvers count theirs below zero
        problem = os.strerror(number) if number > 0 else str(error)
        raise ServiceUnreachable(url, problem) from error
    except (InvalidHandshake, InvalidURI) as error:
        raise ServiceUnreachable(url, str(error)) from error


async def _speak(
    dialect: Dialect,
    recording: Recording,
    socket: ClientConnection,
    speed: float,
    stop: asyncio.Event,
    sent_s: "array[float]",
    summary: Summary,
) -> None:
    for message in dialect.start():
        await socket.send(message)
    origin_s = time.monotonic()
    for number, at in enumerate(range(0, len(recording.pcm), FRAME_SAMPLES)):
        pcm = recording.pcm[at : at + FRAME_SAMPLES]
        due_s = origin_s + at / SAMPLE_RATE / speed
        await asyncio.sleep(due_s - time.monotonic())
        if stop.is_set():
            break
        sent_s.append(time.monotonic())
        summary.behind_s = max(summary.behind_s, sent_s[number] - due_s)
        summary.played_s += len(pcm) / SAMPLE_RATE
        for message in dialect.frame(pcm):
            await socket.send(message)
    for message in dialect.stop():
        await socket.send(message)


async def _listen(
    dialect: Dialect,
    socket: ClientConnection,
    sent_s: "array[float]",
    summary: Summary,
    on_alert: Callable[[AlertHeard], None],
) -> None:
    explained = False  # a close that follows a fatal error is no second one
    try:
        while True:
            message = await socket.recv()
            arrived_s = time.monotonic()
            for heard in dialect.receive(message):
                match heard:
                    case ReadingHeard(end_s):
                        _time(end_s, arrived_s, sent_s, summary)
                    case AlertHeard():
                        summary.fired[heard.emotion] += heard.state == AlertState.FIRING
                        on_alert(heard)
                    case ErrorHeard():
                        explained = explained or heard.fatal
                        summary.failed(heard.code, heard.message)
                    case StoppedHeard():
                        return
    except ConnectionClosed as closed:
        if not explained:
            summary.failed("closed", str(closed))


def _time(end_s: float, arrived_s: float, sent_s: "array[float]", summary: Summary) -> None:
    """Lateness: from the moment the window's last sample left to the reading's arrival."""
    frame = max(round(end_s * SAMPLE_RATE) - 1, 0) // FRAME_SAMPLES
    if not sent_s or frame > len(sent_s):  # one more is rounding
        summary.failed("reading_ahead", f"a reading ends at {end_s} s, beyond what was played")
        return
    summary.readings += 1
    summary.late_s.append(arrived_s - sent_s[min(frame, len(sent_s) - 1)])
