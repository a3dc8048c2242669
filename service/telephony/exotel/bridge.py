"""Exotel AgentStream, started by the Stream and Voicebot applets.

Exotel's documentation, "AgentStream: WebSocket protocol", describes every message.
"""

from typing import Any, ClassVar

from pydantic import BaseModel

from service.events import Track
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.media_stream import Identifier, MediaStream, StreamStart

TRACK = ""  # media messages name no track: a stream has one
METADATA = ("account_sid", "from", "to")


class _MediaFormat(BaseModel, frozen=True):
    encoding: str
    sample_rate: int


class _Start(BaseModel, frozen=True):
    call_sid: Identifier
    stream_sid: Identifier
    media_format: _MediaFormat
    custom_parameters: dict[str, Any] | None = None


class _StartMessage(BaseModel, frozen=True):
    start: _Start


class ExotelBridge(MediaStream):
    """One stream of one track, in chunks of about 100 ms.

    Whether `timestamp` is when the audio was spoken or when it was sent is not documented, so up
    to 60 ms of jitter are ignored; a lost chunk of 100 ms becomes a Gap.
    """

    NAME: ClassVar = "exotel"
    STREAM_ID: ClassVar = "stream_sid"
    IGNORED: ClassVar = frozenset({"connected", "dtmf", "mark"})
    # The Stream applet sends 16 bits little-endian; ExoML's StartStream may send mu-law.
    ENCODINGS: ClassVar = {"audio/x-raw": Encoding.L16, "audio/x-mulaw": Encoding.MULAW}
    SLACK_MS: ClassVar = 60

    def __init__(self, analysed_tracks: frozenset[Track], track: Track = Track.CALLER) -> None:
        super().__init__({TRACK: track}, analysed_tracks)

    def _parse_start(self, message: dict[str, Any]) -> StreamStart:
        valid = _StartMessage.model_validate(message).start
        start: dict[str, Any] = message["start"]
        return StreamStart(
            call_id=valid.call_sid,
            stream_id=valid.stream_sid,
            tracks=(TRACK,),
            encoding=valid.media_format.encoding,
            sample_rate=valid.media_format.sample_rate,
            channels=1,
            metadata={
                "stream_sid": valid.stream_sid,
                **{name: start.get(name) for name in METADATA},
                **(valid.custom_parameters or {}),
            },
        )
