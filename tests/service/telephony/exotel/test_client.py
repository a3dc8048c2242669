import json
from base64 import b64decode

import numpy as np

from service.events import Track
from service.telephony.exotel.client import ExotelClient
from service.telephony.shared.recording import Recording

PCM = np.arange(2_000, dtype=np.int16).reshape(1_000, 2)


def test_frames_become_chunks_of_100_ms_of_the_caller_and_the_rest_comes_last() -> None:
    client = ExotelClient("CA1", Recording("take.wav", (Track.AGENT, Track.CALLER), PCM))
    texts = [text for at in range(0, 1_000, 160) for text in client.frame(PCM[at : at + 160])]
    texts += client.stop()
    messages = [json.loads(text) for text in texts]
    assert [one["event"] for one in messages] == ["media", "media", "stop"]
    media = [one["media"] for one in messages[:2]]
    assert [(one["chunk"], one["timestamp"]) for one in media] == [("1", "0"), ("2", "100")]
    sent = b"".join(b64decode(one["payload"]) for one in media)
    np.testing.assert_array_equal(np.frombuffer(sent, "<i2"), PCM[:, 1])
