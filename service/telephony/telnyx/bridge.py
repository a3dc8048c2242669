"""Telnyx media streaming: what `streaming_start` or TeXML's `<Stream>` sends.

Telnyx's documentation, "Stream call media over WebSocket", describes every message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel

from service.events import Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart

SIDES = {"inbound": Track.CALLER, "outbound": Track.AGENT}
NAMES = ("call_session_id", "from", "to", "user_id", "client_state", "tags")


class _MediaFormat(BaseModel, frozen=True):
    encoding: str
    sample_rate: int
    channels: int = 1


class _Start(BaseModel, frozen=True):
    call_control_id: Identifier
    media_format: _MediaFormat


class _StartMessage(BaseModel, frozen=True):
    stream_id: Identifier
    start: _Start


class TelnyxBridge(MediaStream):
    """A call in the codec that it has, or in the one that `stream_codec` names.

    "Media frame order is not guaranteed": up to 10 pieces of a track, 0.2 s of telephone audio,
    wait for the ones before them; what comes later still is dropped, and was a Gap.

    L16 is read as little-endian; the documentation does not say.
    """

    NAME: ClassVar = "telnyx"
    STREAM_ID: ClassVar = "stream_id"
    IGNORED: ClassVar = frozenset({"connected", "dtmf", "mark"})
    ENCODINGS: ClassVar = {
        "PCMU": Encoding.MULAW,
        "PCMA": Encoding.ALAW,
        "L16": Encoding.L16,
        "audio/x-mulaw": Encoding.MULAW,  # as older examples have it
    }
    ORIGIN_MS: ClassVar = 0
    SLACK_MS: ClassVar = 10
    DEPTH: ClassVar = 10

    def __init__(self, analyse: frozenset[Track], sides: Mapping[str, Track] = SIDES) -> None:
        super().__init__(sides, analyse)

    def _opening(self, message: dict[str, Any]) -> StreamStart:
        valid = _StartMessage.model_validate(message)
        start: dict[str, Any] = message["start"]
        return StreamStart(
            call_id=valid.start.call_control_id,
            stream_id=valid.stream_id,
            tracks=tuple(self._sides),  # start does not say
            encoding=valid.start.media_format.encoding,
            sample_rate=valid.start.media_format.sample_rate,
            channels=valid.start.media_format.channels,
            metadata={"stream_id": valid.stream_id, **{name: start.get(name) for name in NAMES}},
        )
