"""Plivo audio streaming, started by the XML element `<Stream>`.

Plivo's documentation, "Audio Streaming", describes every message.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from service.events import Track
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart
from service.telephony.shared.spelling import AnySpelling, Rate, start_fields

HEADER_PREFIX = "X-PH-"  # which Plivo puts before the names of extra headers
_HEADERS = re.compile(r"\{[^{},:]+:[^{},]*(,[^{},:]+:[^{},]*){0,31}\}")
TRACKS = {"inbound": Track.CALLER, "outbound": Track.AGENT}


class _MediaFormat(AnySpelling, frozen=True):
    encoding: str
    sampleRate: Rate | None = None


class _Start(AnySpelling, frozen=True):
    callId: Identifier
    streamId: Identifier
    tracks: list[str] | str
    mediaFormat: _MediaFormat


class _StartMessage(AnySpelling, frozen=True):
    start: _Start


class PlivoBridge(MediaStream):
    """One stream, which only closes at its end: Plivo has no stop message.

    Whether `timestamp` is when the audio was spoken or when it was sent is not documented, so up
    to 60 ms of jitter are ignored. L16 is decoded as little-endian; the documentation does not
    specify it.
    """

    NAME: ClassVar = "plivo"
    STREAM_ID: ClassVar = "streamId"
    IGNORED: ClassVar = frozenset({"dtmf", "playedStream", "clearedAudio"})
    ENCODINGS: ClassVar = ("audio/x-l16", "audio/x-mulaw")
    SLACK_MS: ClassVar = 60

    def __init__(
        self, analysed_tracks: frozenset[Track], tracks: Mapping[str, Track] = TRACKS
    ) -> None:
        super().__init__(tracks, analysed_tracks)

    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        start = _StartMessage.model_validate(message).start
        return StreamStart(
            call_id=start.callId,
            stream_id=start.streamId,
            tracks=[start.tracks] if isinstance(start.tracks, str) else start.tracks,
            encoding=start.mediaFormat.encoding,
            sample_rate=start.mediaFormat.sampleRate,
            channels=1,
            metadata={
                "streamId": start.streamId,
                "accountId": start_fields(message, ("accountId",)).get("accountId"),
                **_headers(message.get("extra_headers")),
            },
        )


def _headers(text: object) -> dict[str, object]:
    """Returns the extra headers by name, from `{X-PH-queue: billing, X-PH-x: 1}`.

    What has another form is kept whole, as `extra_headers`.
    """
    if not isinstance(text, str) or not _HEADERS.fullmatch(text):
        return {"extra_headers": text}
    pairs = (part.partition(":") for part in text[1:-1].split(","))
    return {name.strip().removeprefix(HEADER_PREFIX): value.strip() for name, _, value in pairs}
