"""Genesys AudioHook, protocol version 2: JSON texts, binary audio, alerts as event entities.

Sections cited are those of the AudioHook documentation at developer.genesys.cloud: "Session
walkthrough" and "Protocol reference". `service.telephony.audiohook.auth` checks the handshake.
"""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from service.errors import CallRefused, TryLater
from service.events import (
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Reading,
    Track,
    Transition,
)
from service.telephony.audiohook.entities import (
    CallTotals,
    Entity,
    EntityQueue,
    stopped_entity,
)
from service.telephony.audiohook.media import TRACKS, SessionAudio, choose_media
from service.telephony.audiohook.messages import (
    ClientMessage,
    OpenParameters,
    ProtocolViolation,
    ReplyQueue,
    SessionErrorCode,
    brief,
    close_reason,
    discarded_s,
)
from service.telephony.audiohook.state import DEADLINES, SessionDeadlines, SessionState
from service.telephony.shared.bridge import Bridge, CloseCode

MAX_FRAME_BYTES = 640_000  # 20 s, the longest catch-up, of two channels of L16 at once
MAX_INFO_CHARS = 300


class AudioHookBridge(Bridge):
    """One session, the server's side ("Session walkthrough").

    The server never ends the connection first: a client takes that for a failing network and
    connects again. Instead it sends `disconnect`; the client replies `close`, receives `closed`
    and leaves. `close_code` stays None until then. `deadline_s` is how long the present state may
    last; after that the edge calls `overdue()`, which sends what the client expects, or sets
    `close_code` if it is the client that is late.

    Audio before `open`, or though no media was chosen, ends the session, because its format is
    unknown ("Protocol reference", `open`). Audio while the client is paused, and frames above
    `MAX_FRAME_BYTES`, become gaps. `message_errors` counts all this, and the replies and event
    entities that were dropped because too many were not fetched or not due.

    Args:
        session_id: the header Audiohook-Session-Id; every message must carry it.
        organization_id: the header Audiohook-Organization-Id, which `open` must repeat; None if
            the handshake had none.
        tracks: whose voice each of Genesys' channels carries. `internal` is everything that the
            customer is played.
        analysed_tracks: the tracks that become events; samples of others are not decoded.
        summary_every_s: seconds of call time from one `kanjo.summary` to the next.
        deadlines: how long a session may stay in each state.
    """

    replaces = True
    burst_s = 30.0  # clients keep so much and send it at once ("Catch-up")

    def __init__(
        self,
        session_id: str,
        organization_id: str | None,
        tracks: Mapping[str, Track] = TRACKS,
        analysed_tracks: frozenset[Track] = frozenset({Track.CALLER}),
        summary_every_s: float = 10.0,
        deadlines: SessionDeadlines = DEADLINES,
    ) -> None:
        assert len(set(tracks.values())) == len(tracks), f"a track is on two channels: {tracks}"
        self.close_code: CloseCode | None = None
        self.message_errors: Counter[str] = Counter()
        self._session_id = session_id
        self._organization_id = organization_id
        self._tracks = tracks
        self._analysed_tracks = analysed_tracks
        self._deadlines = deadlines

        self._state = SessionState.BEFORE_OPEN
        self._close_code_if_late = CloseCode.NORMAL
        self._opened: dict[str, Any] = {}  # parameters of `opened` beside the usual ones
        self._call_open = False  # CallStarted was returned, CallStopped not yet
        self._outcome_due = False  # the service has not refused, stopped or failed the call yet
        self._pause_requested = False  # by the service
        self._client_paused = False

        self._clientseq = 0  # of the last message that was received
        self._replies = ReplyQueue(session_id)
        self._audio: SessionAudio | None = None  # in the media that was chosen
        self._entities = EntityQueue()
        self._totals = CallTotals(summary_every_s)

    @property
    def position_s(self) -> Decimal:
        """How much of the call was received or discarded, exactly."""
        return self._audio.position_s if self._audio else Decimal(0)

    @property
    def deadline_s(self) -> float | None:
        """How long the session may stay in its state; None without a limit."""
        return self._deadlines.of(self._state)

    @property
    def stage(self) -> SessionState:
        """The state that `deadline_s` is about."""
        return self._state

    # Messages of the client.

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the facts in one message; a protocol violation is answered by `disconnect`."""
        try:
            if isinstance(message, bytes):
                return self._receive_audio(message)
            return self._receive_text(message)
        except ProtocolViolation as violation:
            return self._break_off(violation)

    def disconnected(self) -> list[Event]:
        """Ends a live call: the connection is lost."""
        self._state = SessionState.CLOSED
        return self._stop("disconnected")

    def overdue(self) -> list[Event]:
        """Ends the present state, whose `deadline_s` has passed."""
        match self._state:
            case SessionState.BEFORE_OPEN:
                return self._break_off(
                    ProtocolViolation(SessionErrorCode.NO_OPEN, "got no open, expected one")
                )
            case SessionState.CLOSING:
                self._send_closed()
            case SessionState.DISCONNECTING | SessionState.CLOSED:
                self._state = SessionState.CLOSED
                self.close_code = self._close_code_if_late
                return self._stop("disconnected")
        return []

    def _receive_audio(self, frame: bytes) -> list[Event]:
        if self._state is not SessionState.OPEN:
            if self._state in (SessionState.BEFORE_OPEN, SessionState.OPENING):
                raise ProtocolViolation(
                    SessionErrorCode.AUDIO_UNEXPECTED, "got audio, expected none before opened"
                )
            return []
        if self._audio is None:
            raise ProtocolViolation(
                SessionErrorCode.AUDIO_UNEXPECTED, "got audio, expected none: opened had no media"
            )
        if self._client_paused:
            self.message_errors[SessionErrorCode.AUDIO_WHILE_PAUSED] += 1
            events = self._audio.lose(frame)
        elif len(frame) > MAX_FRAME_BYTES:
            self.message_errors[SessionErrorCode.FRAME_TOO_LARGE] += 1
            events = self._audio.lose(frame)
        else:
            events = self._audio.receive(frame)
        if self._entities:
            self._send_entities_if_due()
        return events

    def _receive_text(self, text: str) -> list[Event]:
        if self._state is SessionState.CLOSED:
            return []
        message = ClientMessage.parse(text)
        expected, self._clientseq = self._clientseq + 1, message.seq
        # After `disconnect` only `close` matters, whatever its numbers.
        if self._state is not SessionState.DISCONNECTING:
            if message.seq != expected:
                raise ProtocolViolation(
                    SessionErrorCode.BAD_SEQ, f"got seq {message.seq}, expected {expected}"
                )
            if message.serverseq > self._replies.seq:
                raise ProtocolViolation(
                    SessionErrorCode.BAD_SERVERSEQ,
                    f"got serverseq {message.serverseq}, expected at most {self._replies.seq}",
                )
        if message.id != self._session_id:
            raise ProtocolViolation(
                SessionErrorCode.WRONG_ID,
                f"got id {brief(message.id)}, expected that of the handshake",
            )
        return self._act_on(message.type, message.parameters)

    def _act_on(self, kind: str, parameters: Mapping[str, Any]) -> list[Event]:
        match kind:
            case "close":
                return self._close(parameters)
            case "ping":
                self._reply("pong")
                self._send_entities()
            case _ if self._state in (SessionState.CLOSING, SessionState.DISCONNECTING):
                pass  # the session ends; other messages no longer matter
            case "open":
                return self._open(parameters)
            case "paused":
                self._client_paused = True
            case "resumed":
                self._client_paused = False
                return self._discard(parameters)
            case "discarded":
                return self._discard(parameters)
            case "update":
                self._reply("updated")
            case "error":
                self.message_errors[SessionErrorCode.CLIENT_ERROR] += 1
            case "dtmf" | "playback_started" | "playback_completed":
                pass
            case _:
                self.message_errors[SessionErrorCode.UNKNOWN_TYPE] += 1
        return []

    # Opening ("Session walkthrough", "Open transaction" and "Connection probe").

    def _open(self, parameters: Mapping[str, Any]) -> list[Event]:
        if self._state is not SessionState.BEFORE_OPEN:
            self.message_errors[SessionErrorCode.SECOND_OPEN] += 1
            return []
        wanted = OpenParameters.parse(parameters)
        if self._organization_id not in (None, wanted.organizationId):
            raise ProtocolViolation(
                SessionErrorCode.WRONG_ORGANIZATION,
                "organizationId: expected that of the handshake",
                reason="unauthorized",
            )
        if wanted.supportedLanguages:
            self._opened["supportedLanguages"] = []
        if not wanted.has_call:
            self._send_opened()
            return []
        media = choose_media(wanted.media, self._tracks, self._analysed_tracks)
        self._state = SessionState.OPENING
        self._opened["media"] = [media.model_dump()]
        self._call_open = self._outcome_due = True
        self._audio = SessionAudio(media, self._tracks, self._analysed_tracks)
        return [
            CallStarted(
                call_id=wanted.conversationId,
                bridge="audiohook",
                tracks=self._audio.tracks,
                sample_rate=self._audio.sample_rate,
                metadata=wanted.metadata(self._session_id),
            )
        ]

    # Audio that was not sent ("Session walkthrough", "Pause" and "Congestion").

    def _discard(self, parameters: Mapping[str, Any]) -> list[Event]:
        seconds = discarded_s(parameters)
        if self._audio is None or self._state is not SessionState.OPEN:
            return []
        return self._audio.discard(seconds)

    # Ending ("Session walkthrough", "Close transaction" and "Disconnect").

    def _close(self, parameters: Mapping[str, Any]) -> list[Event]:
        if self._state is SessionState.CLOSING:
            return []
        self._state = SessionState.CLOSING
        if not self._outcome_due:
            self._send_closed()
        return self._stop(close_reason(parameters))

    def _stop(self, reason: str) -> list[Event]:
        was_open, self._call_open = self._call_open, False
        return [CallStopped(reason)] if was_open else []

    def _break_off(self, violation: ProtocolViolation) -> list[Event]:
        """Counts a violation and ends the session, unless it is ending already."""
        self.message_errors[violation.error] += 1
        self._disconnect(violation.reason, str(violation), violation.close_code)
        if self._state is SessionState.DISCONNECTING:
            return self._stop("protocol_error")
        return []

    def _disconnect(self, reason: str, info: str, close_code: CloseCode) -> None:
        if self._state in (SessionState.BEFORE_OPEN, SessionState.OPENING, SessionState.OPEN):
            self._send_entities()
            self._close_code_if_late = close_code
            self._reply("disconnect", reason=reason, info=info[:MAX_INFO_CHARS])
            self._state = SessionState.DISCONNECTING

    # Results of the service.

    def replies(self) -> list[str]:
        """Removes and returns the messages to send, numbered in the order of this call."""
        return self._replies.take()

    def started(self, session: str, model: str, version: str, hop_s: float) -> None:
        """Sends `opened`: the call is accepted."""
        assert self._state is SessionState.OPENING, (
            f"got started in state {self._state.value!r}, "
            f"expected it in {SessionState.OPENING.value!r}"
        )
        self._send_opened()

    def refused(self, refusal: CallRefused) -> None:
        """Sends `disconnect`: the call is not accepted."""
        self._call_open = self._outcome_due = False
        later = isinstance(refusal, TryLater)
        code = CloseCode.TRY_AGAIN_LATER if later else CloseCode.POLICY
        self._disconnect("error", str(refusal), code)

    def reading(self, reading: Reading) -> None:
        """Counts a reading and queues a summary if one is due."""
        self._queue(self._totals.reading(reading))

    def alert(self, transition: Transition) -> None:
        """Queues an alert that fires or resolves; other transitions are not sent."""
        self._queue(self._totals.alert(transition))

    def stopped(self, reason: str, summary: CallSummary) -> None:
        """Sends the call's totals, then `closed`, or `disconnect` if the client sent no `close`."""
        self._call_open = self._outcome_due = False
        self._queue(stopped_entity(reason, summary))
        if self._state is SessionState.CLOSING:
            self._send_closed()
        else:
            self._disconnect("completed", reason, CloseCode.NORMAL)

    def failed(self) -> None:
        """Ends the session because of an error in the service."""
        self._call_open = self._outcome_due = False
        if self._state is SessionState.CLOSING:
            self._send_closed()
        else:
            info = "the service failed; this session is given up"
            self._disconnect("error", info, CloseCode.INTERNAL)

    def pause(self) -> None:
        """Asks for no audio until `resume`; before `opened` the session opens paused."""
        self._pause_requested = True
        if self._state is SessionState.OPEN:
            self._reply("pause")

    def resume(self) -> None:
        """Asks for audio again; the client may stay paused for reasons of its own."""
        self._pause_requested = False
        if self._state is SessionState.OPEN:
            self._reply("resume")

    def reconnect(self, info: str) -> None:
        """Asks the client to continue in a new connection, because this server will stop."""
        if self._state is SessionState.OPEN:
            self._reply("reconnect", info=info[:MAX_INFO_CHARS])

    # Replies.

    def _send_opened(self) -> None:
        self._reply("opened", **{"media": [], "startPaused": self._pause_requested, **self._opened})
        self._state = SessionState.OPEN

    def _send_closed(self) -> None:
        self._send_entities()
        self._reply("closed")
        self._state = SessionState.CLOSED

    def _queue(self, entity: Entity | None) -> None:
        if entity is None or self._state not in (SessionState.OPEN, SessionState.CLOSING):
            return
        if not self._entities.add(entity):
            self.message_errors[SessionErrorCode.ENTITIES_DROPPED] += 1
        self._send_entities_if_due()

    def _send_entities_if_due(self) -> None:
        self._send_event(self._entities.take_due(float(self.position_s)))

    def _send_entities(self) -> None:
        self._send_event(self._entities.take())

    def _send_event(self, entities: tuple[Entity, ...]) -> None:
        if entities:
            self._reply("event", entities=entities)

    def _reply(self, kind: str, **parameters: Any) -> None:
        if not self._replies.add(kind, self._clientseq, parameters):
            self.message_errors[SessionErrorCode.REPLIES_DROPPED] += 1
