"""Kanjo's own dialect: `start` as JSON, binary audio, `stop`; readings and alerts come back.

`schema/native.json` describes every message in both directions.
"""

import json
from collections import Counter, deque
from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from service.errors import CallExists, CallRefused, NotStarted, Overloaded, Stopping
from service.events import (
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Reading,
    Track,
    Transition,
)
from service.telephony.shared.bridge import Bridge, CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved

MAX_TEXT_CHARS = 65_536
MAX_REPLIES = 256
MAX_PROBLEMS = 8  # of one start, told to the client


class ErrorCode(StrEnum):
    """What an `error` message is about."""

    BAD_JSON = "bad_json"
    UNKNOWN_TYPE = "unknown_type"
    BAD_START = "bad_start"
    NOT_STARTED = "not_started"
    ALREADY_STARTED = "already_started"
    FRAME_TOO_LARGE = "frame_too_large"
    HELD_TOO_MUCH = "held_too_much"
    TEXT_TOO_LARGE = "text_too_large"
    AFTER_STOP = "after_stop"
    CALL_EXISTS = "call_exists"
    OVERLOADED = "overloaded"
    STOPPING = "stopping"
    INTERNAL = "internal"


# After these errors the connection ends; after all others the call goes on.
CLOSES = {
    ErrorCode.BAD_START: CloseCode.POLICY,
    ErrorCode.NOT_STARTED: CloseCode.POLICY,
    ErrorCode.CALL_EXISTS: CloseCode.POLICY,
    ErrorCode.OVERLOADED: CloseCode.TRY_AGAIN_LATER,
    ErrorCode.STOPPING: CloseCode.TRY_AGAIN_LATER,
    ErrorCode.INTERNAL: CloseCode.INTERNAL,
}
REFUSALS: dict[type[CallRefused], ErrorCode] = {
    CallExists: ErrorCode.CALL_EXISTS,
    NotStarted: ErrorCode.NOT_STARTED,
    Overloaded: ErrorCode.OVERLOADED,
    Stopping: ErrorCode.STOPPING,
}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "printable characters")
    return text


def _one_or_two(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    if not tracks or len(set(tracks)) < len(tracks):
        raise PydanticCustomError("tracks", "one or two different tracks")
    return tracks


class _Start(BaseModel, frozen=True, extra="forbid", strict=True):
    type: Literal["start"]
    call_id: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]
    encoding: Encoding
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)]
    tracks: Annotated[tuple[Track, ...], AfterValidator(_one_or_two)]
    metadata: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=128)],
            Annotated[str, Field(max_length=1_024)],
        ],
        Field(max_length=32),
    ] = {}


class _Stop(BaseModel, frozen=True):
    type: Literal["stop"]


_REQUEST: TypeAdapter[_Start | _Stop] = TypeAdapter(
    Annotated[_Start | _Stop, Field(discriminator="type")]
)


class _State(Enum):
    WAITING = "waiting for start"
    LIVE = "live"
    STOPPED = "stopped"


