import json
from typing import Any

import numpy as np
import pytest

from model.audio import mulaw_decode, mulaw_encode
from service.events import Audio, CallStarted, CallStopped, Gap, Track
from service.telephony.plivo.bridge import PlivoBridge, _headers
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    STREAMING_PROVIDERS,
    feed,
    media_call,
    noise,
    samples,
)

CALL = media_call(STREAMING_PROVIDERS["plivo"], frames=30)


def test_start_becomes_call_started() -> None:
    (event,) = PlivoBridge(BOTH).receive(CALL.before[0])
    assert isinstance(event, CallStarted)
    assert event.metadata == {
        "streamId": "stream-CA1",
        "accountId": "MA0000000000000000",
        "recording": "take.wav",
    }


@pytest.mark.parametrize("tracks", ["inbound", ["inbound"]])
def test_tracks_may_be_a_list_or_a_text(tracks: object) -> None:
    message: dict[str, Any] = json.loads(CALL.before[0])
    message["start"]["tracks"] = tracks
    (event,) = PlivoBridge(BOTH).receive(json.dumps(message))
    assert isinstance(event, CallStarted)
    assert event.tracks == (Track.CALLER,)


def test_mu_law_is_decoded_and_an_encoding_may_carry_its_rate() -> None:
    pcm = noise(160, 1)
    recording = Recording("take.wav", (Track.CALLER,), pcm)
    client = PlivoClient("CA1", recording, Encoding.MULAW)
    (start,) = client.start()
    assert isinstance(start, str)
    start = start.replace("audio/x-mulaw", "audio/x-mulaw;rate=8000")
    events = feed(PlivoBridge(CALLER), [start, *client.frame(pcm)])
    expected = mulaw_decode(mulaw_encode(pcm[:, 0]))
    np.testing.assert_array_equal(samples(events, Track.CALLER), expected)


def test_a_jittering_clock_of_the_day_places_as_well_as_one_of_the_call() -> None:
    bridge = PlivoBridge(CALLER)
    feed(bridge, CALL.before)
    events = []
    for number, text in enumerate(text for text in CALL.media if "inbound" in text):
        message = json.loads(text)
        at_ms = 1_760_000_000_000 + number * 20 + (number * 37) % 45
        message["media"]["timestamp"] = str(at_ms)
        events += bridge.receive(json.dumps(message))
    assert all(isinstance(event, Audio) for event in events)
    np.testing.assert_array_equal(samples(events, Track.CALLER), CALL.pcm[Track.CALLER])


def test_a_longer_loss_is_a_gap() -> None:
    inbound = [text for text in CALL.media if "inbound" in text]
    bridge = PlivoBridge(CALLER)
    events = feed(bridge, CALL.before + inbound[:5] + inbound[15:])
    assert [event for event in events if isinstance(event, Gap)] == [Gap(Track.CALLER, 1600)]


def test_the_call_ends_when_the_stream_closes() -> None:
    bridge = PlivoBridge(CALLER)
    feed(bridge, CALL.before + CALL.media)
    assert bridge.disconnected() == [CallStopped("disconnected")]


def test_events_of_played_audio_are_ignored() -> None:
    bridge = PlivoBridge(CALLER)
    feed(bridge, CALL.before)
    for event in ("playedStream", "clearedAudio", "dtmf"):
        assert bridge.receive(json.dumps({"event": event, "streamId": "stream-CA1"})) == []
    assert not bridge.message_errors


@pytest.mark.parametrize("headers", ["a=b,c=d", "{}", "{a:1,}", "{a:{b:1}}", None])
def test_extra_headers_of_another_form_are_kept_whole(headers: str | None) -> None:
    assert _headers(headers) == {"extra_headers": headers}


def test_extra_headers_are_metadata_of_their_own() -> None:
    assert _headers("{X-PH-queue: billing, X-PH-callerNumber: +49 30:1}") == {
        "queue": "billing",
        "callerNumber": "+49 30:1",
    }
