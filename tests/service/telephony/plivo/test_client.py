import json

import numpy as np

from service.events import Track
from service.telephony.plivo.auth import PlivoAuthenticator
from service.telephony.plivo.client import PlivoClient
from service.telephony.shared.authenticator import Handshake
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording

URL = "wss://mon.example.com/calls/plivo"
RECORDING = Recording("take.wav", (Track.CALLER,), np.zeros((160, 1), np.int16))


def test_it_signs_every_handshake_anew() -> None:
    client = PlivoClient("CA1", RECORDING, url=URL, credentials=ClientCredentials(secret="12345"))
    authenticator = PlivoAuthenticator(URL, "12345")
    authenticator.check(Handshake("/calls/plivo", client.headers()), 0.0)
    authenticator.check(Handshake("/calls/plivo", client.headers()), 0.0)
    assert PlivoClient("CA1", RECORDING).headers() == {}


def test_chunks_are_numbers_timestamps_are_texts_and_there_is_no_stop() -> None:
    client = PlivoClient("CA1", RECORDING)
    (text,) = client.frame(RECORDING.pcm)
    media = json.loads(text)["media"]
    assert (media["chunk"], media["timestamp"]) == (1, "0")
    assert list(client.stop()) == []
