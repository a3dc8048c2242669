"""Calls as the clients of media streams send them, for tests that all these streams share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from model.audio import mulaw_decode, mulaw_encode
from service.events import Audio, Event, Gap, Pcm, Track
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.exotel.client import ExotelClient
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.media_stream import MediaStream
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.telnyx.client import TelnyxClient
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.twilio.client import TwilioClient

CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)


@dataclass(frozen=True)
class StreamingProvider:
    """A bridge, its client, and the names of fields in its start message."""

    name: str
    bridge: Callable[..., MediaStream]
    client: Callable[..., Any]
    encoding: Encoding
    tracks: tuple[Track, ...]
    call_id: str  # fields of start
    rate: str
    frame: int = 160  # samples of one media message


STREAMING_PROVIDERS = {
    provider.name: provider
    for provider in (
        StreamingProvider(
            "twilio",
            TwilioBridge,
            TwilioClient,
            Encoding.MULAW,
            (Track.CALLER, Track.AGENT),
            "callSid",
            "sampleRate",
        ),
        StreamingProvider(
            "telnyx",
            TelnyxBridge,
            TelnyxClient,
            Encoding.MULAW,
            (Track.CALLER, Track.AGENT),
            "call_control_id",
            "sample_rate",
        ),
        StreamingProvider(
            "plivo",
            PlivoBridge,
            PlivoClient,
            Encoding.L16,
            (Track.CALLER, Track.AGENT),
            "callId",
            "sampleRate",
        ),
        StreamingProvider(
            "exotel",
            ExotelBridge,
            ExotelClient,
            Encoding.L16,
            (Track.CALLER,),
            "call_sid",
            "sample_rate",
            frame=800,
        ),
    )
}


every_provider = pytest.mark.parametrize(
    "provider", STREAMING_PROVIDERS.values(), ids=STREAMING_PROVIDERS
)


def noise(count: int, tracks: int, seed: int = 0) -> Pcm:
    return np.random.default_rng(seed).integers(-20_000, 20_000, (count, tracks), np.int16)


def through(encoding: Encoding, pcm: Pcm) -> Pcm:
    """Returns samples after encoding and decoding."""
    return mulaw_decode(mulaw_encode(pcm)) if encoding is Encoding.MULAW else pcm


@dataclass(frozen=True)
class MediaCall:
    """The messages of one call."""

    before: list[str]  # the last is start
    media: list[str]
    after: list[str]
    pcm: dict[Track, Pcm]  # as it must be decoded

    @property
    def start(self) -> dict[str, Any]:
        return json.loads(self.before[-1])  # type: ignore[no-any-return]


def media_call(provider: StreamingProvider, frames: int = 10, call_id: str = "CA1") -> MediaCall:
    pcm = noise(frames * provider.frame, len(provider.tracks))
    recording = Recording("take.wav", provider.tracks, pcm)
    client = provider.client(call_id, recording, provider.encoding)
    before = list(client.start())
    media = [
        text
        for at in range(0, len(pcm), provider.frame)
        for text in client.frame(pcm[at : at + provider.frame])
    ]
    decoded = {
        track: through(provider.encoding, np.ascontiguousarray(pcm[:, channel]))
        for channel, track in enumerate(provider.tracks)
    }
    return MediaCall(before, media, list(client.stop()), decoded)


def samples(events: list[Event], track: Track) -> Pcm:
    """Returns the samples of one track, each lost one as 0."""
    pieces = [
        event.pcm if isinstance(event, Audio) else np.zeros(event.samples, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.empty(0, np.int16), *pieces])


def feed(bridge: MediaStream, texts: list[str]) -> list[Event]:
    return [event for text in texts for event in bridge.receive(text)]


def changed(text: str, **changes: Any) -> str:
    """Returns the message with other fields inside its `start` or `media`."""
    message = json.loads(text)
    message[message["event"]].update(changes)
    return json.dumps(message)
