import json

import numpy as np

from service.events import Track
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording
from service.telephony.telnyx.client import TelnyxClient

RECORDING = Recording("take.wav", (Track.CALLER, Track.AGENT), np.zeros((320, 2), np.int16))


def test_the_token_is_sent_in_the_header_of_telnyx() -> None:
    client = TelnyxClient("v3:1", RECORDING, credentials=ClientCredentials(token="s3cret"))
    assert client.headers() == {"x-telnyx-streaming-auth-token": "s3cret"}
    assert TelnyxClient("v3:1", RECORDING).headers() == {}


def test_each_track_counts_its_own_chunks() -> None:
    client = TelnyxClient("v3:1", RECORDING)
    texts = [*client.frame(RECORDING.pcm[:160]), *client.frame(RECORDING.pcm[160:])]
    media = [json.loads(text)["media"] for text in texts]
    assert [(one["track"], one["chunk"], one["timestamp"]) for one in media] == [
        ("inbound", "1", "0"),
        ("outbound", "1", "0"),
        ("inbound", "2", "20"),
        ("outbound", "2", "20"),
    ]
