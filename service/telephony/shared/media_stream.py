"""Media streams in the shape of Twilio's, which others copied: JSON texts with audio in base64.

The providers' protocols differ in names and types of fields, in encodings, and in what they
guarantee of timestamps and order.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from service.events import CallStarted, CallStopped, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.jitter_buffer import JitterBuffer
from service.telephony.shared.listen_only import (
    ListenOnlyBridge,
    MessageProblem,
    Phase,
    StartRefused,
    bad_start,
)
from service.telephony.shared.spelling import audio_format, base64_bytes, folded, json_value

MAX_TEXT_CHARS = 262_144  # more than 10 s in all formats here except the widest
MAX_PRE_START_CHARS = 65_536
MAX_STREAM_MS = 7 * 86_400_000  # a later timestamp is an error
MAX_NUMBER_CHARS = 15
MAX_NUMBER = 10**MAX_NUMBER_CHARS - 1
RATES = range(8_000, 48_001)

_TRACK = '"track"'  # a field that only media messages have


def _identifier(text: str) -> str:
    if identity.call_id(text) is None:
        raise PydanticCustomError("identifier", "expected 1 to 128 printable characters")
    return text


def _numeric(value: object) -> object:
    return str(value) if type(value) is int and 0 <= value <= MAX_NUMBER else value


# A text, or a number, which is taken as a text.
Identifier = Annotated[str, AfterValidator(_identifier), BeforeValidator(_numeric)]


@dataclass(frozen=True, slots=True)
class StreamStart:
    """The content of a start message, in one shape for all providers."""

    call_id: str
    stream_id: str
    tracks: Sequence[str]  # by the provider's names
    encoding: str  # by the provider's name
    sample_rate: int | None  # Hz; None: only `encoding` may name it
    channels: int
    metadata: Mapping[str, object]


class MediaStream(ListenOnlyBridge, ABC):
    """One stream of one call.

    Encodings, rates and names are understood in any spelling that has only one meaning.

    Media messages before `start` are kept, up to 65,536 characters, and decoded after it. What
    does not fit is dropped, and becomes a Gap where the provider's timestamps show it.

    Args:
        tracks: our track for each of the provider's track names.
        analysed_tracks: media of other tracks are dropped without parsing.
        big_endian: whether L16 has the high byte first.
    """

    NAME: ClassVar[str]
    STREAM_ID: ClassVar[str]  # the field that names the stream in every message
    IGNORED: ClassVar[frozenset[str]]  # events that carry nothing we use
    ENCODINGS: ClassVar[tuple[str, ...]]  # that the provider documents, for refusals
    DEFAULT_TRACK: ClassVar[str] = ""  # of media messages that name none
    ORIGIN_MS: ClassVar[int | None] = None  # the first timestamp; None: that of the first chunk
    SLACK_MS: ClassVar[int]
    DEPTH: ClassVar[int] = 0  # chunks queued until earlier ones arrive

    def __init__(
        self,
        tracks: Mapping[str, Track],
        analysed_tracks: frozenset[Track],
        *,
        big_endian: bool = False,
    ) -> None:
        assert len(set(tracks.values())) == len(tracks), f"two names of one track: {tracks}"
        super().__init__()
        self._tracks = dict(tracks)
        self._live_tracks: dict[str, Track] = {}  # those that the start announced
        self._stream_field = self.STREAM_ID  # as it is spelled in this stream
        self._analysed_tracks = analysed_tracks
        skipped = [name for name, track in tracks.items() if track not in analysed_tracks]
        self._skipped = tuple(f'{to}"{name}"' for name in skipped for to in (":", ": "))
        self._pre_start: list[str] = []
        self._pre_start_chars = 0
        self._encoding = Encoding.MULAW
        self._rate = 0
        self._stream_id = ""
        self._big_endian = big_endian
        self._origin_ms = self.ORIGIN_MS
        self._jitter_buffers: dict[Track, JitterBuffer] = {}

    @property
    def pre_start_chars(self) -> int:
        """The size of the media messages that are kept until the start."""
        return self._pre_start_chars

    @abstractmethod
    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        """Returns the content of a start message.

        Raises:
            StartRefused, ValidationError: it can't be accepted.
        """

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in one message; errors in it are counted."""
        if self.close_code is not None:
            return []
        if self._phase is Phase.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if isinstance(message, bytes):
            return self._drop(MessageProblem.UNEXPECTED_BINARY)
        if len(message) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        if self._phase is Phase.LIVE and self._is_skipped(message):
            return []
        try:
            content = json_value(message)
        except ValueError:
            return self._drop(MessageProblem.BAD_JSON)
        if not isinstance(content, dict):
            return self._drop(MessageProblem.BAD_JSON)
        match content.get("event"):
            case "media":
                if self._phase is Phase.WAITING:
                    return self._keep(message)
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
        """Returns the end of the call, if it was live."""
        return self._end("disconnected") if self._phase is Phase.LIVE else []

    def _is_skipped(self, text: str) -> bool:
        """Returns whether a text is media of a track that is not analysed.

        Searching the text is cheaper than parsing it.
        """
        at = text.find(_TRACK)
        return at >= 0 and text.startswith(self._skipped, at + len(_TRACK))

    def _keep(self, text: str) -> list[Event]:
        """Keeps a media message until the start."""
        if self._pre_start_chars + len(text) > MAX_PRE_START_CHARS:
            return self._drop(MessageProblem.HELD_TOO_MUCH)
        self._pre_start.append(text)
        self._pre_start_chars += len(text)
        return []

    def _start(self, message: dict[str, Any]) -> list[Event]:
        if self._phase is Phase.LIVE:
            return self._drop(MessageProblem.SECOND_START)
        pre_start, self._pre_start, self._pre_start_chars = self._pre_start, [], 0
        try:
            start = self._parse_start(message)
            self._encoding, self._rate, names = self._supported(start)
        except StartRefused as refused:
            return self._refuse_start(refused)
        except ValidationError as invalid:
            return self._refuse_start(bad_start(invalid))
        self._phase = Phase.LIVE
        self._stream_id = start.stream_id
        self._live_tracks = {name: self._tracks[name] for name in names}
        sid = folded(self.STREAM_ID)
        self._stream_field = next((name for name in message if folded(name) == sid), self.STREAM_ID)
        metadata = identity.metadata(start.metadata)
        events: list[Event] = [
            CallStarted(
                start.call_id, self.NAME, tuple(self._live_tracks.values()), self._rate, metadata
            )
        ]
        for text in pre_start:
            events += self._media(json_value(text))
        return events

    def _supported(self, start: StreamStart) -> tuple[Encoding, int, tuple[str, ...]]:
        """Returns encoding, sample rate and our names of the tracks of a start.

        Raises:
            StartRefused: it can't be decoded, or it names none of our tracks.
        """
        audio = audio_format(start.encoding)
        named = (start.sample_rate, audio.sample_rate if audio else None)
        rates = {one for one in named if one is not None}
        rate = next(iter(rates)) if len(rates) == 1 else 0
        names = self._names(start.tracks)
        if audio is None:
            expected = ", ".join(self.ENCODINGS)
            reason = f"got encoding {start.encoding[:40]!r}, expected {expected}"
        elif rate not in RATES:
            got = " and ".join(map(str, sorted(rates))) or None
            reason = f"got sample rate {got}, expected one, 8000 to 48000"
        elif start.channels != 1:
            reason = f"got {start.channels} channels, expected 1"
        elif not names:
            reason = f"got tracks {start.tracks!r:.40}, expected some of {', '.join(self._tracks)}"
            raise StartRefused(MessageProblem.UNKNOWN_TRACK, CloseCode.POLICY, reason)
        else:
            return audio.encoding, rate, names
        raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)

    def _names(self, announced: Sequence[object]) -> tuple[str, ...]:
        """Returns our names of announced tracks: `inbound_track` is `inbound`, `both` is all."""
        words = {_track_name(name) for name in announced}
        return tuple(name for name in self._tracks if name in words or "both" in words)

    def _media(self, message: dict[str, Any]) -> list[Event]:
        if message.get(self._stream_field, self._stream_id) != self._stream_id:
            return self._drop(MessageProblem.OTHER_STREAM)
        try:
            media = message["media"]
            track = self._track(media)
            if track not in self._analysed_tracks:
                return [] if track else self._drop_track(media)
            chunk, at_ms = _number(media["chunk"]), _number(media["timestamp"])
            data = base64_bytes(media["payload"])
        except (KeyError, ValueError, TypeError, AttributeError):
            return self._drop(MessageProblem.BAD_MEDIA)
        if self._origin_ms is None:
            self._origin_ms = at_ms
        if at_ms - self._origin_ms > MAX_STREAM_MS:
            return self._drop(MessageProblem.BAD_MEDIA)
        jitter_buffer = self._jitter_buffers.get(track)
        if jitter_buffer is None:
            jitter_buffer = self._jitter_buffers[track] = JitterBuffer(
                track,
                self._encoding,
                self._rate,
                self._origin_ms,
                self.SLACK_MS,
                self.DEPTH,
                self.message_errors,
                big_endian=self._big_endian,
            )
        return jitter_buffer.place(chunk, at_ms, data)

    def _track(self, media: Mapping[str, Any]) -> Track | None:
        """Returns whose voice a media message is, or None if the start did not announce it."""
        name = media.get("track", self.DEFAULT_TRACK)
        track = self._live_tracks.get(name)
        return self._live_tracks.get(_track_name(name)) if track is None else track

    def _drop_track(self, media: Mapping[str, Any]) -> list[Event]:
        mixed = _track_name(media.get("track")) == "both"
        return self._drop(MessageProblem.MIXED_SPEAKERS if mixed else MessageProblem.UNKNOWN_TRACK)

    def _stop(self, message: dict[str, Any]) -> list[Event]:
        if self._phase is Phase.WAITING:
            return self._drop(MessageProblem.NOT_STARTED)
        if message.get(self._stream_field, self._stream_id) != self._stream_id:
            return self._drop(MessageProblem.OTHER_STREAM)
        return self._end("stop")

    def _end(self, reason: str) -> list[Event]:
        self._phase = Phase.STOPPED
        queued = [event for buffer in self._jitter_buffers.values() for event in buffer.flush()]
        return [*queued, CallStopped(reason)]


def _track_name(name: object) -> str:
    """Returns the short name of a track, from `inbound`, `Inbound` or `inbound_track`."""
    return folded(name).removesuffix("s").removesuffix("track") if isinstance(name, str) else ""


def _number(value: object) -> int:
    """Returns a count, which some providers send as a number and others as a text.

    Raises:
        ValueError: the value is not a count.
    """
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS and value.isdecimal():
        return int(value)
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return value
    raise ValueError(f"got {value!r:.40}, expected a count")
