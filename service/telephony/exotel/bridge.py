"""Exotel AgentStream, started by the Stream and Voicebot applets.

Exotel's documentation, "AgentStream: WebSocket protocol", describes every message.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from service.events import Track
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart
from service.telephony.shared.spelling import AnySpelling, Rate, start_fields

TRACKS = {"inbound": Track.CALLER, "outbound": Track.AGENT}
METADATA = ("account_sid", "from", "to")


class _MediaFormat(AnySpelling, frozen=True):
    encoding: str
    sample_rate: Rate | None = None


class _Start(AnySpelling, frozen=True):
    call_sid: Identifier
    stream_sid: Identifier
    media_format: _MediaFormat
    custom_parameters: dict[str, Any] | None = None


class _StartMessage(AnySpelling, frozen=True):
    start: _Start


class ExotelBridge(MediaStream):
    """One stream, in chunks of about 100 ms; media that name no track are inbound.

    Whether `timestamp` is when the audio was spoken or when it was sent is not documented, so up
    to 60 ms of jitter are ignored; a lost chunk of 100 ms becomes a Gap.
    """

    NAME: ClassVar = "exotel"
    STREAM_ID: ClassVar = "stream_sid"
    IGNORED: ClassVar = frozenset({"connected", "dtmf", "mark"})
    # The Stream applet sends 16 bits little-endian; ExoML's StartStream may send mu-law.
    ENCODINGS: ClassVar = ("audio/x-raw", "raw/slin", "audio/L16", "audio/x-mulaw")
    DEFAULT_TRACK: ClassVar = "inbound"
    SLACK_MS: ClassVar = 60

    def __init__(
        self, analysed_tracks: frozenset[Track], tracks: Mapping[str, Track] = TRACKS
    ) -> None:
        super().__init__(tracks, analysed_tracks)

    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        valid = _StartMessage.model_validate(message).start
        start = start_fields(message, METADATA)
        return StreamStart(
            call_id=valid.call_sid,
            stream_id=valid.stream_sid,
            tracks=tuple(self._tracks),  # not named in start
            encoding=valid.media_format.encoding,
            sample_rate=valid.media_format.sample_rate,
            channels=1,
            metadata={
                "stream_sid": valid.stream_sid,
                **{name: start.get(name) for name in METADATA},
                **(valid.custom_parameters or {}),
            },
        )
