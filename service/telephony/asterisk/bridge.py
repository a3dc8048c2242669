"""Asterisk chan_websocket: events as plain text or JSON, media in the channel's codec.

The events are those of Asterisk's documentation, "Channel Drivers > WebSocket", "Control
Commands and Events". No command is ever sent.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar
from urllib.parse import unquote_plus

from pydantic_core import from_json

from service.events import CallStarted, CallStopped, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem, StartRefused
from service.telephony.shared.pre_start_buffer import PreStartBuffer

MAX_TEXT_CHARS = 65_536
MAX_FIELDS = 32  # of a plain text event
MAX_DIAL_CHARS = 2_048  # of a dial string; a longer one says nothing

# Events of which nothing is heard.
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

# Whom a socket carries when the customer's channel is snooped: `in` is what that channel says.
SIDES = {
    "in": Track.CALLER,
    "customer": Track.CALLER,
    "caller": Track.CALLER,
    "out": Track.AGENT,
    "agent": Track.AGENT,
}

_OPTION = re.compile(r"(\w)(?:\(([^)]*)\))?")  # of a dial string: `c(ulaw)`, `n`, `v(side=in)`


class _State(Enum):
    WAITING = "waiting for MEDIA_START"
    LIVE = "live"
    STOPPED = "stopped"


class AsteriskBridge(ListenOnlyBridge):
    """One socket, which is one side of a call.

    `callId` and `side` are those of the dial string's `v(...)` (JSON events tell it, in
    `DIALEDPEERNUMBER`), or else channel variables of these names. The query's, `call_id_hint`
    and `side_hint`, count only where MEDIA_START tells no dial string: Asterisk repeats an
    earlier call's query when a later one has no `v(...)`. Without a `callId` the call's id is the
    `channel_id`; without a `side`, or with one that `sides` does not name, the call is refused.

    Sockets of the same `callId` are sides of one call: then `joins` is true.

    Audio before MEDIA_START is held, at most `max_held_bytes`; all that follows is dropped until
    then, and becomes a gap. How long a silence without frames was is not on the wire: its time is
    not in the call.
    """

    NAME: ClassVar[str] = "asterisk"
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ("media",)

    def __init__(
        self,
        analyse: frozenset[Track],
        *,
        sides: Mapping[str, Track] = SIDES,
        call_id_hint: str | None = None,
        side_hint: str | None = None,
        max_frame_bytes: int = 524_288,
        max_held_bytes: int = 65_536,
    ) -> None:
        super().__init__()
        self.joins = False
        self._analyse = analyse
        self._sides = sides
        self._hints = {"callId": call_id_hint, "side": side_hint}
        self._max_frame_bytes = max_frame_bytes
        self._state = _State.WAITING
        self._held = PreStartBuffer(max_held_bytes)
        self._samples = Interleaved(Encoding.L16, (), analyse)

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message. What is wrong with it is counted."""
        if self._state is _State.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if isinstance(message, str):
            return self._text(message)
        return self._audio(message) if self._state is _State.LIVE else self._hold(message)

    def disconnected(self) -> list[Event]:
        """Asterisk has hung up, which is how every call ends."""
        live, self._state = self._state is _State.LIVE, _State.STOPPED
        self._held.clear()
        return [CallStopped("disconnected")] if live else []

    def _drop(self, problem: MessageProblem) -> list[Event]:
        self.message_errors[problem] += 1
        return []

    def _audio(self, frame: bytes) -> list[Event]:
        if len(frame) > self._max_frame_bytes:
            self._drop(MessageProblem.FRAME_TOO_LARGE)
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _hold(self, frame: bytes) -> list[Event]:
        if not self._held.has_room(frame):
            self._drop(MessageProblem.HELD_TOO_MUCH)
        self._held.add(frame)
        return []

    def _text(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        try:
            said = _event(text)
        except (ValueError, TypeError):
            return self._drop(MessageProblem.BAD_JSON)
        match said.get("event"):
            case "MEDIA_START" if self._state is _State.WAITING:
                return self._start(said)
            case "MEDIA_START":
                return self._drop(MessageProblem.SECOND_START)
            case "ERROR":
                return self._drop(MessageProblem.PROVIDER_ERROR)
            case str(event) if event in IGNORED:
                return []
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def _start(self, said: Mapping[str, object]) -> list[Event]:
        found = said.get("channel_variables")
        variables: Mapping[str, object] = found if isinstance(found, dict) else {}
        dialed = variables.get("DIALEDPEERNUMBER")
        sources: list[Mapping[str, object]] = [_parameters(dialed), variables]
        if dialed is None:
            sources.append(self._hints)
        call_id, side = (_first(name, sources) for name in ("callId", "side"))
        try:
            encoding, sample_rate = _format(said.get("format"))
            track = self._track(side)
            channel_id = said.get("channel_id")
            name = _call_id(channel_id if call_id is None else call_id)
        except StartRefused as refused:
            self._close(refused.close_code, str(refused))
            return self._drop(refused.problem)
        self.joins = call_id is not None
        self._state = _State.LIVE
        self._samples = Interleaved(encoding, (track,), self._analyse)
        hidden = ("event", "channel_variables")
        others = {k: v for k, v in said.items() if k not in hidden} | dict(variables)
        started = CallStarted(name, self.NAME, (track,), sample_rate, identity.metadata(others))
        return [started, *self._held.release(self._samples)]

    def _track(self, side: object) -> Track:
        if isinstance(side, str) and side in self._sides:
            return self._sides[side]
        reason = f"got side {ascii(side):.40}, expected {', '.join(self._sides)}"
        raise StartRefused(MessageProblem.UNKNOWN_TRACK, CloseCode.POLICY, reason)

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._state = _State.STOPPED
        self._held.clear()
        super()._close(close_code, reason)


def _event(text: str) -> Mapping[str, object]:
    """One event's fields, from JSON or from `EVENT name:value name:value`."""
    if text.startswith("{"):
        said: Mapping[str, object] = from_json(text, allow_inf_nan=False)
        return said
    event, *fields = text.split(maxsplit=MAX_FIELDS) or [""]
    pairs = (field.partition(":") for field in fields)
    return {"event": event} | {name: value for name, _, value in pairs if name != "event"}


def _parameters(dialed: object) -> dict[str, str]:
    """The query that a dial string asks for: `fer/c(ulaw)v(callId=c1,side=in)`."""
    if not isinstance(dialed, str) or len(dialed) > MAX_DIAL_CHARS:
        return {}
    _, _, options = dialed.partition("/")
    query = dict(_OPTION.findall(options)).get("v", "")
    pairs = (parameter.partition("=") for parameter in query.split(","))
    return {name.strip(): unquote_plus(value.strip()) for name, _, value in pairs}


def _first(name: str, sources: Sequence[Mapping[str, object]]) -> object:
    """What the first source says that says something."""
    return next((source[name] for source in sources if source.get(name)), None)


def _format(name: object) -> tuple[Encoding, int]:
    if isinstance(name, str) and name in FORMATS:
        return FORMATS[name]
    reason = f"got format {ascii(name):.40}, expected ulaw, alaw or slin"
    raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)


def _call_id(said: object) -> str:
    call_id = identity.call_id(said)
    if call_id is not None:
        return call_id
    reason = f"got call id {ascii(said):.60}, expected 1 to 128 printable characters"
    raise StartRefused(MessageProblem.BAD_START, CloseCode.POLICY, reason)
