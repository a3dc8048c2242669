"""Asterisk AudioSocket: one track of a call as L16 in TCP.

A message is a kind (1 byte), a length (2 bytes, big-endian) and a payload (Asterisk's
documentation, "Channel Drivers > AudioSocket", "Protocol definition").
"""

from enum import IntEnum
from typing import ClassVar
from uuid import UUID

import numpy as np

from service.events import Audio, CallStarted, CallStopped, Event, Gap, Track
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem, Phase

HEADER_BYTES = 3
UUID_HEADER = bytes([0x01, 0, 16])  # of the first message of every connection
FRAME_S = 0.020  # how often Asterisk sends audio, and expects some


class Kind(IntEnum):
    """The kinds of messages that are not audio."""

    HANGUP = 0x00
    UUID = 0x01
    DTMF = 0x03
    ERROR = 0xFF


SLIN = 0x10
HANG_UP = bytes([Kind.HANGUP, 0, 0])  # the message by which the service ends a connection

# Hz, by the kind of a message of audio.
RATES = {
    SLIN: 8_000,
    0x11: 12_000,
    0x12: 16_000,
    0x13: 24_000,
    0x14: 32_000,
    0x15: 44_100,
    0x16: 48_000,
    0x17: 96_000,
    0x18: 192_000,
}


# How many messages one read may contain: 20 ms of audio take at least 323 bytes, and parsing many
# smaller messages would block the event loop.
MESSAGES_AT_ONCE = 64
LEAST_BYTES = 64  # a message, on average, beyond those


def _format(kind: int, payload: bytes) -> tuple[Encoding, int]:
    """Returns encoding and rate of a connection, by its first audio.

    An AudioSocket channel without a codec has that of its peer, but sends it as slin at 8 kHz.
    Frames are of 20 ms, so 640 bytes are slin at 16 kHz. 160 bytes are a companded codec, or slin
    of 10 ms: telephone audio is quieter in the right encoding than in a wrong one.
    """
    if kind == SLIN and len(payload) == 640:
        return Encoding.L16, 16_000
    if kind == SLIN and len(payload) == 160:
        return min((Encoding.MULAW, Encoding.L16), key=lambda one: _level(one, payload)), 8_000
    return Encoding.L16, RATES[kind]


def _level(encoding: Encoding, payload: bytes) -> float:
    """Returns the mean power of a payload."""
    (audio,) = Interleaved(encoding, (Track.CALLER,), frozenset(Track)).feed(payload)
    assert isinstance(audio, Audio)
    return float(np.mean(np.square(audio.pcm, dtype=np.float64)))


