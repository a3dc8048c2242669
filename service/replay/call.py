"""One replayed call: its connections, the audio sent over them in real time, the replies."""

import asyncio
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from model.audio import SAMPLE_RATE
from service.events import AlertState
from service.replay.handshake import handshake_errors
from service.replay.summary import FRAME_SAMPLES, ReplaySummary
from service.telephony.shared.client import (
    AlertReceived,
    ErrorReceived,
    ProviderClient,
    ReadingReceived,
    StoppedReceived,
)
from service.telephony.shared.recording import Recording


@dataclass(slots=True)
class _Connection:
    """One connection of a call."""

    client: ProviderClient
    socket: ClientConnection
    finished: bool = False  # all audio was sent, or our side hung up


class ReplayedCall:
    """One call that plays a recording at the service.

    Args:
        clients: the provider's client of each connection of the call.
        url: where they connect to.
        speed: 1 is real time, 2 twice as fast.
        stop: ends the call as a hang-up would.
        summary: counts what is sent and received.
        on_alert: called at every step of every alert that the service sends.
        on_reading: called with the recording at every reading that the service sends.
        stopped_within_s: longest time from our stop to the service's own.
    """

    def __init__(
        self,
        clients: Sequence[ProviderClient],
        recording: Recording,
        url: str,
        *,
        speed: float,
        stop: asyncio.Event,
        summary: ReplaySummary,
        on_alert: Callable[[AlertReceived], None],
        on_reading: Callable[[Recording, ReadingReceived], None],
        stopped_within_s: float,
    ) -> None:
        self._clients = clients
        self._recording = recording
        self._url = url
        self._speed = speed
        self._stop = stop
        self._summary = summary
        self._on_alert = on_alert
        self._on_reading = on_reading
        self._stopped_within_s = stopped_within_s
        self._sent_s = array("d")  # when each frame was sent

    async def run(self) -> None:
        """Connects, plays the recording, and returns when the service has ended the call too.

        Raises:
            ServiceFailed: a connection was not accepted.
        """
        summary = self._summary
        async with AsyncExitStack() as sockets:
            connections = [
                _Connection(
                    client,
                    await sockets.enter_async_context(
                        await _connect(self._url, client, self._stopped_within_s)
                    ),
                )
                for client in self._clients
            ]
            summary.calls += 1
            summary.live += 1
            try:
                async with asyncio.TaskGroup() as group:
                    receiving = [group.create_task(self._receive(each)) for each in connections]
                    with suppress(ConnectionClosed):
                        await self._send(connections, receiving)
                    for connection in connections:
                        if connection.client.hangs_up:
                            connection.finished = True
                            await connection.socket.close()
                    _, unanswered = await asyncio.wait(receiving, timeout=self._stopped_within_s)
                    for task in unanswered:
                        summary.add_error(
                            "no_stopped", f"no answer to stop in {self._stopped_within_s:.0f} s"
                        )
                        task.cancel()
            finally:
                summary.live -= 1

    async def _send(
        self, connections: Sequence[_Connection], receiving: Sequence[asyncio.Task[None]]
    ) -> None:
        """Sends the recording until it is over, `stop` is set or the service ends the call."""
        for connection in connections:
            for message in connection.client.start():
                await connection.socket.send(message)
        pcm, sent_s, summary = self._recording.pcm, self._sent_s, self._summary
        origin_s = time.monotonic()
        for number, at in enumerate(range(0, len(pcm), FRAME_SAMPLES)):
            frame = pcm[at : at + FRAME_SAMPLES]
            due_s = origin_s + at / SAMPLE_RATE / self._speed
            await asyncio.sleep(due_s - time.monotonic())
            if any(task.done() for task in receiving):
                return
            if self._stop.is_set():
                break
            sent_s.append(time.monotonic())
            summary.behind_s = max(summary.behind_s, sent_s[number] - due_s)
            summary.played_s += len(frame) / SAMPLE_RATE
            for connection in connections:
                for message in connection.client.frame(frame):
                    await connection.socket.send(message)
        for connection in connections:
            connection.finished = True
            for message in connection.client.stop():
                await connection.socket.send(message)

    async def _receive(self, connection: _Connection) -> None:
        """Counts what the service sends; returns when it stops the call or the connection ends."""
        explained = False  # the close that follows a fatal error is not a second error
        try:
            while True:
                message = await connection.socket.recv()
                arrived_s = time.monotonic()
                for received in connection.client.receive(message):
                    match received:
                        case ReadingReceived():
                            self._summary.add_reading(received.end_s, arrived_s, self._sent_s)
                            self._on_reading(self._recording, received)
                        case AlertReceived():
                            firing = received.state == AlertState.FIRING
                            self._summary.fired[received.emotion] += firing
                            self._on_alert(received)
                        case ErrorReceived():
                            explained = explained or received.fatal
                            self._summary.add_error(received.code, received.message)
                        case StoppedReceived():
                            return
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else None
            hung_up = (
                connection.client.hangs_up
                and connection.finished
                and code == CloseCode.NORMAL_CLOSURE
            )
            if not hung_up and not explained:
                self._summary.add_error("closed", str(closed))


async def _connect(url: str, client: ProviderClient, closed_within_s: float) -> ClientConnection:
    """Opens one connection as the provider does.

    A client that hangs up by closing has it closed by the service within `closed_within_s`.

    Raises:
        ServiceRefused: the service answered the handshake with an HTTP status.
        ServiceUnreachable: nothing answered, or not as a websocket server.
    """
    with handshake_errors(url):
        address = urlsplit(url)
        if client.query:
            url += ("&" if address.query else "?") + client.query
        return await connect(
            url,
            subprotocols=[Subprotocol(name) for name in client.subprotocols] or None,
            additional_headers=client.headers(),
            compression=None,
            close_timeout=closed_within_s,
            proxy=None if address.hostname in ("localhost", "127.0.0.1", "::1") else True,
        )
