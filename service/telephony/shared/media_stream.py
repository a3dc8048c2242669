"""Media streams as Twilio shaped them and others copied: JSON texts, audio in base64.

The dialects differ in names and types of fields, in formats, and in what they promise of time.
"""

from abc import ABC, abstractmethod
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ValidationError
from pydantic_core import PydanticCustomError, from_json

from service.errors import CallRefused
from service.events import CallStarted, CallStopped, CallSummary, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.jitter_buffer import JitterBuffer
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem, StartRefused

MAX_TEXT_CHARS = 262_144  # more than 10 s in any format here but the widest
MAX_HELD_CHARS = 65_536
MAX_STREAM_MS = 7 * 86_400_000  # a place beyond it is no place in a call
MAX_NUMBER_CHARS = 15
MAX_NUMBER = 10**MAX_NUMBER_CHARS - 1
RATES = range(8_000, 48_001)

_TRACK = '"track"'  # a member that only media messages have


def _identifier(text: str) -> str:
    if identity.call_id(text) is None:
        raise PydanticCustomError("identifier", "expected 1 to 128 printable characters")
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]


@dataclass(frozen=True, slots=True)
class StreamStart:
    """What a start message says, in one shape for all dialects."""

    call_id: str
    stream_id: str
    tracks: Sequence[str]  # in the provider's words
    encoding: str  # in the provider's words
    sample_rate: int
    channels: int
    metadata: Mapping[str, object]


class _State(Enum):
    WAITING = "waiting for start"
    LIVE = "live"
    STOPPED = "stopped"


