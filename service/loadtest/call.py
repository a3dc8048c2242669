"""One call of a load test: its connections, its next frame, and how it ended."""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from functools import partial

from websockets.frames import CloseCode

from model.audio import SAMPLE_RATE, Pcm
from service.loadtest.socket import LoadSocket
from service.loadtest.tally import Tally
from service.telephony.shared.client import (
    AlertReceived,
    ErrorReceived,
    Message,
    ProviderClient,
    ReadingReceived,
    StoppedReceived,
)

REFUSED_WITHIN_S = 5.0  # a call that the service ends later was admitted


class CallState(Enum):
    """Where a call is in its life; the states follow each other in this order."""

    CONNECTING = auto()
    LIVE = auto()
    STOPPING = auto()  # the generator has ended it, and waits for the service
    ENDED = auto()


class LoadCall:
    """One call, which plays a tape in a circle until it is stopped or the service ends it.

    Frame k is due when its last sample has been spoken: (k + 1) frames after the beginning,
    whenever the frames before it were sent. So is lateness counted: from the moment at which the
    last sample of a reading was spoken, the time that a frame takes to fill included.

    Args:
        clients: the provider's client of each connection of the call.
        tape: (n, 1) int16, a multiple of `frame_samples`.
        offset: the sample of the tape at which the call begins, a multiple too.
        tally: is given what happens; the generator replaces it once a second.
        clock: seconds, monotonic.
        on_end: called once when the call has ended, with whether it was refused.
    """

    def __init__(
        self,
        clients: Sequence[ProviderClient],
        tape: Pcm,
        offset: int,
        frame_samples: int,
        *,
        tally: Callable[[], Tally],
        clock: Callable[[], float],
        on_end: Callable[["LoadCall", bool], None],
    ) -> None:
        self._clients = clients
        self._tape = tape
        self._offset = offset
        self._frame_samples = frame_samples
        self._tally = tally
        self._clock = clock
        self._on_end = on_end
        self._sockets: list[LoadSocket] = []
        self._origin_s = 0.0
        self._frames = 0  # sent
        self._admitted = False  # as far as readings or alerts show it
        self._failed_s: float | None = None  # when the service said that it ends the call
        self._words = ""
        self.state = CallState.CONNECTING

    async def connect(self, url: str) -> None:
        """Opens the connections and begins the call.

        Raises:
            ServiceFailed: a connection was not accepted.
        """
        try:
            for client in self._clients:
                query = ("&" if "?" in url else "?") + client.query if client.query else ""
                self._sockets.append(
                    await LoadSocket.connect(
                        url + query,
                        client.subprotocols,
                        client.headers(),
                        partial(self._receive, client),
                        self._closed,
                    )
                )
        except BaseException:
            self.state = CallState.ENDED  # `_closed` is none of the caller's concern then
            self.abort()
            raise
        if self.state is not CallState.CONNECTING:
            return  # the service closed the first connection meanwhile
        self.state = CallState.LIVE
        self._origin_s = self._clock()
        for socket, client in zip(self._sockets, self._clients, strict=True):
            _send_all(socket, client.start())

    @property
    def due_s(self) -> float | None:
        """When the next frame is due; None once the call is being stopped."""
        if self.state is not CallState.LIVE:
            return None
        return self._origin_s + (self._frames + 1) * self._frame_samples / SAMPLE_RATE

    def send_frame(self) -> None:
        """Sends the next frame; does nothing once the call is being stopped."""
        if self.state is not CallState.LIVE:
            return
        at = (self._offset + self._frames * self._frame_samples) % len(self._tape)
        pcm = self._tape[at : at + self._frame_samples]
        self._frames += 1
        for socket, client in zip(self._sockets, self._clients, strict=True):
            _send_all(socket, client.frame(pcm))

    def stop(self) -> None:
        """Ends the call as its provider does: by its last messages, or by hanging up."""
        if self.state is not CallState.LIVE:
            return
        self.state = CallState.STOPPING
        for socket, client in zip(self._sockets, self._clients, strict=True):
            _send_all(socket, client.stop())
            if client.hangs_up:
                socket.close()

    def give_up(self, words: str) -> None:
        """Breaks the call off as one that failed, and records the reason."""
        self._words = self._words or words
        self.abort()

    def abort(self) -> None:
        """Breaks all connections off, which ends the call."""
        for socket in self._sockets:
            socket.abort()

    def _receive(self, client: ProviderClient, message: Message) -> None:
        arrived_s = self._clock()
        for received in client.receive(message):
            match received:
                case ReadingReceived(end_s=end_s):
                    self._admitted = True
                    tally = self._tally()
                    tally.readings += 1
                    tally.late_s.append(arrived_s - self._origin_s - end_s)
                case AlertReceived():
                    self._admitted = True
                    self._tally().alerts += 1
                case ErrorReceived(code, text, fatal=True):
                    self._failed_s = self._failed_s or arrived_s
                    self._words = self._words or f"{code}: {text}"
                case ErrorReceived(code, text):
                    self._tally().errors += 1
                    self._tally().words[f"{code}: {text}"] += 1
                case StoppedReceived():
                    for socket in self._sockets:
                        socket.close()

    def _closed(self, code: int, reason: str) -> None:
        """Ends the call when any of its connections has ended."""
        before, self.state = self.state, CallState.ENDED
        if before is CallState.ENDED:
            return
        for socket in self._sockets:
            socket.close()
        tally, now_s = self._tally(), self._clock()
        refused = False
        if before is CallState.STOPPING and not self._words:
            tally.ended += 1
        else:
            after_s = (self._failed_s or now_s) - (self._origin_s or now_s)
            # Where a connection breaks without a close frame, nobody has refused anything.
            explained = bool(self._words) or code != CloseCode.ABNORMAL_CLOSURE
            refused = (
                before is not CallState.STOPPING
                and explained
                and not self._admitted
                and after_s < REFUSED_WITHIN_S
            )
            tally.words[self._words or f"closed with {code}: {reason}"] += 1
            if refused:
                tally.refused += 1
                tally.refused_after_s.append(after_s)
            else:
                tally.broken += 1
        self._on_end(self, refused)


def _send_all(socket: LoadSocket, messages: Iterable[Message]) -> None:
    for message in messages:
        socket.send(message)
