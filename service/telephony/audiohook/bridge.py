"""Genesys AudioHook, protocol version 2: JSON text around binary audio, alerts as event entities.

Sections cited are those of the AudioHook documentation at developer.genesys.cloud: "Session
walkthrough" and "Protocol reference"; who may connect is `service.telephony.audiohook.auth`.
"""

import json
import re
from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from service.errors import CallRefused, TryLater
from service.events import (
    AlertState,
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.shared.bridge import Bridge, CloseCode
from service.telephony.shared.identity import call_id, metadata
from service.telephony.shared.interleaved import Encoding, Interleaved

SIDES = {"external": Track.CALLER, "internal": Track.AGENT}
NIL = "00000000-0000-0000-0000-000000000000"

MAX_TEXT_BYTES = 64_000
MAX_FRAME_BYTES = 640_000  # 20 s, the longest catch-up, of two channels of L16 at once
MAX_INFO_CHARS = 300
MAX_MEDIA = 32  # items of one offer
MAX_DISCARDED_S = 86_400  # at once
MAX_REPLIES = 256
MAX_ENTITIES = 16
EVENT_EVERY_S = 1.0  # of call time: the client counts what it is sent, and errs with 429

_DURATION = re.compile(r"PT(\d+\.?\d*|\.\d+)S", re.ASCII)
_CLOSE_REASONS = ("end", "error", "disconnect", "reconnect")
_FORMATS = {"PCMU": (Encoding.MULAW, 1), "L16": (Encoding.L16, 2)}  # with bytes a sample


def _seconds(value: object) -> Decimal:
    matched = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 40 else None
    if matched is None:
        raise PydanticCustomError("duration", "a duration like 'PT1.25S'")
    return Decimal(matched[1])


def _call_id(text: str) -> str:
    if call_id(text) is None:
        raise PydanticCustomError("call_id", "1 to 128 printable characters")
    return text


_Duration = Annotated[Decimal, BeforeValidator(_seconds)]
_Number = Annotated[int, Field(ge=0, le=2**53)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class _Message(_Said):
    version: Literal["2"]
    type: str
    id: str
    seq: _Number
    serverseq: _Number
    position: _Duration
    parameters: dict[str, Any]


class _Participant(_Said):
    id: str
    ani: str = ""
    aniName: str = ""
    dnis: str = ""


class _Continued(_Said):
    id: str


class _Open(_Said):
    organizationId: str
    conversationId: Annotated[str, AfterValidator(_call_id)]
    participant: _Participant
    media: Annotated[list[Any], Field(max_length=MAX_MEDIA)]
    language: str | None = None
    supportedLanguages: bool | None = None
    customConfig: dict[str, Any] | None = None
    inputVariables: dict[str, Any] | None = None
    continuedSessions: list[_Continued] | None = None


class _Media(_Said):
    type: Literal["audio"]
    format: Literal["PCMU", "L16"]
    channels: Annotated[list[str], Field(min_length=1, max_length=2)]
    rate: Annotated[int, Field(ge=8_000, le=48_000)]


class _Discarded(_Said):
    start: _Duration
    discarded: Annotated[_Duration, Field(le=MAX_DISCARDED_S)]


_MEDIA = TypeAdapter(_Media)


class _Reply(NamedTuple):
    type: str
    clientseq: int
    parameters: Mapping[str, Any]


class _State(Enum):
    WAITING = "waiting for open"
    OPENING = "open came, the service has not taken the call yet"
    OPEN = "opened was sent"
    CLOSING = "close came, the call's last words are to be said"
    DISCONNECTING = "disconnect was sent, close is to come"
    CLOSED = "closed was sent, the connection is the client's to end"


_DEADLINES_S = {
    _State.WAITING: 10.0,
    _State.CLOSING: 8.0,  # the client waits 10 s for closed
    _State.DISCONNECTING: 10.0,
    _State.CLOSED: 5.0,
}


class AudioHookBridge(Bridge):
    """One session, the server's side ("Session walkthrough").

    The server never ends the connection first: a client takes that for a failing network and
    comes again. What it says instead is `disconnect`; the client answers with `close`, is sent
    `closed`, and leaves. So `close_code` stays None all that time, and `deadline_s` tells how long
    the present state may last, counted from when the session entered it. When that has passed the
    edge calls `overdue()`: what the client waits for is said at once, or, if it is the client that
    is late, `close_code` is set.

    Audio is placed by counting it; `discarded` and `resumed` tell what was never sent. A message's
    own `position` is measured beside the audio, not in it, and moves nothing.

    Audio before `open`, or though no media was chosen, ends the session: nobody can know what it
    is ("Protocol reference", `open`). Audio while paused, and frames above `MAX_FRAME_BYTES`, pass
    as gaps. Without a fetch at most `MAX_REPLIES` replies wait; the oldest go, before they are
    numbered. At most `MAX_ENTITIES` event entities wait for their turn; the oldest go. All of it
    is counted in `problems`.

    Args:
        session_id: the header Audiohook-Session-Id; every message must carry it.
        organization_id: the header Audiohook-Organization-Id, for `open` to agree with.
        sides: who is on a channel. `internal` is all that the customer hears.
        analyse: only these tracks become events, the others' samples are dropped undecoded.
        summary_every_s: of call time, from one `kanjo.summary` to the next.
    """

    replaces = True

    def __init__(
        self,
        session_id: str,
        organization_id: str | None,
        sides: Mapping[str, Track] = SIDES,
        analyse: frozenset[Track] = frozenset({Track.CALLER}),
        summary_every_s: float = 10.0,
    ) -> None:
        assert len(set(sides.values())) == len(sides), sides
        self.close_code: CloseCode | None = None
        self.message_errors: Counter[str] = Counter()
        self._session_id = session_id
        self._organization_id = organization_id
        self._sides = sides
        self._analyse = analyse
        self._summary_every_s = summary_every_s

        self._state = _State.WAITING
        self._leave_with = CloseCode.NORMAL
        self._opened: dict[str, Any] = {}  # the parameters that `opened` will have
        self._heard = False  # CallStarted was told, CallStopped not yet
        self._live = False  # the service has not said its last of the call yet
        self._hold = False  # the service wants a pause
        self._paused = False  # the client makes one

        self._seq = 0  # of the last message that was fetched
        self._clientseq = 0  # of the last one that came
        self._replies: deque[_Reply] = deque(maxlen=MAX_REPLIES)

        self._samples: Interleaved | None = None
        self._rate = 8_000
        self._sample_bytes = 1  # of all channels
        self._played_bytes = 0
        self._discarded_s = Decimal(0)

        self._entities: deque[Mapping[str, Any]] = deque(maxlen=MAX_ENTITIES)
        self._event_from_s = 0.0  # the next event may leave
        self._summary_from_s = summary_every_s
        self._latest: dict[Track, Reading] = {}
        self._readings = self._fired = 0

    @property
    def position_s(self) -> Decimal:
        """Where the call is, exactly: what was played and what was discarded."""
        return Decimal(self._played_bytes // self._sample_bytes) / self._rate + self._discarded_s

    @property
    def deadline_s(self) -> float | None:
        """How long the session may stay as it is; None for as long as it likes."""
        return _DEADLINES_S.get(self._state)

    @property
    def stage(self) -> object:
        return self._state

    # What the client says.

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message; one that breaks the protocol is answered with `disconnect`."""
        return self._text(message) if isinstance(message, str) else self._audio(message)

    def disconnected(self) -> list[Event]:
        """The client is gone: the end of a call that was live."""
        self._state = _State.CLOSED
        return self._stop("disconnected")

    def overdue(self) -> list[Event]:
        """`deadline_s` has passed."""
        match self._state:
            case _State.WAITING:
                return self._broken("no_open", "got no open, expected one")
            case _State.CLOSING:
                self._closed()
            case _State.DISCONNECTING | _State.CLOSED:
                self._state = _State.CLOSED
                self.close_code = self._leave_with
                return self._stop("disconnected")
        return []

    def _audio(self, frame: bytes) -> list[Event]:
        if self._state is not _State.OPEN:
            if self._state in (_State.WAITING, _State.OPENING):
                return self._broken("audio_unexpected", "got audio, expected none before opened")
            return []
        if self._samples is None:
            return self._broken("audio_unexpected", "got audio, expected none: opened had no media")
        self._played_bytes += len(frame)
        if self._paused:
            self.message_errors["audio_while_paused"] += 1
            events = self._samples.lose(len(frame))
        elif len(frame) > MAX_FRAME_BYTES:
            self.message_errors["frame_too_large"] += 1
            events = self._samples.lose(len(frame))
        else:
            events = self._samples.feed(frame)
        if self._entities:
            self._tell_when_due()
        return events

    def _text(self, text: str) -> list[Event]:
        if self._state is _State.CLOSED:
            return []
        data = text.encode(errors="replace")
        if len(data) > MAX_TEXT_BYTES:
            return self._broken(
                "text_too_large",
                f"got a text of {len(data)} bytes, expected at most {MAX_TEXT_BYTES}",
            )
        try:
            message = _Message.model_validate_json(data)
        except ValidationError as invalid:
            return self._broken("malformed", _first(invalid))

        expected, self._clientseq = self._clientseq + 1, message.seq
        leaving = self._state is _State.DISCONNECTING  # from one that is, `close` is all we want
        if message.seq != expected and not leaving:
            return self._broken("bad_seq", f"got seq {message.seq}, expected {expected}")
        if message.serverseq > self._seq and not leaving:
            return self._broken(
                "bad_serverseq",
                f"got serverseq {message.serverseq}, expected at most {self._seq}",
            )
        if message.id != self._session_id:
            return self._broken(
                "wrong_id", f"got id {_brief(message.id)}, expected that of the handshake"
            )
        return self._message(message.type, message.parameters)

    def _message(self, kind: str, parameters: Mapping[str, Any]) -> list[Event]:
        match kind:
            case "close":
                return self._close(parameters)
            case "ping":
                self._reply("pong")
                self._tell()
            case _ if self._state in (_State.CLOSING, _State.DISCONNECTING):
                pass  # too late for all else
            case "open":
                return self._open(parameters)
            case "paused":
                self._paused = True
            case "resumed":
                self._paused = False
                return self._discard(parameters)
            case "discarded":
                return self._discard(parameters)
            case "update":
                self._reply("updated")
            case "error":
                self.message_errors["client_error"] += 1
            case "dtmf" | "playback_started" | "playback_completed":
                pass
            case _:
                self.message_errors["unknown_type"] += 1
        return []

    # How it opens ("Session walkthrough", "Open transaction" and "Connection probe").

    def _open(self, parameters: Mapping[str, Any]) -> list[Event]:
        if self._state is not _State.WAITING:
            self.message_errors["second_open"] += 1
            return []
        try:
            wanted = _Open.model_validate(parameters)
        except ValidationError as invalid:
            return self._broken("bad_open", _first(invalid))
        if self._organization_id not in (None, wanted.organizationId):
            return self._broken(
                "wrong_organization",
                "organizationId: expected that of the handshake",
                reason="unauthorized",
            )
        if wanted.supportedLanguages:
            self._opened["supportedLanguages"] = []
        if wanted.conversationId == NIL or not wanted.media:
            self._say_opened()  # a probe, or a session with nothing to hear
            return []
        media = self._choose(wanted.media)
        if media is None:
            channels = [side for side, track in self._sides.items() if track in self._analyse]
            return self._broken(
                "no_media",
                f"got media {_brief(wanted.media)}, expected audio in PCMU or L16 with a channel "
                f"of {channels}",
                leave_with=CloseCode.UNSUPPORTED,
            )
        self._state = _State.OPENING
        self._opened["media"] = [media.model_dump()]
        self._heard = self._live = True
        encoding, width = _FORMATS[media.format]
        tracks = tuple(self._sides.get(channel) for channel in media.channels)
        self._samples = Interleaved(encoding, tracks, self._analyse)
        self._rate = media.rate
        self._sample_bytes = width * len(tracks)
        return [
            CallStarted(
                call_id=wanted.conversationId,
                bridge="audiohook",
                tracks=tuple(track for track in tracks if track is not None),
                sample_rate=media.rate,
                metadata=self._metadata(wanted),
            )
        ]

    def _choose(self, offered: list[Any]) -> _Media | None:
        """All that is analysed and as little else as can be, PCMU before L16, the first offered."""
        best: tuple[tuple[int, int, bool], _Media] | None = None
        for item in offered:
            try:
                media = _MEDIA.validate_python(item)
            except ValidationError:
                continue
            wanted = sum(self._sides.get(channel) in self._analyse for channel in media.channels)
            if not wanted or len(set(media.channels)) < len(media.channels):
                continue
            rank = (-wanted, len(media.channels), media.format != "PCMU")
            if best is None or rank < best[0]:
                best = rank, media
        return best and best[1]

    def _metadata(self, wanted: _Open) -> dict[str, str]:
        said: dict[str, Any] = {
            "sessionId": self._session_id,
            "organizationId": wanted.organizationId,
            "participantId": wanted.participant.id,
            "ani": wanted.participant.ani,
            "aniName": wanted.participant.aniName,
            "dnis": wanted.participant.dnis,
            "language": wanted.language,
            "continuedSessions": ",".join(one.id for one in wanted.continuedSessions or ()),
        }
        for name in ("customConfig", "inputVariables"):
            for key, value in (getattr(wanted, name) or {}).items():
                said[f"{name}.{key}"] = value
        return metadata({name: value for name, value in said.items() if value != ""})

    # What it did not send ("Session walkthrough", "Pause" and "Congestion").

    def _discard(self, parameters: Mapping[str, Any]) -> list[Event]:
        try:
            lost = _Discarded.model_validate(parameters)
        except ValidationError as invalid:
            return self._broken("bad_parameters", _first(invalid))
        if self._samples is None or self._state is not _State.OPEN:
            return []
        before = round(self._discarded_s * self._rate)
        self._discarded_s += lost.discarded
        count = round(self._discarded_s * self._rate) - before
        return [Gap(track, count) for track in self._samples.analysed] if count else []

    # How it ends ("Session walkthrough", "Close transaction" and "Disconnect").

    def _close(self, parameters: Mapping[str, Any]) -> list[Event]:
        if self._state is _State.CLOSING:
            return []
        reason = parameters.get("reason")
        self._state = _State.CLOSING
        if not self._live:
            self._closed()
        return self._stop(reason if reason in _CLOSE_REASONS else "end")

    def _stop(self, reason: str) -> list[Event]:
        heard, self._heard = self._heard, False
        return [CallStopped(reason)] if heard else []

    def _closed(self) -> None:
        self._tell()
        self._reply("closed")
        self._state = _State.CLOSED

    def _broken(
        self,
        problem: str,
        info: str,
        *,
        reason: str = "error",
        leave_with: CloseCode = CloseCode.POLICY,
    ) -> list[Event]:
        """The client breaks the protocol: the session is over, unless it is anyway."""
        self.message_errors[problem] += 1
        self._disconnect(reason, info, leave_with)
        return self._stop("protocol_error") if self._state is _State.DISCONNECTING else []

    def _disconnect(self, reason: str, info: str, leave_with: CloseCode) -> None:
        if self._state in (_State.WAITING, _State.OPENING, _State.OPEN):
            self._tell()
            self._leave_with = leave_with
            self._reply("disconnect", reason=reason, info=info[:MAX_INFO_CHARS])
            self._state = _State.DISCONNECTING

    # What the service answers.

    def replies(self) -> list[str]:
        """All that is to be sent now, once. Numbered here: a gap in `seq` ends the session."""
        messages = []
        while self._replies:
            reply = self._replies.popleft()
            self._seq += 1
            messages.append(
                json.dumps(
                    {
                        "version": "2",
                        "type": reply.type,
                        "id": self._session_id,
                        "seq": self._seq,
                        "clientseq": reply.clientseq,
                        "parameters": reply.parameters,
                    },
                    allow_nan=False,
                )
            )
        return messages

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """The call is taken."""
        if self._state is _State.OPENING:
            self._say_opened()

    def refused(self, refusal: CallRefused) -> None:
        """The call is not taken."""
        self._heard = self._live = False
        later = isinstance(refusal, TryLater)
        code = CloseCode.TRY_AGAIN_LATER if later else CloseCode.POLICY
        self._disconnect("error", str(refusal), code)

    def reading(self, reading: Reading) -> None:
        """How a window sounds; told once in `summary_every_s`."""
        self._readings += 1
        self._latest[reading.track] = reading
        if reading.end_s >= self._summary_from_s:
            self._summary_from_s = reading.end_s + self._summary_every_s
            self._entity(
                "kanjo.summary",
                at_s=round(reading.end_s, 3),
                readings=self._readings,
                alerts=self._fired,
                latest={
                    track: {
                        "start_s": round(latest.start_s, 3),
                        "end_s": round(latest.end_s, 3),
                        "probabilities": {
                            emotion: round(float(probability), 4)
                            for emotion, probability in latest.probabilities.items()
                        },
                    }
                    for track, latest in self._latest.items()
                },
            )

    def alert(self, transition: Transition) -> None:
        """An alert fires or resolves; its other steps stay here, events being rationed."""
        if transition.state not in (AlertState.FIRING, AlertState.RESOLVED):
            return
        self._fired += transition.state is AlertState.FIRING
        self._entity(
            "kanjo.alert",
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

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """The call is over, and this is what was made of it."""
        self._heard = self._live = False
        self._entity(
            "kanjo.stopped",
            reason=reason,
            duration_s=round(summary.duration_s, 3),
            speech_s=round(summary.speech_s, 3),
            readings=summary.readings,
            alerts=summary.alerts,
            dropped=summary.dropped,
        )
        if self._state is _State.CLOSING:
            self._closed()
        else:
            self._disconnect("completed", reason, CloseCode.NORMAL)

    def failed(self) -> None:
        """The service can't go on with this call."""
        self._heard = self._live = False
        if self._state is _State.CLOSING:
            self._closed()
        else:
            info = "the service failed; this session is given up"
            self._disconnect("error", info, CloseCode.INTERNAL)

    def pause(self) -> None:
        """No audio is wanted until `resume`; before the call is taken: it opens paused."""
        self._hold = True
        if self._state is _State.OPEN:
            self._reply("pause")

    def resume(self) -> None:
        """Audio is wanted again; the client may have reasons of its own to stay paused."""
        self._hold = False
        if self._state is _State.OPEN:
            self._reply("resume")

    def reconnect(self, info: str) -> None:
        """Asks the client to go on in a new connection: this one's server is to be stopped."""
        if self._state is _State.OPEN:
            self._reply("reconnect", info=info[:MAX_INFO_CHARS])

    def _say_opened(self) -> None:
        self._reply("opened", **{"media": [], "startPaused": self._hold, **self._opened})
        self._state = _State.OPEN

    def _entity(self, kind: str, **data: Any) -> None:
        if self._state not in (_State.OPEN, _State.CLOSING):
            return
        if len(self._entities) == MAX_ENTITIES:
            self.message_errors["entities_dropped"] += 1
        self._entities.append({"type": kind, "data": data})
        self._tell_when_due()

    def _tell_when_due(self) -> None:
        now_s = float(self.position_s)
        if now_s >= self._event_from_s:
            self._event_from_s = now_s + EVENT_EVERY_S
            self._tell()

    def _tell(self) -> None:
        """All entities that wait, as one event."""
        if self._entities:
            self._reply("event", entities=tuple(self._entities))
            self._entities.clear()

    def _reply(self, kind: str, **parameters: Any) -> None:
        if len(self._replies) == MAX_REPLIES:
            self.message_errors["replies_dropped"] += 1
        self._replies.append(_Reply(kind, self._clientseq, parameters))


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _first(invalid: ValidationError) -> str:
    problem = invalid.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, problem["loc"]))[:80] or "message"
    if problem["type"] == "missing":
        return f"{where}: got nothing, expected a value"
    expected = problem["msg"].removeprefix("Input should be ")
    return f"{where}: got {_brief(problem['input'])}, expected {expected}"
