import numpy as np

from service.events import Audio, CallStarted, Track
from service.telephony.shared.recording import Recording
from service.telephony.vonage.bridge import VonageBridge
from service.telephony.vonage.client import VonageClient

PCM = np.array([[1, 2], [30_000, 30_000], [-30_000, -30_000]], np.int16)


def test_it_sends_the_mix_of_all_voices() -> None:
    client = VonageClient("CON-1", Recording("take.wav", (Track.CALLER, Track.AGENT), PCM))
    bridge = VonageBridge(frozenset({Track.CALLER}), analyse_mix=True)
    messages = [*client.start(), *client.frame(PCM), *client.stop()]
    started, audio = [event for message in messages for event in bridge.receive(message)]
    assert isinstance(started, CallStarted)
    assert started.call_id == "CON-1"
    assert isinstance(audio, Audio)
    assert audio.pcm.tolist() == [3, 32_767, -32_768]
