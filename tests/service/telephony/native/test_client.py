import json

import numpy as np
import pytest

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from service.events import Audio, CallStarted, CallStopped, Track
from service.telephony.native.bridge import NativeBridge
from service.telephony.native.client import NativeClient
from service.telephony.shared.client import (
    AlertReceived,
    ClientCredentials,
    ErrorReceived,
    Message,
    ReadingReceived,
    Received,
    StoppedReceived,
)
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording

PCM = np.random.default_rng(7).integers(-9000, 9000, (330, 2), np.int16)
RECORDING = Recording("a.wav", (Track.CALLER, Track.AGENT), PCM)
ROUND_TRIP = {
    Encoding.MULAW: lambda pcm: mulaw_decode(mulaw_encode(pcm).tobytes()),
    Encoding.ALAW: lambda pcm: alaw_decode(alaw_encode(pcm).tobytes()),
    Encoding.L16: lambda pcm: pcm,
}


@pytest.mark.parametrize("encoding", Encoding)
def test_the_bridge_decodes_what_the_client_sends(encoding: Encoding) -> None:
    client, bridge = NativeClient("c-1", RECORDING, encoding), NativeBridge(frozenset(Track))
    messages = [*client.start(), *client.frame(PCM[:160]), *client.frame(PCM[160:])]
    events = [event for message in [*messages, *client.stop()] for event in bridge.receive(message)]
    metadata = {"recording": "a.wav"}
    assert events[0] == CallStarted("c-1", "native", RECORDING.tracks, 8000, metadata)
    assert events[-1] == CallStopped("stop")
    for index, track in enumerate(RECORDING.tracks):
        pieces = [e.pcm for e in events if isinstance(e, Audio) and e.track is track]
        np.testing.assert_array_equal(np.concatenate(pieces), ROUND_TRIP[encoding](PCM[:, index]))
    assert bridge.replies() == []


SHARES = {"anger": 0.7, "happiness": 0.1, "sadness": 0.1, "neutral": 0.1}


@pytest.mark.parametrize(
    ("content", "received"),
    [
        ({"type": "started"}, []),
        (
            {"type": "reading", "track": "caller", "start_s": 1.0, "end_s": 2.5}
            | {"probabilities": SHARES},
            [ReadingReceived("c-1", "caller", 1.0, 2.5, SHARES)],
        ),
        (
            {"type": "alert", "emotion": "anger", "state": "firing", "text": "sounds angry (0.83)"},
            [AlertReceived("c-1", "anger", "firing", "sounds angry (0.83)")],
        ),
        (
            {"type": "error", "code": "overloaded", "message": "full", "fatal": True},
            [ErrorReceived("overloaded", "full", fatal=True)],
        ),
        ({"type": "stopped"}, [StoppedReceived()]),
    ],
)
def test_it_returns_the_results_in_a_message(
    content: dict[str, object], received: list[Received]
) -> None:
    assert list(NativeClient("c-1", RECORDING).receive(json.dumps(content))) == received


@pytest.mark.parametrize("message", ["nonsense", "[]", '{"type": "reading"}', b"\xff"])
def test_an_unreadable_message_is_an_error(message: Message) -> None:
    (error,) = NativeClient("c", RECORDING).receive(message)
    assert isinstance(error, ErrorReceived)


def test_the_token_is_a_bearer_token() -> None:
    client = NativeClient("c", RECORDING, credentials=ClientCredentials(token="s3cret"))
    assert client.headers() == {"Authorization": "Bearer s3cret"}
    assert NativeClient("c", RECORDING).headers() == {}
