"""Plays recordings at the service as a telephone bridge would: for a demo, a load test, a check.

kanjo replay call.wav --calls 20 --bridge twilio
"""

import asyncio
import itertools
import os
import secrets
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from model.audio import FRAME_SAMPLES, SAMPLE_RATE
from service.errors import ServiceFailed, ServiceRefused, ServiceUnreachable
from service.events import AlertState
from service.telephony.asterisk.client import AsteriskClient
from service.telephony.audiohook.client import AudioHookClient
from service.telephony.exotel.client import ExotelClient
from service.telephony.freeswitch.client import FreeswitchClient
from service.telephony.jambonz.client import JambonzClient
from service.telephony.native.client import NativeClient
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.client import (
    NO_CREDENTIALS,
    AlertReceived,
    ClientCredentials,
    ErrorReceived,
    Feedback,
    ProviderClient,
    ReadingReceived,
    StoppedReceived,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.client import TelnyxClient
from service.telephony.twilio.client import TwilioClient
from service.telephony.vonage.client import VonageClient

STOPPED_WITHIN_S = 10.0  # from our stop to the service's answer
CALLS_PER_S = 100  # new calls, where there are many
GOLDEN = 0.618034  # multiples of it, modulo 1, are spread evenly however many there are

CLIENTS: Mapping[str, type[ProviderClient]] = {
    dialect.name: dialect
    for dialect in (
        NativeClient,
        AudioHookClient,
        TwilioClient,
        FreeswitchClient,
        JambonzClient,
        AsteriskClient,
        VonageClient,
        TelnyxClient,
        PlivoClient,
        ExotelClient,
    )
}


@dataclass(slots=True)
class ReplaySummary:
    """What came of it so far, as much of it as the bridge is told."""

    ear: Feedback = Feedback.READINGS
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
    encoding: Encoding | None = None,
    access: ClientCredentials = NO_CREDENTIALS,
    stop: asyncio.Event | None = None,
    summary: ReplaySummary | None = None,
    on_alert: Callable[[AlertReceived], None] = lambda _: None,
) -> ReplaySummary:
    """Plays every recording at least once, `calls` of them at a time.

    Setting `stop` ends all calls as a hang-up would. `summary` is filled while the calls run.
    A call that is refused counts as an error; if none is taken, the first refusal is raised.

    Raises:
        Unplayable: the bridge does not know this encoding, or this access.
        ServiceFailed: no call was taken.
    """
    dialect = CLIENTS[bridge]
    dialect("", recordings[0], encoding, url=url, access=access)  # before anybody is called
    stop = stop or asyncio.Event()
    summary = summary or ReplaySummary()
    summary.ear = dialect.ear
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
            call_id = f"replay-{run}-{number + 1}"
            connections = dialect.connections(call_id, recording, encoding, url, access)
            try:
                await _call(connections, recording, url, speed, stop, summary, on_alert)
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


@dataclass(slots=True)
class _Line:
    """One connection of a call."""

    dialect: ProviderClient
    socket: ClientConnection
    said_all: bool = False


async def _call(
    connections: Sequence[ProviderClient],
    recording: Recording,
    url: str,
    speed: float,
    stop: asyncio.Event,
    summary: ReplaySummary,
    on_alert: Callable[[AlertReceived], None],
) -> None:
    sent_s = array("d")  # when each frame left
    async with AsyncExitStack() as open_sockets:
        lines = [
            _Line(dialect, await open_sockets.enter_async_context(await _connect(url, dialect)))
            for dialect in connections
        ]
        summary.calls += 1
        summary.live += 1
        try:
            async with asyncio.TaskGroup() as group:
                listening = [
                    group.create_task(_listen(line, sent_s, summary, on_alert)) for line in lines
                ]
                with suppress(ConnectionClosed):
                    await _speak(lines, recording, speed, stop, listening, sent_s, summary)
                for line in lines:
                    if line.dialect.hangs_up:
                        line.said_all = True
                        await line.socket.close()
                waiting = (await asyncio.wait(listening, timeout=STOPPED_WITHIN_S))[1]
                for task in waiting:
                    summary.failed("no_stopped", f"no answer to stop in {STOPPED_WITHIN_S:.0f} s")
                    task.cancel()
        finally:
            summary.live -= 1


async def _connect(url: str, dialect: ProviderClient) -> ClientConnection:
    parts = urlsplit(url)
    if dialect.query:
        url += ("&" if parts.query else "?") + dialect.query
    try:
        return await connect(
            url,
            subprotocols=[Subprotocol(name) for name in dialect.subprotocols] or None,
            additional_headers=dialect.headers(),
            compression=None,
            proxy=None if parts.hostname in ("localhost", "127.0.0.1", "::1") else True,
        )
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
    lines: Sequence[_Line],
    recording: Recording,
    speed: float,
    stop: asyncio.Event,
    listening: Sequence[asyncio.Task[None]],
    sent_s: "array[float]",
    summary: ReplaySummary,
) -> None:
    """Until all is said, or `stop` is set, or the service has ended the call."""
    for line in lines:
        for message in line.dialect.start():
            await line.socket.send(message)
    origin_s = time.monotonic()
    for number, at in enumerate(range(0, len(recording.pcm), FRAME_SAMPLES)):
        pcm = recording.pcm[at : at + FRAME_SAMPLES]
        due_s = origin_s + at / SAMPLE_RATE / speed
        await asyncio.sleep(due_s - time.monotonic())
        if any(task.done() for task in listening):
            return
        if stop.is_set():
            break
        sent_s.append(time.monotonic())
        summary.behind_s = max(summary.behind_s, sent_s[number] - due_s)
        summary.played_s += len(pcm) / SAMPLE_RATE
        for line in lines:
            for message in line.dialect.frame(pcm):
                await line.socket.send(message)
    for line in lines:
        line.said_all = True
        for message in line.dialect.stop():
            await line.socket.send(message)


async def _listen(
    line: _Line,
    sent_s: "array[float]",
    summary: ReplaySummary,
    on_alert: Callable[[AlertReceived], None],
) -> None:
    explained = False  # a close that follows a fatal error is no second one
    try:
        while True:
            message = await line.socket.recv()
            arrived_s = time.monotonic()
            for heard in line.dialect.receive(message):
                match heard:
                    case ReadingReceived(end_s):
                        _time(end_s, arrived_s, sent_s, summary)
                    case AlertReceived():
                        summary.fired[heard.emotion] += heard.state == AlertState.FIRING
                        on_alert(heard)
                    case ErrorReceived():
                        explained = explained or heard.fatal
                        summary.failed(heard.code, heard.message)
                    case StoppedReceived():
                        return
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else None
        hung_up = line.dialect.hangs_up and line.said_all and code == CloseCode.NORMAL_CLOSURE
        if not hung_up and not explained:
            summary.failed("closed", str(closed))


def _time(end_s: float, arrived_s: float, sent_s: "array[float]", summary: ReplaySummary) -> None:
    """Lateness: from the moment the window's last sample left to the reading's arrival."""
    frame = max(round(end_s * SAMPLE_RATE) - 1, 0) // FRAME_SAMPLES
    if not sent_s or frame > len(sent_s):  # one more is rounding
        summary.failed("reading_ahead", f"a reading ends at {end_s} s, beyond what was played")
        return
    summary.readings += 1
    summary.late_s.append(arrived_s - sent_s[min(frame, len(sent_s) - 1)])
