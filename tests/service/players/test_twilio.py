import json

import numpy as np

from service.bridges.twilio import TwilioBridge
from service.doors.door import Handshake
from service.doors.twilio import TwilioDoor
from service.events import CallStarted, Track
from service.players.dialect import Access
from service.players.recording import Recording
from service.players.twilio import TwilioDialect

URL = "wss://mon.example.com/calls/twilio"
RECORDING = Recording("take.wav", (Track.AGENT, Track.CALLER), np.zeros((320, 2), np.int16))


def test_it_signs_as_twilio_does() -> None:
    player = TwilioDialect("CA1", RECORDING, url=URL, access=Access(secret="12345"))
    TwilioDoor(URL, "12345").check(Handshake("/calls/twilio", player.headers()), 0.0)
    assert TwilioDialect("CA1", RECORDING).headers() == {}


def test_it_signs_the_address_that_the_service_is_known_by() -> None:
    access = Access(secret="12345", public_url=URL)
    player = TwilioDialect("CA1", RECORDING, url="ws://127.0.0.1:8000/calls/twilio", access=access)
    TwilioDoor(URL, "12345").check(Handshake("/calls/twilio", player.headers()), 0.0)


def test_it_carries_the_token_where_the_bridge_looks_for_it() -> None:
    player = TwilioDialect("CA1", RECORDING, access=Access(token="s3cret"))
    bridge = TwilioBridge(frozenset(Track), token="s3cret")
    events = [event for text in player.start() for event in bridge.receive(text)]
    assert isinstance(events[0], CallStarted)


def test_numbers_are_texts_and_rise_over_both_tracks() -> None:
    player = TwilioDialect("CA1", RECORDING)
    texts = [
        *player.start(),
        *player.frame(RECORDING.pcm[:160]),
        *player.frame(RECORDING.pcm[160:]),
    ]
    said = [json.loads(text) for text in [*texts, *player.stop()]]
    assert [one.get("sequenceNumber") for one in said] == [None, *"123456"]
    media = [one["media"] for one in said if one["event"] == "media"]
    assert [(one["track"], one["chunk"], one["timestamp"]) for one in media] == [
        ("outbound", "1", "0"),
        ("inbound", "2", "0"),
        ("outbound", "3", "20"),
        ("inbound", "4", "20"),
    ]
    assert said[-1]["stop"]["callSid"] == "CA1"
