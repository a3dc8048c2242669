"""Asterisk AudioSocket: one track of a call as L16 in TCP.

A message is a kind (1 byte), a length (2 bytes, big-endian) and a payload (Asterisk's
documentation, "Channel Drivers > AudioSocket", "Protocol definition").
"""

from enum import IntEnum
from typing import ClassVar
from uuid import UUID

from service.events import CallStarted, CallStopped, Event, Gap, Track
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem

HEADER_BYTES = 3
UUID_HEADER = bytes([0x01, 0, 16])  # how every connection begins
FRAME_S = 0.020  # how often Asterisk speaks, and wants to be spoken to


class Kind(IntEnum):
    """What a message is, besides audio."""

    HANGUP = 0x00
    UUID = 0x01
    DTMF = 0x03
    ERROR = 0xFF


SLIN = 0x10

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


# Messages that one read may hold: 20 ms of audio take 323 bytes and more. What sends smaller ones
# in masses would cost the event loop more than it is worth.
MESSAGES_AT_ONCE = 64
LEAST_BYTES = 64  # a message, on average, beyond those


class AudioSocketBridge(ListenOnlyBridge):
    """One connection, which is one track of the call with its UUID; `receive` takes any pieces.

    A connection that does not begin with a UUID is somebody else's and refused. The call starts
    with its first audio, which says the rate; later audio at another rate becomes a gap. Of the
    bytes, no more than one unfinished message is kept. Whatever the close code, all that Asterisk
    sees is the end of the connection.

    The bridge answers nothing. But an Asterisk that hears nothing may end the connection or
    neglect it: the edge sends it `silence()` every FRAME_S.

    Connections with the same UUID and different tracks are sides of one call (`joins`).
    """

    NAME: ClassVar[str] = "audiosocket"

    def __init__(self, analyse: frozenset[Track], *, track: Track) -> None:
        super().__init__()
        self.joins = True
        self._track = track
        self._call_id = ""  # until the UUID has come
        self._kind: int | None = None  # of audio, once it has come
        self._over = False
        self._samples = Interleaved(Encoding.L16, (track,), analyse)
        self._unfinished = b""

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in the next bytes. What is wrong with them is counted."""
        assert isinstance(message, bytes), "TCP carries no text"
        if self._over:
            return self._drop(MessageProblem.AFTER_STOP)
        if self._unfinished:
            message = self._unfinished + message
        events: list[Event] = []
        at, size = 0, len(message)
        left = MESSAGES_AT_ONCE + size // LEAST_BYTES
        while size - at >= HEADER_BYTES:
            if not left:
                self._drop(MessageProblem.TOO_MANY)
                events += self._end("flooded")
                break
            left -= 1
            payload_at = at + HEADER_BYTES
            end = payload_at + (message[at + 1] << 8 | message[at + 2])
            if not self._call_id and message[at:payload_at] != UUID_HEADER:
                self._refuse(message[at:payload_at])
                break
            if end > size:
                break
            if message[at] == self._kind:
                events += self._samples.feed(message[payload_at:end])
            else:
                events += self._message(message[at], message[payload_at:end])
                if self._over:
                    break
            at = end
        self._unfinished = b"" if self._over else message[at:]
        return events

    def disconnected(self) -> list[Event]:
        """Asterisk is gone, which is how every call ends."""
        return self._end("disconnected")

    def silence(self) -> bytes:
        """FRAME_S of nothing to be heard, at the rate at which Asterisk speaks."""
        kind = self._kind or SLIN
        payload = bytes(round(FRAME_S * RATES[kind]) * 2)
        return bytes([kind]) + len(payload).to_bytes(2, "big") + payload

    def _drop(self, problem: MessageProblem) -> list[Event]:
        self.message_errors[problem] += 1
        return []

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
            started = CallStarted(self._call_id, self.NAME, (self._track,), RATES[kind])
            return [started, *self._samples.feed(payload)]
        self._drop(MessageProblem.UNSUPPORTED_AUDIO)
        samples = len(payload) // 2 * RATES[self._kind] // RATES[kind]
        return [Gap(track, samples) for track in self._samples.analysed]

    def _end(self, reason: str) -> list[Event]:
        live = self._kind is not None and not self._over
        self._over = True
        self._unfinished = b""
        if not live:
            self._close(CloseCode.NORMAL, "got no call")
        return [CallStopped(reason)] if live else []

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._over = True
        self._unfinished = b""
        super()._close(close_code, reason)
