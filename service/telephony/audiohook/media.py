"""Which of the offered media an AudioHook session uses, and its audio on the call's timeline."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.events import Event, Gap, Track
from service.telephony.audiohook.messages import ProtocolViolation, SessionErrorCode, brief
from service.telephony.shared.bridge import CloseCode
from service.telephony.shared.interleaved import Encoding, Interleaved

# Genesys' names of channels. `internal` is everything that the customer is played.
TRACKS = {"external": Track.CALLER, "internal": Track.AGENT}
FORMATS = {"PCMU": (Encoding.MULAW, 1), "L16": (Encoding.L16, 2)}  # with bytes a sample


class Media(BaseModel):
    """One item of the media that `open` offers."""

    model_config = ConfigDict(frozen=True, strict=True)

    type: Literal["audio"]
    format: Literal["PCMU", "L16"]
    channels: Annotated[list[str], Field(min_length=1, max_length=2)]
    rate: Annotated[int, Field(ge=8_000, le=48_000)]


_MEDIA = TypeAdapter(Media)


def choose_media(
    offered: Sequence[Any], tracks: Mapping[str, Track], analysed_tracks: frozenset[Track]
) -> Media:
    """Returns the media with the most analysed channels and the fewest others.

    Among equals PCMU is chosen before L16, then the first offered. Items that are not such media
    are passed over.

    Raises:
        ProtocolViolation: no item has an analysed channel.
    """
    best: tuple[tuple[int, int, bool], Media] | None = None
    for item in offered:
        try:
            media = _MEDIA.validate_python(item)
        except ValidationError:
            continue
        analysed = sum(tracks.get(channel) in analysed_tracks for channel in media.channels)
        if not analysed or len(set(media.channels)) < len(media.channels):
            continue
        rank = (-analysed, len(media.channels), media.format != "PCMU")
        if best is None or rank < best[0]:
            best = rank, media
    if best is None:
        channels = [channel for channel, track in tracks.items() if track in analysed_tracks]
        raise ProtocolViolation(
            SessionErrorCode.NO_MEDIA,
            f"got media {brief(offered)}, expected audio in PCMU or L16 with a channel "
            f"of {channels}",
            close_code=CloseCode.UNSUPPORTED,
        )
    return best[1]


class SessionAudio:
    """The audio of a session in its chosen media, placed by counting samples.

    A message's own `position` is measured by the client beside the audio and is not used.

    Args:
        tracks: whose voice each of Genesys' channels carries.
        analysed_tracks: the tracks that become events; samples of others are not decoded.
    """

    def __init__(
        self, media: Media, tracks: Mapping[str, Track], analysed_tracks: frozenset[Track]
    ) -> None:
        encoding, sample_bytes = FORMATS[media.format]
        by_channel = tuple(tracks.get(channel) for channel in media.channels)
        self.sample_rate = media.rate
        self.tracks = tuple(track for track in by_channel if track is not None)
        self._samples = Interleaved(encoding, by_channel, analysed_tracks)
        self._sample_bytes = sample_bytes * len(by_channel)  # of all channels
        self._received_bytes = 0
        self._discarded_s = Decimal(0)

    @property
    def position_s(self) -> Decimal:
        """How much of the call was received or discarded, exactly."""
        received = Decimal(self._received_bytes // self._sample_bytes) / self.sample_rate
        return received + self._discarded_s

    def receive(self, frame: bytes) -> list[Event]:
        """Decodes the next frame, of any size."""
        self._received_bytes += len(frame)
        return self._samples.feed(frame)

    def lose(self, frame: bytes) -> list[Event]:
        """Counts a frame as a gap instead of decoding it."""
        self._received_bytes += len(frame)
        return self._samples.lose(len(frame))

    def discard(self, seconds: Decimal) -> list[Event]:
        """Adds a gap of audio that the client did not send.

        Fractions of samples add up over all gaps, so that rounding moves nothing.
        """
        before = round(self._discarded_s * self.sample_rate)
        self._discarded_s += seconds
        samples = round(self._discarded_s * self.sample_rate) - before
        return [Gap(track, samples) for track in self._samples.analysed] if samples else []
