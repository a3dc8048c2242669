"""Bridges of one-way streams: the service receives audio and sends no messages back.

Providers treat messages on a one-way stream as errors, so the only reply is how the connection
closes. Messages that can't be used are dropped and counted.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum, StrEnum

from pydantic import ValidationError

from service.errors import CallRefused, TryLater
from service.events import CallSummary, Event, Reading, Transition
from service.telephony.shared.bridge import Bridge, CloseCode

MAX_REASON_BYTES = 123  # RFC 6455 section 5.5.1


class MessageProblem(StrEnum):
    """What was wrong with a message."""

    AFTER_STOP = "after_stop"
    BAD_JSON = "bad_json"
    BAD_MEDIA = "bad_media"
    BAD_START = "bad_start"
    FRAME_TOO_LARGE = "frame_too_large"
    HELD_TOO_MUCH = "held_too_much"  # audio before the start found no room
    LATE = "late"
    MIXED_SPEAKERS = "mixed_speakers"
    NOT_STARTED = "not_started"
    OTHER_STREAM = "other_stream"
    OVERLAP = "overlap"
    PROVIDER_ERROR = "provider_error"
    SECOND_START = "second_start"
    TEXT_TOO_LARGE = "text_too_large"
    TOO_MANY = "too_many"
    UNEXPECTED_BINARY = "unexpected_binary"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_TRACK = "unknown_track"
    UNSUPPORTED_AUDIO = "unsupported_audio"
    WRONG_TOKEN = "wrong_token"


class StartRefused(Exception):
    """A start that can't be accepted; the text states what came and what was expected."""

    def __init__(self, problem: MessageProblem, close_code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem
        self.close_code = close_code


def bad_start(invalid: ValidationError) -> StartRefused:
    """Returns the refusal of a start message that failed validation, with its first error."""
    first = invalid.errors(include_url=False, include_context=False)[0]
    reason = f"bad start: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return StartRefused(MessageProblem.BAD_START, CloseCode.POLICY, reason)


class Phase(Enum):
    """Where a one-way stream stands."""

    WAITING = "waiting for the start"
    LIVE = "live"
    STOPPED = "stopped"


class ListenOnlyBridge(Bridge):
    """A bridge without replies.

    `message_errors` counts dropped messages by code.
    """

    replaces = True

    def __init__(self) -> None:
        self.close_code: CloseCode | None = None
        self.close_reason = ""
        self.message_errors: Counter[str] = Counter()
        self._phase = Phase.WAITING

    def replies(self) -> Sequence[str | bytes]:
        """Returns nothing."""
        return ()

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """Ignored: this stream accepts no messages."""

    def refused(self, refusal: CallRefused) -> None:
        """Closes the connection: the call was not accepted."""
        later = isinstance(refusal, TryLater)
        self._close(CloseCode.TRY_AGAIN_LATER if later else CloseCode.POLICY, str(refusal))

    def reading(self, reading: Reading) -> None:
        """Ignored: this stream accepts no messages."""

    def alert(self, transition: Transition) -> None:
        """Ignored: this stream accepts no messages."""

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """Closes the connection: the call is over."""
        self._close(CloseCode.NORMAL, reason)

    def failed(self) -> None:
        """Closes the connection: the service can't continue the call."""
        self._close(CloseCode.INTERNAL, "the service failed; this call is given up")

    def _drop(self, problem: MessageProblem) -> list[Event]:
        """Counts a dropped message and returns no events."""
        self.message_errors[problem] += 1
        return []

    def _refuse_start(self, refused: StartRefused) -> list[Event]:
        """Counts a refused start, closes the connection and returns no events."""
        self._close(refused.close_code, str(refused))
        return self._drop(refused.problem)

    def _close(self, close_code: CloseCode, reason: str) -> None:
        """Sets the close code and reason, unless the connection is closing already."""
        self._phase = Phase.STOPPED
        if self.close_code is None:
            self.close_code = close_code
            ascii_reason = reason.encode("ascii", "backslashreplace")
            self.close_reason = ascii_reason[:MAX_REASON_BYTES].decode()
