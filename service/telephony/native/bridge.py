"""Kanjo's own protocol: `start` as JSON, binary audio, `stop`; readings and alerts are sent back.

`schema.json`, beside this file, describes every message in both directions.
"""

import json
from collections import Counter, deque
from collections.abc import Sequence
from enum import Enum
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.errors import CallRefused
from service.events import (
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Reading,
    Track,
    Transition,
)
from service.telephony.native.messages import (
    CLOSE_CODES,
    REFUSALS,
    ErrorCode,
    Start,
    brief,
    field_problem,
    parse_request,
)
from service.telephony.shared import identity
from service.telephony.shared.bridge import Bridge, CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.payload import alert_payload, reading_payload, summary_payload
from service.telephony.shared.pre_start_buffer import PreStartBuffer

MAX_TEXT_CHARS = 65_536
MAX_REPLIES = 256
MAX_PROBLEMS = 8  # of one start, listed in its error


class _State(Enum):
    BEFORE_START = "before start"
    LIVE = "live"
    STOPPED = "stopped"


class NativeBridge(Bridge):
    """One call of one client, which receives all its readings and alerts.

    At most `MAX_REPLIES` replies are kept until they are fetched; the oldest are dropped. Clients
    choose the ids of their calls, so the id of a live call is a mistake and refused.

    Args:
        analysed_tracks: the tracks that become events; samples of others are not decoded.
        max_frame_bytes: a larger frame becomes a gap.
        max_pre_start_bytes: how much audio before `start` is kept; what follows becomes a gap.
    """

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
        max_frame_bytes: int = 524_288,
        max_pre_start_bytes: int = 65_536,
    ) -> None:
        self.close_code: CloseCode | None = None
        self.message_errors: Counter[str] = Counter()
        self._analysed_tracks = analysed_tracks
        self._max_frame_bytes = max_frame_bytes
        self._max_pre_start_bytes = max_pre_start_bytes
        self._state = _State.BEFORE_START
        self._replies: deque[str] = deque(maxlen=MAX_REPLIES)
        self._pre_start = PreStartBuffer(max_pre_start_bytes)
        self._call_id = ""
        self._samples = Interleaved(Encoding.MULAW, (), analysed_tracks)

    @property
    def buffered_bytes(self) -> int:
        """The size of the audio that is kept: before the start, and of an unfinished sample."""
        return len(self._pre_start) + self._samples.unfinished_bytes

    # Messages of the client.

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the facts in one message; a mistake in it is answered by an `error`."""
        if self.close_code is not None:
            return []
        if self._state is _State.STOPPED:
            if not self.message_errors[ErrorCode.AFTER_STOP]:
                self._error(ErrorCode.AFTER_STOP, "got a message after stop, expected none")
            return []
        return self._text(message) if isinstance(message, str) else self._audio(message)

    def disconnected(self) -> list[Event]:
        """Ends a live call: the connection is lost."""
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
            request = parse_request(text)
        except ValidationError as invalid:
            self._invalid(invalid.errors(include_url=False, include_context=False))
            return []
        return self._start(request) if isinstance(request, Start) else self._stop()

    def _invalid(self, details: list[ErrorDetails]) -> None:
        first = details[0]
        if first["loc"]:
            self._bad_start(details)
        elif first["type"].startswith("union_tag"):
            self._error(
                ErrorCode.UNKNOWN_TYPE,
                f"got {brief(first['input'])}, expected a message of type 'start' or 'stop'",
            )
        else:
            self._error(
                ErrorCode.BAD_JSON,
                f"got {brief(first['input'])}, expected a JSON object ({first['msg']})",
            )

    def _bad_start(self, details: list[ErrorDetails]) -> None:
        if self._state is _State.LIVE:
            self._already_started()
            return
        problems = [field_problem(detail) for detail in details[:MAX_PROBLEMS]]
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
        self._pre_start.clear()

    def _already_started(self) -> None:
        self._error(
            ErrorCode.ALREADY_STARTED,
            f"got a second start, expected audio or stop of call {self._call_id!r}",
        )

    def _start(self, start: Start) -> list[Event]:
        if self._state is _State.LIVE:
            self._already_started()
            return []
        self._state = _State.LIVE
        self._call_id = start.call_id
        self._samples = Interleaved(start.encoding, start.tracks, self._analysed_tracks)
        metadata = identity.metadata(start.metadata)
        return [
            CallStarted(start.call_id, "native", start.tracks, start.sample_rate, metadata),
            *self._pre_start.release(self._samples),
        ]

    def _stop(self) -> list[Event]:
        if self._state is _State.BEFORE_START:
            self._error(ErrorCode.NOT_STARTED, "got stop, expected start")
            return []
        self._state = _State.STOPPED
        return [CallStopped("stop")]

    # Audio.

    def _audio(self, frame: bytes) -> list[Event]:
        if self._state is _State.BEFORE_START:
            self._add_pre_start(frame)
            return []
        if len(frame) > self._max_frame_bytes:
            self._error(
                ErrorCode.FRAME_TOO_LARGE,
                f"got a frame of {len(frame)} bytes, expected at most {self._max_frame_bytes}",
            )
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _add_pre_start(self, frame: bytes) -> None:
        full = not self._pre_start.has_room(frame)
        if full and not self.message_errors[ErrorCode.PRE_START_FULL]:
            self._error(
                ErrorCode.PRE_START_FULL,
                "got more audio before start, "
                f"expected at most {self._max_pre_start_bytes} bytes; all until start is dropped",
            )
        self._pre_start.add(frame)

    # Results of the service.

    def replies(self) -> list[str]:
        """Removes and returns the messages to send."""
        messages = list(self._replies)
        self._replies.clear()
        return messages

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """Sends `started`: the call is accepted."""
        assert self._state is _State.LIVE, (
            f"got started in state {self._state.value!r}, expected it in {_State.LIVE.value!r}"
        )
        self._reply(
            "started",
            call_id=self._call_id,
            session=session,
            tracks=self._samples.analysed,
            model={"name": model, "version": version},
            hop_s=hop_s,
        )

    def reading(self, reading: Reading) -> None:
        """Sends a reading."""
        self._reply("reading", **reading_payload(reading))

    def alert(self, transition: Transition) -> None:
        """Sends one transition of an alert."""
        self._reply("alert", **alert_payload(transition))

    def refused(self, refusal: CallRefused) -> None:
        """Sends an `error` and closes: the call is not accepted."""
        self._error(REFUSALS[type(refusal)], str(refusal))

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """Sends the call's totals and closes."""
        self._state = _State.STOPPED
        self._reply("stopped", reason=reason, summary=summary_payload(summary))
        self.close_code = CloseCode.NORMAL

    def failed(self) -> None:
        """Sends an `error` and closes, because of an error in the service."""
        self._error(ErrorCode.INTERNAL, "the service failed; this call is given up")

    def _error(
        self,
        code: ErrorCode,
        message: str,
        *,
        close_code: CloseCode | None = None,
        problems: Sequence[dict[str, str]] = (),
    ) -> None:
        """Counts and sends an error; closes after the codes in `CLOSE_CODES`."""
        self.message_errors[code] += 1
        close_code = close_code or CLOSE_CODES.get(code)
        more = {"problems": problems} if problems else {}
        self._reply("error", code=code, message=message, fatal=close_code is not None, **more)
        if close_code is not None:
            self.close_code = close_code

    def _reply(self, kind: str, **content: Any) -> None:
        self._replies.append(json.dumps({"type": kind, **content}, allow_nan=False))
