"""FreeSWITCH: mod_audio_fork (drachtio) and mod_audio_stream, whose messages are the same.

A text with the call's metadata, then L16 in binary messages, tracks interleaved (the modules'
READMEs: `uuid_audio_fork <uuid> start`, `uuid_audio_stream <uuid> start`). mod_audio_stream
often sends audio before the text, or no text at all.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar

from service.events import AlertState, CallStarted, CallStopped, Event, Track, Transition
from service.telephony.shared import identity
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.listen_only import (
    ListenOnlyBridge,
    MessageProblem,
    Phase,
    StartRefused,
)
from service.telephony.shared.payload import alert_payload
from service.telephony.shared.pre_start_buffer import PreStartBuffer
from service.telephony.shared.spelling import json_value

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
    """Which audio of its channel a fork carries (`mono|mixed|stereo`)."""

    MONO = "mono"  # what comes from the channel
    MIXED = "mixed"  # both directions in one
    STEREO = "stereo"  # what comes from the channel, what goes to it


class FreeswitchBridge(ListenOnlyBridge):
    """One fork of one channel, which receives nothing or, with `alerts`, alerts.

    Sample rate and mix are taken from the metadata (`sampleRate`, `mixType`), or else from the
    arguments; a fork without either is refused. The call id is the first of `call_id_fields` in
    the metadata, or else `call_id_hint`.

    Audio before the metadata is kept. When it exceeds `max_pre_start_bytes`, a fork whose rate and
    mix were given as arguments becomes a call without metadata; other audio is dropped until the
    metadata arrive, and becomes a gap.

    `channels` are the tracks of a stereo fork: what comes from its channel, what goes to it. They
    are swapped if the agent's leg is forked. A mix of speakers is analysed, as the track `mono`,
    only with `analyse_mix`: the agent's voice can't be told from the caller's in it.

    A pause leaves no trace in the messages, so its time is not part of the call's. At most
    `MAX_REPLIES` alerts are kept until they are sent: the oldest are dropped.
    """

    NAME: ClassVar[str] = "freeswitch"
    SUBPROTOCOLS: ClassVar[tuple[str, ...]] = ("audio.drachtio.org",)

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
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
        max_pre_start_bytes: int = 65_536,
    ) -> None:
        super().__init__()
        self._analysed_tracks = analysed_tracks
        self._call_id_hint = call_id_hint
        self._channels = channels
        self._mono = mono
        self._analyse_mix = analyse_mix
        self._sample_rate = sample_rate
        self._mix = mix
        self._call_id_fields = call_id_fields
        self._alerts = alerts
        self._max_frame_bytes = max_frame_bytes
        self._pre_start = PreStartBuffer(max_pre_start_bytes)
        self._samples = Interleaved(Encoding.L16, (), analysed_tracks)
        self._replies: deque[str] = deque(maxlen=MAX_REPLIES)

    @property
    def buffered_bytes(self) -> int:
        """The size of the audio that is kept: before the start, and of an unfinished sample."""
        return len(self._pre_start) + self._samples.unfinished_bytes

    # Messages of the module.

    def receive(self, message: str | bytes) -> list[Event]:
        """Returns the events in one message; errors in it are counted."""
        if self._phase is Phase.STOPPED:
            return self._drop(MessageProblem.AFTER_STOP)
        if isinstance(message, str):
            # Texts during a call come from `send_text` and are not meant for the service.
            return self._metadata(message) if self._phase is Phase.WAITING else []
        if not message:  # `graceful-shutdown`: no audio follows, and the module waits for a close
            return self._end("stop")
        return self._audio(message) if self._phase is Phase.LIVE else self._keep(message)

    def disconnected(self) -> list[Event]:
        """Returns the end of the call; most forks end by disconnecting."""
        return self._end("disconnected") if self._phase is not Phase.STOPPED else []

    def _audio(self, frame: bytes) -> list[Event]:
        if len(frame) > self._max_frame_bytes:
            self._drop(MessageProblem.FRAME_TOO_LARGE)
            return self._samples.lose(len(frame))
        return self._samples.feed(frame)

    def _keep(self, frame: bytes) -> list[Event]:
        """Keeps audio until the metadata arrive, or starts the call if it can't be kept."""
        if not self._pre_start.has_room(frame):
            self._drop(MessageProblem.HELD_TOO_MUCH)
            if self._has_format:
                started = self._start({})
                return started + self._audio(frame) if started else []
        self._pre_start.add(frame)
        return []

    @property
    def _has_format(self) -> bool:
        """Whether the audio can be decoded without metadata."""
        return self._sample_rate is not None and self._mix is not None

    def _metadata(self, text: str) -> list[Event]:
        if len(text) > MAX_TEXT_CHARS:
            return self._drop(MessageProblem.TEXT_TOO_LARGE)
        try:
            content = json_value(text)
        except (ValueError, TypeError):
            content = None
        return self._start(content if isinstance(content, dict) else {"metadata": text})

    def _start(self, metadata: Mapping[str, object]) -> list[Event]:
        try:
            sample_rate = self._rate_of(metadata)
            channels = self._channels_of(metadata)
            call_id = self._call_id_of(metadata)
        except StartRefused as refused:
            return self._refuse_start(refused)
        self._phase = Phase.LIVE
        self._samples = Interleaved(Encoding.L16, channels, self._analysed_tracks)
        tracks = tuple(track for track in channels if track is not None)
        others = {k: v for k, v in metadata.items() if k not in ("sampleRate", "mixType")}
        started = CallStarted(call_id, self.NAME, tracks, sample_rate, identity.metadata(others))
        return [started, *self._pre_start.release(self._samples)]

    def _rate_of(self, metadata: Mapping[str, object]) -> int:
        rate = metadata.get("sampleRate")
        rate = self._sample_rate if rate is None else rate
        digits = str(rate) if isinstance(rate, int | str) else ""
        if digits.isdecimal() and len(digits) <= 5 and int(digits) in RATES:
            return int(digits)
        reason = f"got sampleRate {rate!r:.40}, expected 8000, 16000, ... 64000"
        raise StartRefused(MessageProblem.UNSUPPORTED_AUDIO, CloseCode.UNSUPPORTED, reason)

    def _channels_of(self, metadata: Mapping[str, object]) -> tuple[Track | None, ...]:
        mix = metadata.get("mixType")
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

    def _call_id_of(self, metadata: Mapping[str, object]) -> str:
        ids = (metadata[name] for name in self._call_id_fields if metadata.get(name) is not None)
        value = next(ids, self._call_id_hint)
        call_id = identity.call_id(str(value) if type(value) is int else value)
        if call_id is not None:
            return call_id
        reason = f"got call id {ascii(value):.60}, expected 1 to 128 printable characters"
        raise StartRefused(MessageProblem.BAD_START, CloseCode.POLICY, reason)

    def _end(self, reason: str) -> list[Event]:
        is_short = self._phase is Phase.WAITING and len(self._pre_start) and self._has_format
        events = self._start({}) if is_short else []
        if self._phase is Phase.LIVE:
            self._phase = Phase.STOPPED
            events.append(CallStopped(reason))
        elif self.close_code is None:
            self._close(CloseCode.NORMAL, "got no call")
        return events

    # Replies of the service.

    def replies(self) -> list[str]:
        """Returns the alerts to send now and removes them."""
        messages = list(self._replies)
        self._replies.clear()
        return messages

    def alert(self, transition: Transition) -> None:
        """Replies with an alert that fires or resolves, as the modules' event `::json`."""
        if self._alerts and transition.state in (AlertState.FIRING, AlertState.RESOLVED):
            data = {"call_id": transition.call_id, **alert_payload(transition)}
            self._replies.append(json.dumps({"type": "json", "data": data}, allow_nan=False))

    def _close(self, close_code: CloseCode, reason: str) -> None:
        self._pre_start.clear()
        super()._close(CLOSES.get(close_code, close_code), reason)