class AudioSocketBridge(ListenOnlyBridge):
    """One connection, which carries one track of the call with its UUID.

    `receive` accepts the bytes in pieces of any size and keeps at most one unfinished message. A
    connection that does not begin with a UUID is refused. The call starts with its first audio,
    whose kind and size tell encoding and sample rate; later audio of another kind becomes
    a gap. Whatever the close code, Asterisk only sees that the service hangs up.

    The bridge has no replies. But an Asterisk that receives no audio may end the connection or
    stop serving it: the edge must send `silence()` every `FRAME_S` seconds.

    Connections with the same UUID and different tracks carry one call (`joins`).

    Args:
        analysed_tracks: the tracks that become events; samples of others are not decoded.
        track: of this connection.
    """

    NAME: ClassVar[str] = "audiosocket"

    def __init__(self, analysed_tracks: frozenset[Track], *, track: Track) -> None:
        super().__init__()
        self.joins = True
        self._track = track
        self._call_id = ""  # until the UUID arrives
        self._kind: int | None = None  # of the first audio
        self._rate = RATES[SLIN]  # Hz, of the call's audio
        self._analysed_tracks = analysed_tracks
        self._samples = Interleaved(Encoding.L16, (track,), analysed_tracks)
        self._unfinished = b""

    @property
    def unfinished_message_bytes(self) -> int:
        """The size of a message whose end has not come yet."""
        return len(self._unfinished)

    @property
    def unfinished_sample_bytes(self) -> int:
        """The size of a sample whose end has not come yet."""
        return self._samples.unfinished_bytes

    @property
    def _is_over(self) -> bool:
        return self._phase is Phase.STOPPED

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in the next bytes; errors in them are counted."""
        assert isinstance(message, bytes), "got a text, expected bytes: TCP carries no text"
        if self._phase is Phase.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if self._unfinished:
            message = self._unfinished + message
        size = len(message)
        if (  # one message of audio, as most reads are
            size > HEADER_BYTES
            and message[0] == self._kind
            and message[1] << 8 | message[2] == size - HEADER_BYTES
        ):
            self._unfinished = b""
            return self._samples.feed(message[HEADER_BYTES:])
        events: list[Event] = []
        is_named, kind, feed = bool(self._call_id), self._kind, self._samples.feed
        at = 0
        left = MESSAGES_AT_ONCE + size // LEAST_BYTES
        while size - at >= HEADER_BYTES:
            if not left:
                self._drop(MessageProblem.TOO_MANY)
                return [*events, *self._end("flooded")]
            left -= 1
            payload_at = at + HEADER_BYTES
            end = payload_at + (message[at + 1] << 8 | message[at + 2])
            if not is_named and message[at:payload_at] != UUID_HEADER:
                self._refuse(message[at:payload_at])
                return events
            if end > size:
                break
            if message[at] == kind:
                events += feed(message[payload_at:end])
            else:
                events += self._message(message[at], message[payload_at:end])
                if self._is_over:
                    return events
                is_named, kind, feed = True, self._kind, self._samples.feed
            at = end
        self._unfinished = message[at:]
        return events

    def disconnected(self) -> list[Event]:
        """Returns the end of the call: Asterisk ends most calls by disconnecting."""
        return self._end("disconnected")

    def silence(self) -> bytes:
        """Returns a message of `FRAME_S` seconds of silence, at the rate of Asterisk's audio."""
        kind = self._kind or SLIN
        payload = bytes(round(FRAME_S * RATES[kind]) * 2)
        return bytes([kind]) + len(payload).to_bytes(2, "big") + payload

    def _message(self, kind: int, payload: bytes) -> list[Event]:
        if not self._call_id:
            self._call_id = str(UUID(bytes=payload))
            return []
        if kind in RATES:
            return self._audio(kind, payload)
        match kind:
            case Kind.HANGUP:
                return self._end("hangup")
            case Kind.UUID:
                return self._drop(MessageProblem.SECOND_START)
            case Kind.DTMF:
                return []
            case Kind.ERROR:
                return self._drop(MessageProblem.PROVIDER_ERROR)
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def _refuse(self, header: bytes) -> None:
        self._drop(MessageProblem.NOT_STARTED)
        reason = f"got {header.hex(' ')}, expected {UUID_HEADER.hex(' ')}, a UUID's header"
        self._close(CloseCode.POLICY, reason)

    def _audio(self, kind: int, payload: bytes) -> list[Event]:
        if self._kind is None:
            self._kind = kind
            self._phase = Phase.LIVE
            encoding, self._rate = _format(kind, payload)
            self._samples = Interleaved(encoding, (self._track,), self._analysed_tracks)
            started = CallStarted(self._call_id, self.NAME, (self._track,), self._rate)
            return [started, *self._samples.feed(payload)]
        self._drop(MessageProblem.UNSUPPORTED_AUDIO)
        samples = len(payload) // 2 * self._rate // RATES[kind]
        return [Gap(track, samples) for track in self._samples.analysed]

    def _end(self, reason: str) -> list[Event]:
        live, self._phase = self._phase is Phase.LIVE, Phase.STOPPED
        self._unfinished = b""
        if not live:
            self._close(CloseCode.NORMAL, "got no call")
        return [CallStopped(reason)] if live else []

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._unfinished = b""
        super()._close(close_code, reason)
