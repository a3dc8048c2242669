"""Asterisk chan_websocket: events as plain text or JSON, media in the channel's codec.

The events are those of Asterisk's documentation, "Channel Drivers > WebSocket", "Control
Commands and Events". The bridge sends no command.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote_plus

from service.events import CallStarted, CallStopped, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import (
    ListenOnlyBridge,
    MessageProblem,
    Phase,
    StartRefused,
)
from service.telephony.shared.pre_start_buffer import PreStartBuffer
from service.telephony.shared.spelling import json_value

MAX_TEXT_CHARS = 65_536
MAX_FIELDS = 32  # of a plain text event
DIALED = "DIALEDPEERNUMBER"  # the channel variable that holds the dial string
MAX_DIAL_CHARS = 2_048  # of a dial string; a longer one is ignored

# Events that the bridge does not use.
IGNORED = frozenset(
    {
        "DTMF_END",
        "MEDIA_BUFFERING_COMPLETED",
        "MEDIA_MARK_PROCESSED",
        "MEDIA_XOFF",
        "MEDIA_XON",
        "QUEUE_DRAINED",
        "STATUS",
    }
)

# Asterisk's names of codecs that can be cut anywhere; slin is in the host's byte order, which is
# little-endian wherever Asterisk is run.
FORMATS = {
    "ulaw": (Encoding.MULAW, 8_000),
    "alaw": (Encoding.ALAW, 8_000),
    "slin": (Encoding.L16, 8_000),
    "slin12": (Encoding.L16, 12_000),
    "slin16": (Encoding.L16, 16_000),
    "slin24": (Encoding.L16, 24_000),
    "slin32": (Encoding.L16, 32_000),
    "slin44": (Encoding.L16, 44_100),
    "slin48": (Encoding.L16, 48_000),
    "slin96": (Encoding.L16, 96_000),
    "slin192": (Encoding.L16, 192_000),
}

# The track of each `side`, for a snoop of the customer's channel: `in` is what the channel sends.
TRACKS = {
    "in": Track.CALLER,
    "customer": Track.CALLER,
    "caller": Track.CALLER,
    "out": Track.AGENT,
    "agent": Track.AGENT,
}

_OPTION = re.compile(r"(\w)(?:\(([^)]*)\))?")  # of a dial string: `c(ulaw)`, `n`, `v(side=in)`


class AsteriskBridge(ListenOnlyBridge):
    """One socket, which carries one track of a call.

    `callId` and `side` are taken from the dial string's `v(...)`, which JSON events carry in
    `DIALEDPEERNUMBER`, or else from channel variables of these names. Those of the query,
    `call_id_hint` and `side_hint`, are used only if MEDIA_START has no dial string: Asterisk
    repeats an earlier call's query when a later one has no `v(...)`. Without a `callId` the call's
    id is the `channel_id`. Without a `side`, or with one that is not in `tracks`, the call is
    refused.

    Sockets with the same `callId` carry tracks of one call: then `joins` is true.

    Silence without frames leaves no trace in the messages, so its time is not part of the call's.

    Args:
        analysed_tracks: the tracks that become events; samples of others are not decoded.
        tracks: the track of each `side`.
        call_id_hint: `callId` of the query.
        side_hint: `side` of the query.
        max_frame_bytes: a larger frame becomes a gap.
        max_pre_start_bytes: how much audio before MEDIA_START is kept; what follows becomes a gap.
    """

    NAME: ClassVar[str] = "asterisk"
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ("media",)

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
        *,
        tracks: Mapping[str, Track] = TRACKS,
        call_id_hint: str | None = None,
        side_hint: str | None = None,
        max_frame_bytes: int = 524_288,
        max_pre_start_bytes: int = 65_536,
    ) -> None:
        super().__init__()
        self.joins = False
        self._analysed_tracks = analysed_tracks
        self._tracks = tracks
        self._hints = {"callId": call_id_hint, "side": side_hint}
        self._max_frame_bytes = max_frame_bytes
        self._pre_start = PreStartBuffer(max_pre_start_bytes)
        self._samples = Interleaved(Encoding.L16, (), analysed_tracks)

    @property
    def buffered_bytes(self) -> int:
        """The size of the audio that is kept: before the start, and of an unfinished sample."""
        return len(self._pre_start) + self._samples.unfinished_bytes

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in one message; errors in it are counted."""
        if self._phase is Phase.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if isinstance(message, str):
            return self._text(message)
        return self._audio(message) if self._phase is Phase.LIVE else self._keep(message)

    def disconnected(self) -> list[Event]:
        """Returns the end of the call: Asterisk ends every call by disconnecting."""
        live, self._phase = self._phase is Phase.LIVE, Phase.STOPPED
        self._pre_start.clear()
        return [CallStopped("disconnected")] if live else []

    def _audio(self, frame: bytes) -> list[Event]:
        if len(frame) > self._max_frame_bytes:
            self._drop(MessageProblem.FRAME_TOO_LARGE)
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _keep(self, frame: bytes) -> list[Event]:
        """Keeps audio until MEDIA_START arrives."""
        if not self._pre_start.has_room(frame):
            self._drop(MessageProblem.HELD_TOO_MUCH)
        self._pre_start.add(frame)
        return []

    def _text(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        try:
            fields = _fields(text)
        except (ValueError, TypeError):
            return self._drop(MessageProblem.BAD_JSON)
        match fields.get("event"):
            case "MEDIA_START" if self._phase is Phase.WAITING:
                return self._start(fields)
            case "MEDIA_START":
                return self._drop(MessageProblem.SECOND_START)
            case "ERROR":
                return self._drop(MessageProblem.PROVIDER_ERROR)
            case str(event) if event in IGNORED:
                return []
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def _start(self, fields: Mapping[str, object]) -> list[Event]:
        found = fields.get("channel_variables")
        variables: Mapping[str, object] = found if isinstance(found, dict) else {}
        dial_string = variables.get(DIALED)
        parameters = _parameters(dial_string)
        sources: list[Mapping[str, object]] = [parameters, variables]
        if dial_string is None:
            sources.append(self._hints)
        call_id, side = (_first(name, sources) for name in ("callId", "side"))
        try:
            encoding, sample_rate = _format(fields.get("format"))
            track = self._track(side)
            channel_id = fields.get("channel_id")
            name = _call_id(channel_id if call_id is None else call_id)
        except StartRefused as refused:
            return self._refuse_start(refused)
        self.joins = call_id is not None
        self._phase = Phase.LIVE
        self._samples = Interleaved(encoding, (track,), self._analysed_tracks)
        hidden = ("event", "channel_variables")
        others = {k: v for k, v in fields.items() if k not in hidden} | dict(variables)
        own = {k: v for k, v in parameters.items() if k not in ("", "callId", "side")}
        if own:  # each by itself, so that it can be a fact, and masked as one
            others = {k: v for k, v in others.items() if k != DIALED} | own
        started = CallStarted(name, self.NAME, (track,), sample_rate, identity.metadata(others))
        return [started, *self._pre_start.release(self._samples)]

    def _track(self, side: object) -> Track:
        if isinstance(side, str) and side in self._tracks:
            return self._tracks[side]
        reason = f"got side {ascii(side):.40}, expected {', '.join(self._tracks)}"
        raise StartRefused(MessageProblem.UNKNOWN_TRACK, CloseCode.POLICY, reason)

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._pre_start.clear()
        super()._close(close_code, reason)


def _fields(text: str) -> Mapping[str, object]:
    """Returns one event's fields, from JSON or from `EVENT name:value name:value`."""
    if text.startswith("{"):
        fields: Mapping[str, object] = json_value(text)
        return fields
    event, *words = text.split(maxsplit=MAX_FIELDS) or [""]
    pairs = (word.partition(":") for word in words)
    return {"event": event} | {name: value for name, _, value in pairs if name != "event"}


def _parameters(dial_string: object) -> dict[str, str]:
    """Returns the parameters in a dial string's `v`: `fer/c(ulaw)v(callId=c1,side=in)`."""
    if not isinstance(dial_string, str) or len(dial_string) > MAX_DIAL_CHARS:
        return {}
    _, _, options = dial_string.partition("/")
    query = dict(_OPTION.findall(options)).get("v", "")
    pairs = (parameter.partition("=") for parameter in query.split(","))
    return {name.strip(): unquote_plus(value.strip()) for name, _, value in pairs}


def _first(name: str, sources: Sequence[Mapping[str, object]]) -> object:
    """Returns the first non-empty value of `name` among the sources, or None."""
    return next((source[name] for source in sources if source.get(name)), None)


def _format(name: object) -> tuple[Encoding, int]:
    if isinstance(name, str) and name in FORMATS:
        return FORMATS[name]
    reason = f"got format {ascii(name):.40}, expected ulaw, alaw or slin"
    raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)


def _call_id(value: object) -> str:
    call_id = identity.call_id(value)
    if call_id is not None:
        return call_id
    reason = f"got call id {ascii(value):.60}, expected 1 to 128 printable characters"
    raise StartRefused(MessageProblem.BAD_START, CloseCode.POLICY, reason)
