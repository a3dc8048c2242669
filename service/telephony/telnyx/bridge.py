"""Telnyx media streaming, started by `streaming_start` or by TeXML's `<Stream>`.

Telnyx's documentation, "Stream call media over WebSocket", describes every message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from service.events import Track
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart
from service.telephony.shared.spelling import AnySpelling, Rate, start_fields

TRACKS = {"inbound": Track.CALLER, "outbound": Track.AGENT}
METADATA = ("call_session_id", "from", "to", "user_id", "client_state", "tags")


class _MediaFormat(AnySpelling, frozen=True):
    encoding: str
    sample_rate: Rate | None = None
    channels: int = 1


class _Start(AnySpelling, frozen=True):
    call_control_id: Identifier
    media_format: _MediaFormat


class _StartMessage(AnySpelling, frozen=True):
    stream_id: Identifier
    start: _Start


class TelnyxBridge(MediaStream):
    """One stream, in the call's own codec or in the one that `stream_codec` names.

    "Media frame order is not guaranteed": up to 10 chunks of a track, 0.2 s of telephone audio,
    are queued until earlier ones arrive; a chunk that comes later still is dropped, after a Gap.

    The documentation does not specify the byte order of L16: it is `big_endian`'s.
    """

    NAME: ClassVar = "telnyx"
    STREAM_ID: ClassVar = "stream_id"
    IGNORED: ClassVar = frozenset({"connected", "dtmf", "mark"})
    ENCODINGS: ClassVar = ("PCMU", "PCMA", "L16")
    ORIGIN_MS: ClassVar = 0
    SLACK_MS: ClassVar = 10
    DEPTH: ClassVar = 10

    def __init__(
        self,
        analysed_tracks: frozenset[Track],
        tracks: Mapping[str, Track] = TRACKS,
        *,
        big_endian: bool = False,
    ) -> None:
        super().__init__(tracks, analysed_tracks, big_endian=big_endian)

    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        valid = _StartMessage.model_validate(message)
        start = start_fields(message, METADATA)
        return StreamStart(
            call_id=valid.start.call_control_id,
            stream_id=valid.stream_id,
            tracks=tuple(self._tracks),  # not named in start
            encoding=valid.start.media_format.encoding,
            sample_rate=valid.start.media_format.sample_rate,
            channels=valid.start.media_format.channels,
            metadata={"stream_id": valid.stream_id, **{name: start.get(name) for name in METADATA}},
        )