class MediaStream(ListenOnlyBridge, ABC):
    """One stream of one call.

    `sides` says who is on which of the provider's tracks; those not in `analyse` are dropped
    unread. Media before `start` is held up to 65,536 characters and heard after it; what finds
    no room is dropped, and a Gap where the provider's clock says so.
    """

    NAME: ClassVar[str]
    STREAM_ID: ClassVar[str]  # the field that says in every message which stream it is of
    IGNORED: ClassVar[frozenset[str]]  # events that tell a listener nothing
    ENCODINGS: ClassVar[Mapping[str, Encoding]]
    ORIGIN_MS: ClassVar[int | None] = None  # where the clock begins; None: at the first piece
    SLACK_MS: ClassVar[int]
    DEPTH: ClassVar[int] = 0  # pieces that wait for earlier ones

    def __init__(self, sides: Mapping[str, Track], analyse: frozenset[Track]) -> None:
        assert len(set(sides.values())) == len(sides), f"a side is on two tracks: {sides}"
        super().__init__()
        self._sides = dict(sides)
        self._analyse = analyse
        unheard = [name for name, side in sides.items() if side not in analyse]
        self._unheard = tuple(f'{to}"{name}"' for name in unheard for to in (":", ": "))
        self._state = _State.WAITING
        self._held: list[str] = []
        self._held_chars = 0
        self._encoding = Encoding.MULAW
        self._rate = 0
        self._stream_id = ""
        self._origin_ms = self.ORIGIN_MS
        self._timelines: dict[Track, JitterBuffer] = {}

    @abstractmethod
    def _opening(self, message: dict[str, Any]) -> StreamStart:
        """What this start message says.

        Raises:
            Refused, ValidationError: it can't be taken.
        """

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message. What is wrong with it is counted."""
        if self.close_code is not None:
            return []
        if self._state is _State.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if isinstance(message, bytes):
            return self._drop(MessageProblem.UNEXPECTED_BINARY)
        if len(message) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        if self._state is _State.LIVE and self._is_unheard(message):
            return []
        try:
            content = from_json(message, cache_strings="keys")
        except ValueError:
            return self._drop(MessageProblem.BAD_JSON)
        if not isinstance(content, dict):
            return self._drop(MessageProblem.BAD_JSON)
        match content.get("event"):
            case "media":
                if self._state is _State.WAITING:
                    return self._hold(message)
                return self._media(content)
            case "start":
                return self._start(content)
            case "stop":
                return self._stop(content)
            case "error":
                return self._drop(MessageProblem.PROVIDER_ERROR)
            case str(event) if event in self.IGNORED:
                return []
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def disconnected(self) -> list[Event]:
        """The provider is gone: the end of a call that was live."""
        return self._end("disconnected") if self._state is _State.LIVE else []

    def refused(self, refusal: CallRefused) -> None:
        self._state = _State.STOPPED
        super().refused(refusal)

    def stopped(self, reason: str, summary: CallSummary) -> None:
        self._state = _State.STOPPED
        super().stopped(reason, summary)

    def failed(self) -> None:
        self._state = _State.STOPPED
        super().failed()

    def _is_unheard(self, text: str) -> bool:
        """Whether it is media of a track that nobody analyses; to look is cheaper than to parse."""
        at = text.find(_TRACK)
        return at >= 0 and text.startswith(self._unheard, at + len(_TRACK))

    def _drop(self, problem: MessageProblem) -> list[Event]:
        self.message_errors[problem] += 1
        return []

    def _hold(self, text: str) -> list[Event]:
        if self._held_chars + len(text) > MAX_HELD_CHARS:
            return self._drop(MessageProblem.HELD_TOO_MUCH)
        self._held.append(text)
        self._held_chars += len(text)
        return []

    def _start(self, message: dict[str, Any]) -> list[Event]:
        if self._state is _State.LIVE:
            return self._drop(MessageProblem.SECOND_START)
        held, self._held = self._held, []
        try:
            opening = self._opening(message)
            self._encoding = self._supported(opening)
        except StartRefused as refused:
            self._close(refused.close_code, str(refused))
            return self._drop(refused.problem)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_context=False)[0]
            field = ".".join(map(str, first["loc"]))
            self._close(CloseCode.POLICY, f"bad start: {field}: {first['msg']}")
            return self._drop(MessageProblem.BAD_START)
        self._state = _State.LIVE
        self._stream_id = opening.stream_id
        self._rate = opening.sample_rate
        tracks = dict.fromkeys(self._sides[name] for name in opening.tracks if name in self._sides)
        events: list[Event] = [
            CallStarted(
                opening.call_id,
                self.NAME,
                tuple(tracks),
                opening.sample_rate,
                identity.metadata(opening.metadata),
            )
        ]
        for text in held:
            events += self._media(from_json(text))
        return events

    def _supported(self, opening: StreamStart) -> Encoding:
        encoding = self.ENCODINGS.get(opening.encoding.partition(";")[0].strip())
        if encoding is None:
            expected = ", ".join(self.ENCODINGS)
            reason = f"got encoding {opening.encoding[:40]!r}, expected {expected}"
        elif opening.sample_rate not in RATES:
            reason = f"got sample rate {opening.sample_rate}, expected 8000 to 48000"
        elif opening.channels != 1:
            reason = f"got {opening.channels} channels, expected 1"
        elif not any(name in self._sides for name in opening.tracks):
            reason = f"got tracks {opening.tracks!r:.40}, expected some of {', '.join(self._sides)}"
            raise StartRefused(MessageProblem.UNKNOWN_TRACK, CloseCode.POLICY, reason)
        else:
            return encoding
        raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)

    def _media(self, message: dict[str, Any]) -> list[Event]:
        if message.get(self.STREAM_ID, self._stream_id) != self._stream_id:
            return self._drop(MessageProblem.OTHER_STREAM)
        try:
            media = message["media"]
            side = self._sides.get(media.get("track", ""))
            if side not in self._analyse:
                return [] if side else self._drop(MessageProblem.UNKNOWN_TRACK)
            chunk, at_ms = _number(media["chunk"]), _number(media["timestamp"])
            data = a2b_base64(media["payload"], strict_mode=True)
        except (KeyError, ValueError, TypeError, AttributeError):
            return self._drop(MessageProblem.BAD_MEDIA)
        if self._origin_ms is None:
            self._origin_ms = at_ms
        if at_ms - self._origin_ms > MAX_STREAM_MS:
            return self._drop(MessageProblem.BAD_MEDIA)
        timeline = self._timelines.get(side)
        if timeline is None:
            timeline = self._timelines[side] = JitterBuffer(
                side,
                self._encoding,
                self._rate,
                self._origin_ms,
                self.SLACK_MS,
                self.DEPTH,
                self.message_errors,
            )
        return timeline.place(chunk, at_ms, data)

    def _stop(self, message: dict[str, Any]) -> list[Event]:
        if self._state is _State.WAITING:
            return self._drop(MessageProblem.NOT_STARTED)
        if message.get(self.STREAM_ID, self._stream_id) != self._stream_id:
            return self._drop(MessageProblem.OTHER_STREAM)
        return self._end("stop")

    def _end(self, reason: str) -> list[Event]:
        self._state = _State.STOPPED
        last = [event for timeline in self._timelines.values() for event in timeline.flush()]
        return [*last, CallStopped(reason)]


def _number(value: object) -> int:
    """A count, which some providers send as a number and others as a text."""
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS and value.isdecimal():
        return int(value)
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return value
    raise ValueError(f"got {value!r:.40}, expected a count")
