"""Vonage Voice: the `websocket` endpoint of an NCCO, all parties of a conversation in one mix.

Vonage's documentation, "WebSockets", describes every message.
"""

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from service.errors import CallRefused
from service.events import CallStarted, CallStopped, CallSummary, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem, StartRefused
from service.telephony.shared.media_stream import RATES, Identifier
from service.telephony.shared.pre_start_buffer import PreStartBuffer

CALL_ID = "call_id"  # the header by which the NCCO says which call it is
CONTENT_TYPE = "audio/l16"
IGNORED = frozenset({"websocket:dtmf", "websocket:cleared", "websocket:notify"})
MAX_TEXT_CHARS = 65_536
MAX_HELD_BYTES = 65_536
MAX_FRAME_BYTES = 524_288


class _Connected(BaseModel, frozen=True):
    call_id: Identifier
    content_type: str = Field(alias="content-type")


class VonageBridge(ListenOnlyBridge):
    """A conversation's mix, which is analysed only where `analyse_mix` says so, as the caller.

    In a mix nobody can tell the agent's voice from the caller's. Without that permission the
    connection is closed with 1008.

    Audio before `websocket:connected` is held up to 65,536 bytes and heard after it; what finds
    no room is a Gap. An odd byte waits for its rest. There is no stop message.
    """

    def __init__(self, analyse: frozenset[Track], analyse_mix: bool = False) -> None:
        super().__init__()
        self._analyse = analyse
        self._analyse_mix = analyse_mix
        self._held = PreStartBuffer(MAX_HELD_BYTES)
        self._samples: Interleaved | None = None  # of a live call
        self._over = False

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message. What is wrong with it is counted."""
        if self.close_code is not None:
            return []
        if self._over:
            return self._drop(MessageProblem.AFTER_STOP)
        return self._text(message) if isinstance(message, str) else self._audio(message)

    def disconnected(self) -> list[Event]:
        """The provider is gone: the end of a call that was live."""
        live, self._samples = self._samples is not None and not self._over, None
        self._over = True
        return [CallStopped("disconnected")] if live else []

    def refused(self, refusal: CallRefused) -> None:
        self._over = True
        super().refused(refusal)

    def stopped(self, reason: str, summary: CallSummary) -> None:
        self._over = True
        super().stopped(reason, summary)

    def failed(self) -> None:
        self._over = True
        super().failed()

    def _drop(self, problem: MessageProblem) -> list[Event]:
        self.message_errors[problem] += 1
        return []

    def _text(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        try:
            content = from_json(text)
        except ValueError:
            return self._drop(MessageProblem.BAD_JSON)
        if not isinstance(content, dict):
            return self._drop(MessageProblem.BAD_JSON)
        match content.get("event"):
            case "websocket:connected":
                return self._connected(content)
            case str(event) if event in IGNORED:
                return []
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def _connected(self, content: dict[str, Any]) -> list[Event]:
        if self._samples is not None:
            return self._drop(MessageProblem.SECOND_START)
        try:
            if not self._analyse_mix:
                reason = "got a mix of speakers, expected one voice a track"
                raise StartRefused(MessageProblem.MIXED_SPEAKERS, CloseCode.POLICY, reason)
            connected = _Connected.model_validate(content)
            rate = _rate(connected.content_type)
        except StartRefused as refused:
            self._close(refused.close_code, str(refused))
            return self._drop(refused.problem)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False, include_context=False)[0]
            self._close(CloseCode.POLICY, f"bad start: {first['loc'][0]}: {first['msg']}")
            return self._drop(MessageProblem.BAD_START)
        self._samples = Interleaved(Encoding.L16, (Track.CALLER,), self._analyse)
        headers = {name: content[name] for name in content if name not in ("event", CALL_ID)}
        return [
            CallStarted(
                connected.call_id, "vonage", (Track.CALLER,), rate, identity.metadata(headers)
            ),
            *self._held.release(self._samples),
        ]

    def _audio(self, frame: bytes) -> list[Event]:
        if self._samples is None:
            return self._hold(frame)
        if len(frame) > MAX_FRAME_BYTES:
            self.message_errors[MessageProblem.FRAME_TOO_LARGE] += 1
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _hold(self, frame: bytes) -> list[Event]:
        if not self._held.has_room(frame):
            self.message_errors[MessageProblem.HELD_TOO_MUCH] += 1
        self._held.add(frame)
        return []


def _rate(content_type: str) -> int:
    """Hz, from `audio/l16;rate=16000`."""
    kind, _, parameter = content_type.partition(";")
    name, _, value = parameter.partition("=")
    if kind.strip().lower() == CONTENT_TYPE and name.strip() == "rate":
        digits = value.strip()
        if len(digits) <= 5 and digits.isdecimal() and int(digits) in RATES:
            return int(digits)
    reason = f"got content-type {content_type[:40]!r}, expected {CONTENT_TYPE};rate=8000 to 48000"
    raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)
