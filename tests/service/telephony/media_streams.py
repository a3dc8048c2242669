"""Conversations that every media stream has, as its provider's player tells them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.audio import mulaw_decode, mulaw_encode
from service.events import Audio, Event, Gap, Pcm, Track
from service.replay.player import Recording
from service.telephony.exotel.bridge import ExotelBridge
from service.telephony.exotel.client import ExotelClient
from service.telephony.plivo.bridge import PlivoBridge
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.media_stream import MediaStream
from service.telephony.telnyx.bridge import TelnyxBridge
from service.telephony.telnyx.client import TelnyxClient
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.twilio.client import TwilioClient

CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)


@dataclass(frozen=True)
class Provider:
    """A bridge, its player, and where its start message says what."""

    name: str
    bridge: Callable[..., MediaStream]
    player: Callable[..., Any]
    encoding: Encoding
    tracks: tuple[Track, ...]
    call_id: str  # fields of start
    rate: str
    frame: int = 160  # samples of what the player sends at once


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            "twilio",
            TwilioBridge,
            TwilioClient,
            Encoding.MULAW,
            (Track.CALLER, Track.AGENT),
            "callSid",
            "sampleRate",
        ),
        Provider(
            "telnyx",
            TelnyxBridge,
            TelnyxClient,
            Encoding.MULAW,
            (Track.CALLER, Track.AGENT),
            "call_control_id",
            "sample_rate",
        ),
        Provider(
            "plivo",
            PlivoBridge,
            PlivoClient,
            Encoding.L16,
            (Track.CALLER, Track.AGENT),
            "callId",
            "sampleRate",
        ),
        Provider(
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


def noise(count: int, tracks: int, seed: int = 0) -> Pcm:
    return np.random.default_rng(seed).integers(-20_000, 20_000, (count, tracks), np.int16)


def through(encoding: Encoding, pcm: Pcm) -> Pcm:
    """What is left of samples that travelled."""
    return mulaw_decode(mulaw_encode(pcm)) if encoding is Encoding.MULAW else pcm


@dataclass(frozen=True)
class Conversation:
    """The texts of one call."""

    before: list[str]  # start is the last of them
    media: list[str]
    after: list[str]
    pcm: dict[Track, Pcm]  # as it must be heard

    @property
    def start(self) -> dict[str, Any]:
        return json.loads(self.before[-1])  # type: ignore[no-any-return]


def conversation(provider: Provider, frames: int = 10, call_id: str = "CA1") -> Conversation:
    pcm = noise(frames * provider.frame, len(provider.tracks))
    recording = Recording("take.wav", provider.tracks, pcm)
    player = provider.player(call_id, recording, provider.encoding)
    before = list(player.start())
    media = [
        text
        for at in range(0, len(pcm), provider.frame)
        for text in player.frame(pcm[at : at + provider.frame])
    ]
    heard = {
        track: through(provider.encoding, np.ascontiguousarray(pcm[:, lane]))
        for lane, track in enumerate(provider.tracks)
    }
    return Conversation(before, media, list(player.stop()), heard)


def samples(events: list[Event], track: Track) -> Pcm:
    """What one track plays, each lost sample as 0."""
    parts = [
        event.pcm if isinstance(event, Audio) else np.zeros(event.samples, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.empty(0, np.int16), *parts])


def play(bridge: MediaStream, texts: list[str]) -> list[Event]:
    return [event for text in texts for event in bridge.receive(text)]
