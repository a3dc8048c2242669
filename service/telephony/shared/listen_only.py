"""A stream that is only listened to: whatever the service has to say, the provider hears nothing.

Providers treat messages on a one-way stream as errors, so all that is left is how the connection
closes. What was wrong with a message is dropped and counted.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from service.errors import CallRefused, TryLater
from service.events import CallSummary, Reading, Transition
from service.telephony.shared.bridge import Bridge, CloseCode

MAX_REASON_BYTES = 123  # RFC 6455 section 5.5.1


class MessageProblem(StrEnum):
    """What was wrong with a message."""

    AFTER_STOP = "after_stop"
    BAD_JSON = "bad_json"
    BAD_MEDIA = "bad_media"
    BAD_START = "bad_start"
    FRAME_TOO_LARGE = "frame_too_large"
    HELD_TOO_MUCH = "held_too_much"
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
    """A start that can't be taken; its text says what came and what was expected."""

    def __init__(self, problem: MessageProblem, close_code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem
        self.close_code = close_code


class ListenOnlyBridge(Bridge):
    """What bridges that answer nothing have in common.

    `message_errors` counts what was dropped, by code; `close_reason` is the sentence to `close_code`.
    """

    replaces = True

    def __init__(self) -> None:
        self.close_code: CloseCode | None = None
        self.close_reason = ""
        self.message_errors: Counter[str] = Counter()

    def replies(self) -> Sequence[str | bytes]:
        """Nothing, ever."""
        return ()

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """The provider has no ear for it."""

    def refused(self, refusal: CallRefused) -> None:
        """The call is not taken: the connection closes."""
        later = isinstance(refusal, TryLater)
        self._close(CloseCode.TRY_AGAIN_LATER if later else CloseCode.POLICY, str(refusal))

    def reading(self, reading: Reading) -> None:
        """The provider has no ear for it."""

    def alert(self, transition: Transition) -> None:
        """The provider has no ear for it."""

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """The call is over: the connection closes."""
        self._close(CloseCode.NORMAL, reason)

    def failed(self) -> None:
        """The service can't go on with this call: the connection closes."""
        self._close(CloseCode.INTERNAL, "the service failed; this call is given up")

    def _close(self, close_code: CloseCode, reason: str) -> None:
        if self.close_code is None:
            self.close_code = close_code
            self.close_reason = reason.encode("ascii", "backslashreplace")[
                :MAX_REASON_BYTES
            ].decode()
