"""The messages of the native protocol that clients send, and the codes of the service's errors.

`schema.json`, beside this file, describes every message in both directions.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter
from pydantic_core import ErrorDetails, PydanticCustomError

from service.errors import CallExists, CallRefused, NotStarted, Overloaded, Stopping
from service.events import Track
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding


class ErrorCode(StrEnum):
    """The `code` of an `error` message."""

    BAD_JSON = "bad_json"
    UNKNOWN_TYPE = "unknown_type"
    BAD_START = "bad_start"
    NOT_STARTED = "not_started"
    ALREADY_STARTED = "already_started"
    FRAME_TOO_LARGE = "frame_too_large"
    PRE_START_FULL = "held_too_much"
    TEXT_TOO_LARGE = "text_too_large"
    AFTER_STOP = "after_stop"
    CALL_EXISTS = "call_exists"
    OVERLOADED = "overloaded"
    STOPPING = "stopping"
    INTERNAL = "internal"


# The connection closes after these errors; after all others the call goes on.
CLOSE_CODES = {
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


class Start(BaseModel, frozen=True, extra="forbid", strict=True):
    """The first text of every call."""

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


class Stop(BaseModel, frozen=True):
    """The client's last message: no more audio follows."""

    type: Literal["stop"]


_REQUEST: TypeAdapter[Start | Stop] = TypeAdapter(
    Annotated[Start | Stop, Field(discriminator="type")]
)


def parse_request(text: str) -> Start | Stop:
    """Reads one text message.

    Raises:
        ValidationError: it is not JSON, of another type, or a start with wrong fields.
    """
    return _REQUEST.validate_json(text)


def field_problem(detail: ErrorDetails) -> dict[str, str]:
    """Returns what is wrong with one field of a start: what came and what was expected."""
    missing = detail["type"] == "missing"
    unknown = detail["type"] == "extra_forbidden"
    expected = detail["msg"].removeprefix("Input should be ")
    return {
        "field": ".".join(map(str, detail["loc"][1:]))[:80],
        "expected": "a value" if missing else "no such field" if unknown else expected,
        "got": "nothing" if missing else brief(detail["input"]),
    }


def brief(value: object) -> str:
    """Returns `repr(value)`, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
