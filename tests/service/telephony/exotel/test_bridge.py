import json

import numpy as np

from service.events import CallStarted, Gap, Track
from service.telephony.exotel.bridge import ExotelBridge
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    STREAMING_PROVIDERS,
    changed,
    feed,
    media_call,
    samples,
)

CALL = media_call(STREAMING_PROVIDERS["exotel"])


def test_start_becomes_call_started() -> None:
    _, started = CALL.before
    (event,) = ExotelBridge(BOTH).receive(started)
    assert event == CallStarted(
        "CA1",
        "exotel",
        (Track.CALLER, Track.AGENT),
        8000,
        {
            "stream_sid": "stream-CA1",
            "account_sid": "player",
            "from": "+915550100001",
            "to": "+915550100002",
            "recording": "take.wav",
        },
    )


AGENT_LEG = {"inbound": Track.AGENT, "outbound": Track.CALLER}


def test_media_without_a_track_are_of_the_leg() -> None:
    events = feed(ExotelBridge(BOTH, AGENT_LEG), CALL.before + CALL.media)
    np.testing.assert_array_equal(samples(events, Track.AGENT), CALL.pcm[Track.CALLER])
    assert feed(ExotelBridge(CALLER, AGENT_LEG), CALL.before + CALL.media)[1:] == []


def test_media_may_name_their_track() -> None:
    media = [changed(text, track=name) for text in CALL.media for name in ("inbound", "outbound")]
    events = feed(ExotelBridge(BOTH), CALL.before + media)
    for track in Track:
        np.testing.assert_array_equal(samples(events, track), CALL.pcm[Track.CALLER])
    mixed = ExotelBridge(BOTH)
    assert feed(mixed, CALL.before + [changed(text, track="both") for text in CALL.media])[1:] == []
    assert mixed.message_errors == {"mixed_speakers": len(CALL.media)}


def test_a_lost_chunk_is_a_gap() -> None:
    events = feed(ExotelBridge(CALLER), CALL.before + CALL.media[:2] + CALL.media[3:])
    assert [event for event in events if isinstance(event, Gap)] == [Gap(Track.CALLER, 800)]


def test_timestamps_of_the_end_of_a_chunk_place_as_well() -> None:
    later = []
    for text in CALL.media:
        message = json.loads(text)
        message["media"]["timestamp"] = str(int(message["media"]["timestamp"]) + 100)
        later.append(json.dumps(message))
    events = feed(ExotelBridge(CALLER), CALL.before + later)
    np.testing.assert_array_equal(samples(events, Track.CALLER), CALL.pcm[Track.CALLER])


def test_mu_law_is_decoded_if_start_names_it() -> None:
    start = CALL.before[-1].replace("audio/x-raw", "audio/x-mulaw")
    events = feed(ExotelBridge(CALLER), [start, CALL.media[0]])
    assert samples(events, Track.CALLER).size == 1600  # 800 samples of 2 bytes, read as 1600 of 1


def test_custom_parameters_may_be_missing() -> None:
    for value in ("null", "{}"):
        start = CALL.before[-1].replace('{"recording": "take.wav"}', value)
        assert start != CALL.before[-1]
        (event,) = ExotelBridge(CALLER).receive(start)
        assert isinstance(event, CallStarted)
