"""Twilio Media Streams: a copy of one or both tracks of a call.

Twilio's documentation, "Media Streams - WebSocket Messages", describes every message.
"""

import hmac
from collections.abc import Mapping
from typing import Any, ClassVar

from service.events import Track
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.listen_only import MessageProblem, StartRefused
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart
from service.telephony.shared.spelling import AnySpelling, Rate, start_fields

TRACKS = {"inbound": Track.CALLER, "outbound": Track.AGENT}
TOKEN = "token"  # the custom parameter that carries the second factor


class _MediaFormat(AnySpelling, frozen=True):
    encoding: str
    sampleRate: Rate | None = None
    channels: int


class _Start(AnySpelling, frozen=True):
    callSid: Identifier
    streamSid: Identifier
    tracks: list[str]
    mediaFormat: _MediaFormat
    customParameters: dict[str, Any] | None = None


class _StartMessage(AnySpelling, frozen=True):
    start: _Start


class TwilioBridge(MediaStream):
    """One stream of `<Start><Stream>` or `<Connect><Stream>`; neither is sent any message.

    `timestamp` is the presentation time since the stream's start ("Media message"), so a jump is
    audio that Twilio lost (warning 31930) and becomes a Gap, and a late delivery changes nothing.

    If `token` is given, `<Parameter name="token">` must equal it.
    """

    NAME: ClassVar = "twilio"
    STREAM_ID: ClassVar = "streamSid"
    IGNORED: ClassVar = frozenset({"connected", "dtmf", "mark"})
    ENCODINGS: ClassVar = ("audio/x-mulaw",)
    ORIGIN_MS: ClassVar = 0
    SLACK_MS: ClassVar = 10  # half of a frame

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
        tracks: Mapping[str, Track] = TRACKS,
        token: str | None = None,
    ) -> None:
        super().__init__(tracks, analysed_tracks)
        self._token = token

    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        start = _StartMessage.model_validate(message).start
        parameters = dict(start.customParameters or {})
        self._check_token(parameters.pop(TOKEN, None))
        return StreamStart(
            call_id=start.callSid,
            stream_id=start.streamSid,
            tracks=start.tracks,
            encoding=start.mediaFormat.encoding,
            sample_rate=start.mediaFormat.sampleRate,
            channels=start.mediaFormat.channels,
            metadata={
                "streamSid": start.streamSid,
                "accountSid": start_fields(message, ("accountSid",)).get("accountSid"),
                **parameters,
            },
        )

    def _check_token(self, token: object) -> None:
        if self._token is None:
            return
        received = token.encode(errors="replace") if isinstance(token, str) else b""
        if not hmac.compare_digest(received, self._token.encode()):
            reason = f"expected the right <Parameter name={TOKEN!r}>, got another or none"
            raise StartRefused(MessageProblem.WRONG_TOKEN, CloseCode.POLICY, reason)
