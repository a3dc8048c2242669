"""Vonage Voice: the `websocket` endpoint of an NCCO, with a mix of all speakers.

Vonage's documentation, "WebSockets", describes every message.
"""

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from service.events import CallStarted, CallStopped, Event, Track
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import (
    ListenOnlyBridge,
    MessageProblem,
    Phase,
    StartRefused,
    bad_start,
)
from service.telephony.shared.media_stream import RATES, Identifier
from service.telephony.shared.pre_start_buffer import PreStartBuffer
from service.telephony.shared.spelling import json_value

CALL_ID = "call_id"  # the header by which the NCCO names the call
CONTENT_TYPE = "audio/l16"
IGNORED = frozenset({"websocket:dtmf", "websocket:cleared", "websocket:notify"})
MAX_TEXT_CHARS = 65_536
MAX_PRE_START_BYTES = 65_536
MAX_FRAME_BYTES = 524_288


class _Connected(BaseModel, frozen=True):
    call_id: Identifier
    content_type: str = Field(alias="content-type")


class VonageBridge(ListenOnlyBridge):
    """One connection, which carries the mix of all speakers of a call.

    In a mix the agent's voice can't be told from the caller's. It is analysed, as the caller, only
    with `analyse_mix`; otherwise the connection is closed with 1008.

    Audio before `websocket:connected` is kept, up to 65,536 bytes, and decoded after it; what does
    not fit becomes a Gap. Frames may end inside a sample. There is no stop message.
    """

    def __init__(self, analysed_tracks: frozenset[Track], analyse_mix: bool = False) -> None:
        super().__init__()
        self._analyse_mix = analyse_mix
        self._pre_start = PreStartBuffer(MAX_PRE_START_BYTES)
        self._samples = Interleaved(Encoding.L16, (Track.CALLER,), analysed_tracks)

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in one message; errors in it are counted."""
        if self.close_code is not None:
            return []
        if self._phase is Phase.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        return self._text(message) if isinstance(message, str) else self._audio(message)

    def disconnected(self) -> list[Event]:
        """Returns the end of the call, if it was live."""
        live, self._phase = self._phase is Phase.LIVE, Phase.STOPPED
        return [CallStopped("disconnected")] if live else []

    def _text(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        try:
            content = json_value(text)
        except ValueError:
            return self._drop(MessageProblem.BAD_JSON)
        if not isinstance(content, dict):
            return self._drop(MessageProblem.BAD_JSON)
        match content.get("event"):
            case "websocket:connected":
                return self._start(content)
            case str(event) if event in IGNORED:
                return []
        return self._drop(MessageProblem.UNKNOWN_EVENT)

    def _start(self, content: dict[str, Any]) -> list[Event]:
        if self._phase is Phase.LIVE:
            return self._drop(MessageProblem.SECOND_START)
        try:
            if not self._analyse_mix:
                reason = "got a mix of speakers, expected one voice a track"
                raise StartRefused(MessageProblem.MIXED_SPEAKERS, CloseCode.POLICY, reason)
            connected = _Connected.model_validate(content)
            rate = _rate(connected.content_type)
        except StartRefused as refused:
            return self._refuse_start(refused)
        except ValidationError as invalid:
            return self._refuse_start(bad_start(invalid))
        self._phase = Phase.LIVE
        headers = {name: content[name] for name in content if name not in ("event", CALL_ID)}
        metadata = identity.metadata(headers)
        return [
            CallStarted(connected.call_id, "vonage", (Track.CALLER,), rate, metadata),
            *self._pre_start.release(self._samples),
        ]

    def _audio(self, frame: bytes) -> list[Event]:
        if self._phase is Phase.WAITING:
            return self._keep(frame)
        if len(frame) > MAX_FRAME_BYTES:
            self._drop(MessageProblem.FRAME_TOO_LARGE)
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _keep(self, frame: bytes) -> list[Event]:
        """Keeps audio until the start."""
        if not self._pre_start.has_room(frame):
            self._drop(MessageProblem.HELD_TOO_MUCH)
        self._pre_start.add(frame)
        return []


def _rate(content_type: str) -> int:
    """Returns the sample rate in Hz, from `audio/l16;rate=16000`.

    Raises:
        StartRefused: the content type is another one.
    """
    kind, _, parameter = content_type.partition(";")
    name, _, value = parameter.partition("=")
    if kind.strip().lower() == CONTENT_TYPE and name.strip() == "rate":
        digits = value.strip()
        if len(digits) <= 5 and digits.isdecimal() and int(digits) in RATES:
            return int(digits)
    reason = f"got content-type {content_type[:40]!r}, expected {CONTENT_TYPE};rate=8000 to 48000"
    raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)
