"""FreeSWITCH: mod_audio_fork (drachtio) and mod_audio_stream, one dialect on the wire.

A text with the call's metadata, then L16 in binary messages, tracks interleaved (the modules'
READMEs: `uuid_audio_fork <uuid> start`, `uuid_audio_stream <uuid> start`). mod_audio_stream
often sends audio before the text, or no text at all.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from typing import ClassVar

from pydantic_core import from_json

from service.events import AlertState, CallStarted, CallStopped, Event, Track, Transition
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import ListenOnlyBridge, MessageProblem, StartRefused
from service.telephony.shared.pre_start_buffer import PreStartBuffer

MAX_TEXT_CHARS = 65_536
MAX_REPLIES = 64
CALL_ID_FIELDS = ("call_id", "callId", "uuid", "callSid")
RATES = range(8_000, 64_001, 8_000)  # Hz, that mod_audio_fork accepts

# 1000, 1001 and 1011 end a fork cleanly; other codes can be a protocol error to both modules.
CLOSES = {
    CloseCode.UNSUPPORTED: CloseCode.INTERNAL,
    CloseCode.POLICY: CloseCode.INTERNAL,
    CloseCode.TRY_AGAIN_LATER: CloseCode.GOING_AWAY,
}


class Mix(StrEnum):
    """Which sides of its channel a fork carries (`mono|mixed|stereo`)."""

    MONO = "mono"  # what the channel says
    MIXED = "mixed"  # both sides in one
    STEREO = "stereo"  # what it says, what it hears


class _State(Enum):
    WAITING = "waiting for metadata"
    LIVE = "live"
    STOPPED = "stopped"


class FreeswitchBridge(ListenOnlyBridge):
    """One fork of one channel; it hears nothing but, if `alerts` are asked for, those.

    Sample rate and mix are those of the metadata (`sampleRate`, `mixType`), or else the
    configured ones; a fork for which neither says them is refused. Its call id is the first of
    `call_id_fields` in the metadata, or else `call_id_hint`: the query's, or the edge's own.

    Audio before the metadata is held. When it comes to more than `max_held_bytes`, a fork whose
    rate and mix are configured becomes a call without metadata; the audio of any other is
    dropped until the metadata come, and becomes a gap.

    `channels` are the sides of a stereo fork: what its channel says, what it hears. They change
    places with the leg that is forked. A mix is analysed, as `mono`, only where `analyse_mix`
    says so: nobody can tell the agent's voice from the caller's in it.

    A pause leaves no trace on the wire: its time is not in the call. Alerts that nobody fetches
    are bounded: the oldest are dropped.
    """

    NAME: ClassVar[str] = "freeswitch"
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ("audio.drachtio.org",)

    def __init__(
        self,
        analyse: frozenset[Track],
        *,
        call_id_hint: str,
        channels: tuple[Track | None, Track | None] = (Track.CALLER, Track.AGENT),
        mono: Track = Track.CALLER,
        analyse_mix: bool = False,
        sample_rate: int | None = None,
        mix: Mix | None = None,
        call_id_fields: Sequence[str] = CALL_ID_FIELDS,
        alerts: bool = False,
        max_frame_bytes: int = 524_288,
        max_held_bytes: int = 65_536,
    ) -> None:
        super().__init__()
        self._analyse = analyse
        self._call_id_hint = call_id_hint
        self._channels = channels
        self._mono = mono
        self._analyse_mix = analyse_mix
        self._sample_rate = sample_rate
        self._mix = mix
        self._call_id_fields = call_id_fields
        self._alerts = alerts
        self._max_frame_bytes = max_frame_bytes
        self._state = _State.WAITING
        self._held = PreStartBuffer(max_held_bytes)
        self._samples = Interleaved(Encoding.L16, (), analyse)
        self._replies: deque[str] = deque(maxlen=MAX_REPLIES)

    # What the module says.

    def receive(self, message: str | bytes) -> list[Event]:
        """The facts in one message. What is wrong with it is counted."""
        if self._state is _State.STOPPED:
            self.message_errors[MessageProblem.AFTER_STOP] += 1
            return []
        if isinstance(message, str):
            # Texts of a live call are `send_text`: somebody else's words.
            return self._metadata(message) if self._state is _State.WAITING else []
        if not message:  # `graceful-shutdown`: no audio follows, and the module waits for a close
            return self._end("stop")
        return self._audio(message) if self._state is _State.LIVE else self._hold(message)

    def disconnected(self) -> list[Event]:
        """The module is gone, which is how most forks end."""
        return self._end("disconnected") if self._state is not _State.STOPPED else []

    def _audio(self, frame: bytes) -> list[Event]:
        if len(frame) > self._max_frame_bytes:
            self.message_errors[MessageProblem.FRAME_TOO_LARGE] += 1
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _hold(self, frame: bytes) -> list[Event]:
        if not self._held.has_room(frame):
            self.message_errors[MessageProblem.HELD_TOO_MUCH] += 1
            if self._known:
                started = self._start({})
                return started + self._audio(frame) if started else []
        self._held.add(frame)
        return []

    @property
    def _known(self) -> bool:
        """Whether the audio can be understood without metadata."""
        return self._sample_rate is not None and self._mix is not None

    def _metadata(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            self.message_errors[MessageProblem.TEXT_TOO_LARGE] += 1
            return []
        try:
            said = from_json(text, allow_inf_nan=False)
        except (ValueError, TypeError):
            said = None
        return self._start(said if isinstance(said, dict) else {"metadata": text})

    def _start(self, said: Mapping[str, object]) -> list[Event]:
        try:
            sample_rate = self._rate_of(said)
            lanes = self._lanes_of(said)
            call_id = self._call_id_of(said)
        except StartRefused as refused:
            self.message_errors[refused.problem] += 1
            self._close(refused.close_code, str(refused))
            return []
        self._state = _State.LIVE
        self._samples = Interleaved(Encoding.L16, lanes, self._analyse)
        tracks = tuple(track for track in lanes if track is not None)
        others = {k: v for k, v in said.items() if k not in ("sampleRate", "mixType")}
        started = CallStarted(call_id, self.NAME, tracks, sample_rate, identity.metadata(others))
        return [started, *self._held.release(self._samples)]

    def _rate_of(self, said: Mapping[str, object]) -> int:
        rate = said.get("sampleRate")
        rate = self._sample_rate if rate is None else rate
        digits = str(rate) if isinstance(rate, int | str) else ""
        if digits.isdecimal() and len(digits) <= 5 and int(digits) in RATES:
            return int(digits)
        reason = f"got sampleRate {rate!r:.40}, expected 8000, 16000, ... 64000"
        raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)

    def _lanes_of(self, said: Mapping[str, object]) -> tuple[Track | None, ...]:
        mix = said.get("mixType")
        mix = self._mix if mix is None else mix
        if mix == Mix.STEREO:
            return self._channels
        if mix == Mix.MONO or (mix == Mix.MIXED and self._analyse_mix):
            return (self._mono,)
        if mix == Mix.MIXED:
            reason = "got a mix of speakers, expected one voice a track"
            raise StartRefused(MessageProblem.MIXED_SPEAKERS, CloseCode.POLICY, reason)
        reason = f"got mixType {mix!r:.40}, expected {', '.join(Mix)}"
        raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)

    def _call_id_of(self, said: Mapping[str, object]) -> str:
        named = (said[field] for field in self._call_id_fields if said.get(field) is not None)
        said_id = next(named, self._call_id_hint)
        call_id = identity.call_id(str(said_id) if type(said_id) is int else said_id)
        if call_id is not None:
            return call_id
        reason = f"got call id {ascii(said_id):.60}, expected 1 to 128 printable characters"
        raise StartRefused(MessageProblem.BAD_START, CloseCode.POLICY, reason)

    def _end(self, reason: str) -> list[Event]:
        short = self._state is _State.WAITING and len(self._held) and self._known
        events = self._start({}) if short else []
        if self._state is _State.LIVE:
            self._state = _State.STOPPED
            events.append(CallStopped(reason))
        elif self.close_code is None:
            self._close(CloseCode.NORMAL, "got no call")
        return events

    # What the service answers.

    def replies(self) -> list[str]:
        """The alerts that are to be sent now, once."""
        messages = list(self._replies)
        self._replies.clear()
        return messages

    def alert(self, transition: Transition) -> None:
        """An alert that fires or resolves, as the modules' event `::json`."""
        if self._alerts and transition.state in (AlertState.FIRING, AlertState.RESOLVED):
            data = {
                "alert_id": transition.alert_id,
                "number": transition.number,
                "call_id": transition.call_id,
                "track": transition.track,
                "emotion": transition.emotion,
                "state": transition.state,
                "since_s": round(transition.since_s, 3),
                "at_s": round(transition.at_s, 3),
                "probability": round(float(transition.probability), 4),
                "peak": round(float(transition.peak), 4),
                "text": transition.text,
            }
            self._replies.append(json.dumps({"type": "json", "data": data}, allow_nan=False))

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._state = _State.STOPPED
        self._held.clear()
        super()._close(CLOSES.get(close_code, close_code), reason)
