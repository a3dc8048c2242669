"""Plivo audio streaming: what the XML element `<Stream>` sends.

Plivo's documentation, "Audio Streaming", describes every message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from service.events import Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart

SIDES = {"inbound": Track.CALLER, "outbound": Track.AGENT}


class _MediaFormat(BaseModel, frozen=True):
    encoding: str
    sampleRate: int


class _Start(BaseModel, frozen=True):
    callId: Identifier
    streamId: Identifier
    tracks: list[str] | str
    mediaFormat: _MediaFormat


class _StartMessage(BaseModel, frozen=True):
    start: _Start


class PlivoBridge(MediaStream):
    """A call whose stream just closes at its end: Plivo has no stop message.

    Whether `timestamp` is when the audio was spoken or when it was sent is not documented, so it
    may tremble by 60 ms before time is corrected. L16 is read as little-endian; the
    documentation does not say.
    """

    NAME: ClassVar = "plivo"
    STREAM_ID: ClassVar = "streamId"
    IGNORED: ClassVar = frozenset({"dtmf", "playedStream", "clearedAudio"})
    ENCODINGS: ClassVar = {"audio/x-l16": Encoding.L16, "audio/x-mulaw": Encoding.MULAW}
    SLACK_MS: ClassVar = 60

    def __init__(self, analyse: frozenset[Track], sides: Mapping[str, Track] = SIDES) -> None:
        super().__init__(sides, analyse)

    def _opening(self, message: dict[str, Any]) -> StreamStart:
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
                "accountId": message["start"].get("accountId"),
                "extra_headers": message.get("extra_headers"),
            },
        )
