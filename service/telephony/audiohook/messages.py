"""The messages of AudioHook sessions: what clients send, parsed, and what the server replies.

The models follow the "Protocol reference" of the AudioHook documentation; fields that the server
does not use are not listed and may contain anything.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode

NIL = "00000000-0000-0000-0000-000000000000"  # the conversation of a connection probe

MAX_TEXT_BYTES = 64_000
MAX_MEDIA = 32  # items of one offer
MAX_DISCARDED_S = 86_400  # in one message
MAX_REPLIES = 256

_DURATION = re.compile(r"PT(\d+\.?\d*|\.\d+)S", re.ASCII)
_CLOSE_REASONS = ("end", "error", "disconnect", "reconnect")


class SessionErrorCode(StrEnum):
    """What was wrong in a session, as it is counted."""

    AUDIO_UNEXPECTED = "audio_unexpected"
    AUDIO_WHILE_PAUSED = "audio_while_paused"
    BAD_OPEN = "bad_open"
    BAD_PARAMETERS = "bad_parameters"
    BAD_SEQ = "bad_seq"
    BAD_SERVERSEQ = "bad_serverseq"
    CLIENT_ERROR = "client_error"
    ENTITIES_DROPPED = "entities_dropped"
    FRAME_TOO_LARGE = "frame_too_large"
    MALFORMED = "malformed"
    NO_MEDIA = "no_media"
    NO_OPEN = "no_open"
    REPLIES_DROPPED = "replies_dropped"
    SECOND_OPEN = "second_open"
    TEXT_TOO_LARGE = "text_too_large"
    UNKNOWN_TYPE = "unknown_type"
    WRONG_ID = "wrong_id"
    WRONG_ORGANIZATION = "wrong_organization"


class ProtocolViolation(Exception):
    """A message that ends the session; the text states what came and what was expected.

    Args:
        reason: the reason that `disconnect` gives to the client.
        close_code: how the connection is closed if the client does not leave.
    """

    def __init__(
        self,
        error: SessionErrorCode,
        info: str,
        *,
        reason: str = "error",
        close_code: CloseCode = CloseCode.POLICY,
    ) -> None:
        super().__init__(info)
        self.error = error
        self.reason = reason
        self.close_code = close_code


def _seconds(value: object) -> Decimal:
    matched = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if matched is None:
        raise PydanticCustomError("duration", "a duration like 'PT1.25S'")
    return Decimal(matched[1])


def _call_id(text: str) -> str:
    if identity.call_id(text) is None:
        raise PydanticCustomError("call_id", "1 to 128 printable characters")
    return text


_Duration = Annotated[Decimal, BeforeValidator(_seconds)]
_Number = Annotated[int, Field(ge=0, le=2**53)]


class _Parsed(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ClientMessage(_Parsed):
    """The envelope of every text message of a client."""

    version: Literal["2"]
    type: str
    id: str
    seq: _Number
    serverseq: _Number
    position: _Duration
    parameters: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> "ClientMessage":
        """Reads one text message.

        Raises:
            ProtocolViolation: it is too large or not such an envelope.
        """
        data = text.encode(errors="replace")
        if len(data) > MAX_TEXT_BYTES:
            raise ProtocolViolation(
                SessionErrorCode.TEXT_TOO_LARGE,
                f"got a text of {len(data)} bytes, expected at most {MAX_TEXT_BYTES}",
            )
        try:
            return cls.model_validate_json(data)
        except ValidationError as invalid:
            raise ProtocolViolation(
                SessionErrorCode.MALFORMED, _first_problem(invalid)
            ) from invalid


class _Participant(_Parsed):
    id: str
    ani: str | None = None
    aniName: str | None = None
    dnis: str | None = None


class _ContinuedSession(_Parsed):
    id: str


class OpenParameters(_Parsed):
    """The parameters of `open`. `media` is checked item by item when one is chosen."""

    organizationId: str
    conversationId: Annotated[str, AfterValidator(_call_id)]
    participant: _Participant
    media: Annotated[list[Any], Field(max_length=MAX_MEDIA)]
    language: str | None = None
    supportedLanguages: bool | None = None
    customConfig: dict[str, Any] | None = None
    inputVariables: dict[str, Any] | None = None
    continuedSessions: list[_ContinuedSession] | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> "OpenParameters":
        """Reads the parameters of `open`.

        Raises:
            ProtocolViolation: a field is missing or has another type.
        """
        try:
            return cls.model_validate(parameters)
        except ValidationError as invalid:
            raise ProtocolViolation(SessionErrorCode.BAD_OPEN, _first_problem(invalid)) from invalid

    @property
    def has_call(self) -> bool:
        """False for a connection probe and for a session without audio."""
        return self.conversationId != NIL and bool(self.media)

    def metadata(self, session_id: str) -> dict[str, str]:
        """Returns what is kept with the call and shown with it."""
        fields: dict[str, Any] = {
            "sessionId": session_id,
            "organizationId": self.organizationId,
            "participantId": self.participant.id,
            "ani": self.participant.ani,
            "aniName": self.participant.aniName,
            "dnis": self.participant.dnis,
            "language": self.language,
            "continuedSessions": ",".join(one.id for one in self.continuedSessions or ()),
        }
        for prefix, entries in (
            ("customConfig", self.customConfig),
            ("inputVariables", self.inputVariables),
        ):
            fields |= {f"{prefix}.{name}": value for name, value in (entries or {}).items()}
        return identity.metadata({name: value for name, value in fields.items() if value != ""})


class _DiscardedParameters(_Parsed):
    start: _Duration
    discarded: Annotated[_Duration, Field(le=MAX_DISCARDED_S)]


def discarded_s(parameters: Mapping[str, Any]) -> Decimal:
    """Returns how many seconds of audio `discarded` or `resumed` reports as never sent.

    Raises:
        ProtocolViolation: the parameters contain no such duration.
    """
    try:
        return _DiscardedParameters.model_validate(parameters).discarded
    except ValidationError as invalid:
        raise ProtocolViolation(
            SessionErrorCode.BAD_PARAMETERS, _first_problem(invalid)
        ) from invalid


def close_reason(parameters: Mapping[str, Any]) -> str:
    """Returns the reason of `close`; "end" for one that the protocol does not list."""
    reason = parameters.get("reason")
    return reason if reason in _CLOSE_REASONS else "end"


class _Reply(NamedTuple):
    type: str
    clientseq: int
    parameters: Mapping[str, Any]


class ReplyQueue:
    """The replies that are not sent yet, at most `max_replies`.

    When it is full the oldest is dropped, before it has a number: a gap in `seq` ends the session.
    """

    def __init__(self, session_id: str, max_replies: int = MAX_REPLIES) -> None:
        self._session_id = session_id
        self._replies: deque[_Reply] = deque(maxlen=max_replies)
        self.seq = 0  # of the last reply that was taken

    def add(self, kind: str, clientseq: int, parameters: Mapping[str, Any]) -> bool:
        """Adds a reply; returns False if the oldest was dropped for it."""
        has_room = len(self._replies) != self._replies.maxlen
        self._replies.append(_Reply(kind, clientseq, parameters))
        return has_room

    def take(self) -> list[str]:
        """Numbers, removes and returns all replies."""
        return [self._numbered(self._replies.popleft()) for _ in range(len(self._replies))]

    def _numbered(self, reply: _Reply) -> str:
        self.seq += 1
        return json.dumps(
            {
                "version": "2",
                "type": reply.type,
                "id": self._session_id,
                "seq": self.seq,
                "clientseq": reply.clientseq,
                "parameters": reply.parameters,
            },
            allow_nan=False,
        )


def brief(value: object) -> str:
    """Returns `repr(value)`, cut to 120 characters."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _first_problem(invalid: ValidationError) -> str:
    problem = invalid.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, problem["loc"]))[:80] or "message"
    if problem["type"] == "missing":
        return f"{where}: got nothing, expected a value"
    expected = problem["msg"].removeprefix("Input should be ")
    return f"{where}: got {brief(problem['input'])}, expected {expected}"
