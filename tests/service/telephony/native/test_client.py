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
PLAYED = Recording("a.wav", (Track.CALLER, Track.AGENT), PCM)
THROUGH = {
    Encoding.MULAW: lambda pcm: mulaw_decode(mulaw_encode(pcm).tobytes()),
    Encoding.ALAW: lambda pcm: alaw_decode(alaw_encode(pcm).tobytes()),
    Encoding.L16: lambda pcm: pcm,
}


@pytest.mark.parametrize("encoding", Encoding)
def test_the_bridge_hears_what_is_played(encoding: Encoding) -> None:
    player, bridge = NativeClient("c-1", PLAYED, encoding), NativeBridge(frozenset(Track))
    messages = [*player.start(), *player.frame(PCM[:160]), *player.frame(PCM[160:])]
    events = [event for message in [*messages, *player.stop()] for event in bridge.receive(message)]
    metadata = {"recording": "a.wav"}
    assert events[0] == CallStarted("c-1", "native", PLAYED.tracks, 8000, metadata)
    assert events[-1] == CallStopped("stop")
    for lane, track in enumerate(PLAYED.tracks):
        parts = [e.pcm for e in events if isinstance(e, Audio) and e.track is track]
        np.testing.assert_array_equal(np.concatenate(parts), THROUGH[encoding](PCM[:, lane]))
    assert bridge.replies() == []


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({"type": "started"}, []),
        ({"type": "reading", "end_s": 2.5}, [ReadingReceived(2.5)]),
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
def test_it_hears_what_the_service_says(said: dict[str, object], heard: list[Received]) -> None:
    assert list(NativeClient("c-1", PLAYED).receive(json.dumps(said))) == heard


@pytest.mark.parametrize("message", ["nonsense", "[]", '{"type": "reading"}', b"\xff"])
def test_what_nobody_understands_is_an_error(message: Message) -> None:
    (error,) = NativeClient("c", PLAYED).receive(message)
    assert isinstance(error, ErrorReceived)


def test_the_token_is_a_bearers() -> None:
    player = NativeClient("c", PLAYED, access=ClientCredentials(token="s3cret"))
    assert player.headers() == {"Authorization": "Bearer s3cret"}
    assert NativeClient("c", PLAYED).headers() == {}