class NativeBridge(Bridge):
    """One call of one client, which is told all there is to say of it.

    Replies that are not fetched are bounded: the oldest are dropped. Ids are the clients' own
    choice, so one that a live call has is a mistake, and refused.

    Only `analyse` tracks become events; the others' samples are dropped undecoded.
    """

    def __init__(
        self,
        analyse: frozenset[Track],
        max_frame_bytes: int = 524_288,
        max_held_bytes: int = 65_536,
    ) -> None:
        self.close_code: CloseCode | None = None
        self.message_errors: Counter[str] = Counter()
        self._analyse = analyse
        self._max_frame_bytes = max_frame_bytes
        self._max_held_bytes = max_held_bytes
        self._state = _State.WAITING
        self._replies: deque[str] = deque(maxlen=MAX_REPLIES)
        self._after_stop_told = False
        self._held = bytearray()  # audio that came before `start`
        self._lost_bytes = 0  # audio that came before `start` and found no room
        self._call_id = ""
        self._samples = Interleaved(Encoding.MULAW, (), analyse)

    # What the client says.

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message. What is wrong with it becomes a reply."""
        if self.close_code is not None:
            return []
        if self._state is _State.STOPPED:
            if not self._after_stop_told:
                self._after_stop_told = True
                self._error(ErrorCode.AFTER_STOP, "got a message after stop, expected none")
            return []
        return self._text(message) if isinstance(message, str) else self._audio(message)

    def disconnected(self) -> list[Event]:
        """The client is gone: the end of a call that was live."""
        live, self._state = self._state is _State.LIVE, _State.STOPPED
        return [CallStopped("disconnected")] if live else []

    def _text(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            self._error(
                ErrorCode.TEXT_TOO_LARGE,
                f"got a text of {len(text)} characters, expected at most {MAX_TEXT_CHARS}",
            )
            return []
        try:
            request = _REQUEST.validate_json(text)
        except ValidationError as invalid:
            self._invalid(invalid.errors(include_url=False, include_context=False))
            return []
        return self._start(request) if isinstance(request, _Start) else self._stop()

    def _invalid(self, details: list[ErrorDetails]) -> None:
        first = details[0]
        if first["loc"]:
            self._bad_start(details)
        elif first["type"].startswith("union_tag"):
            self._error(
                ErrorCode.UNKNOWN_TYPE,
                f"got {_brief(first['input'])}, expected a message of type 'start' or 'stop'",
            )
        else:
            self._error(
                ErrorCode.BAD_JSON,
                f"got {_brief(first['input'])}, expected a JSON object ({first['msg']})",
            )

    def _bad_start(self, details: list[ErrorDetails]) -> None:
        if self._state is _State.LIVE:
            self._already_started()
            return
        problems = [_problem(detail) for detail in details[:MAX_PROBLEMS]]
        unknown_encoding = any(
            detail["loc"] == ("start", "encoding") and detail["type"] == "enum"
            for detail in details
        )
        self._error(
            ErrorCode.BAD_START,
            "; ".join(f"{p['field']}: got {p['got']}, expected {p['expected']}" for p in problems),
            close_code=CloseCode.UNSUPPORTED if unknown_encoding else None,
            problems=problems,
        )
        self._held.clear()

    def _already_started(self) -> None:
        self._error(
            ErrorCode.ALREADY_STARTED,
            f"got a second start, expected audio or stop of call {self._call_id!r}",
        )

    def _start(self, start: _Start) -> list[Event]:
        if self._state is _State.LIVE:
            self._already_started()
            return []
        self._state = _State.LIVE
        self._call_id = start.call_id
        self._samples = Interleaved(start.encoding, start.tracks, self._analyse)
        events: list[Event] = [
            CallStarted(start.call_id, "native", start.tracks, start.sample_rate, start.metadata),
            *self._samples.feed(bytes(self._held)),
        ]
        self._held.clear()
        if self._lost_bytes:
            events += self._samples.lose(self._lost_bytes)
        return events

    def _stop(self) -> list[Event]:
        if self._state is _State.WAITING:
            self._error(ErrorCode.NOT_STARTED, "got stop, expected start")
            return []
        self._state = _State.STOPPED
        return [CallStopped("stop")]

    # What it plays.

    def _audio(self, frame: bytes) -> list[Event]:
        if self._state is _State.WAITING:
            self._hold(frame)
            return []
        if len(frame) > self._max_frame_bytes:
            self._error(
                ErrorCode.FRAME_TOO_LARGE,
                f"got a frame of {len(frame)} bytes, expected at most {self._max_frame_bytes}",
            )
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _hold(self, frame: bytes) -> None:
        if not self._lost_bytes:
            if len(self._held) + len(frame) <= self._max_held_bytes:
                self._held += frame
                return
            self._error(
                ErrorCode.HELD_TOO_MUCH,
                f"got more audio before start, expected at most {self._max_held_bytes} bytes; "
                "all until start is dropped",
            )
        self._lost_bytes += len(frame)

    # What the service answers.

    def replies(self) -> list[str]:
        """All that is to be sent now, once."""
        messages = list(self._replies)
        self._replies.clear()
        return messages

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """The call is taken."""
        self._reply(
            "started",
            call_id=self._call_id,
            session=session,
            tracks=self._samples.analysed,
            model={"name": model, "version": version},
            hop_s=hop_s,
        )

    def reading(self, reading: Reading) -> None:
        """How a window sounds."""
        self._reply(
            "reading",
            number=reading.number,
            track=reading.track,
            start_s=round(reading.start_s, 3),
            end_s=round(reading.end_s, 3),
            heard_s=round(reading.heard_s, 3),
            probabilities={e: round(float(p), 4) for e, p in reading.probabilities.items()},
        )

    def alert(self, transition: Transition) -> None:
        """An alert's next step."""
        self._reply(
            "alert",
            alert_id=transition.alert_id,
            number=transition.number,
            emotion=transition.emotion,
            state=transition.state,
            track=transition.track,
            since_s=round(transition.since_s, 3),
            at_s=round(transition.at_s, 3),
            probability=round(float(transition.probability), 4),
            peak=round(float(transition.peak), 4),
            text=transition.text,
        )

    def refused(self, refusal: CallRefused) -> None:
        """The call is not taken."""
        self._error(REFUSALS[type(refusal)], str(refusal))

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """The call is over, and this is what was made of it."""
        self._state = _State.STOPPED
        self._reply(
            "stopped",
            reason=reason,
            summary={
                "duration_s": round(summary.duration_s, 3),
                "speech_s": round(summary.speech_s, 3),
                "readings": summary.readings,
                "alerts": summary.alerts,
                "dropped": summary.dropped,
            },
        )
        self.close_code = CloseCode.NORMAL

    def failed(self) -> None:
        """The service can't go on with this call."""
        self._error(ErrorCode.INTERNAL, "the service failed; this call is given up")

    def _error(
        self,
        code: ErrorCode,
        message: str,
        *,
        close_code: CloseCode | None = None,
        problems: Sequence[dict[str, str]] = (),
    ) -> None:
        """Something went wrong; some codes (`CLOSES`) end the connection."""
        self.message_errors[code] += 1
        close_code = close_code or CLOSES.get(code)
        more = {"problems": problems} if problems else {}
        self._reply("error", code=code, message=message, fatal=close_code is not None, **more)
        if close_code is not None:
            self.close_code = close_code

    def _reply(self, kind: str, **content: Any) -> None:
        self._replies.append(json.dumps({"type": kind, **content}, allow_nan=False))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _problem(detail: ErrorDetails) -> dict[str, str]:
    missing = detail["type"] == "missing"
    unknown = detail["type"] == "extra_forbidden"
    expected = detail["msg"].removeprefix("Input should be ")
    return {
        "field": ".".join(map(str, detail["loc"][1:]))[:80],
        "expected": "a value" if missing else "no such field" if unknown else expected,
        "got": "nothing" if missing else _brief(detail["input"]),
    }
