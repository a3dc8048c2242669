import json

import numpy as np

from service.events import CallStarted, Track
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording
from service.telephony.twilio.auth import TwilioAuthenticator
from service.telephony.twilio.bridge import TwilioBridge
from service.telephony.twilio.client import TwilioClient

URL = "wss://mon.example.com/calls/twilio"
RECORDING = Recording("take.wav", (Track.AGENT, Track.CALLER), np.zeros((320, 2), np.int16))


def test_it_signs_as_twilio_does() -> None:
    client = TwilioClient("CA1", RECORDING, url=URL, credentials=ClientCredentials(secret="12345"))
    TwilioAuthenticator(URL, "12345").check(Handshake("/calls/twilio", client.headers()), 0.0)
    assert TwilioClient("CA1", RECORDING).headers() == {}


def test_it_signs_the_public_address_if_there_is_one() -> None:
    credentials = ClientCredentials(secret="12345", public_url=URL)
    client = TwilioClient(
        "CA1", RECORDING, url="ws://127.0.0.1:8000/calls/twilio", credentials=credentials
    )
    TwilioAuthenticator(URL, "12345").check(Handshake("/calls/twilio", client.headers()), 0.0)


def test_it_sends_the_token_that_the_bridge_checks() -> None:
    client = TwilioClient("CA1", RECORDING, credentials=ClientCredentials(token="s3cret"))
    bridge = TwilioBridge(frozenset(Track), token="s3cret")
    events = [event for text in client.start() for event in bridge.receive(text)]
    assert isinstance(events[0], CallStarted)


def test_numbers_are_texts_and_rise_over_both_tracks() -> None:
    client = TwilioClient("CA1", RECORDING)
    texts = [
        *client.start(),
        *client.frame(RECORDING.pcm[:160]),
        *client.frame(RECORDING.pcm[160:]),
    ]
    messages = [json.loads(text) for text in [*texts, *client.stop()]]
    assert [one.get("sequenceNumber") for one in messages] == [None, *"123456"]
    media = [one["media"] for one in messages if one["event"] == "media"]
    assert [(one["track"], one["chunk"], one["timestamp"]) for one in media] == [
        ("outbound", "1", "0"),
        ("inbound", "2", "0"),
        ("outbound", "3", "20"),
        ("inbound", "4", "20"),
    ]
    assert messages[-1]["stop"]["callSid"] == "CA1"
