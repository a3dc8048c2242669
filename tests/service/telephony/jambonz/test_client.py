import numpy as np

from service.events import Audio, CallStarted, Track
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.jambonz.client import JambonzClient
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording


def test_the_bridge_decodes_the_clients_audio() -> None:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (320, 2), np.int16)
    recorded = Recording("a.wav", (Track.CALLER, Track.AGENT), pcm)
    client = JambonzClient(
        "CA1", recorded, credentials=ClientCredentials(user="kanjo", password="p")
    )
    bridge = JambonzBridge(frozenset({Track.CALLER}))
    messages = [*client.start(), *client.frame(pcm[:160]), *client.frame(pcm[160:])]
    started, *audio = [event for message in messages for event in bridge.receive(message)]
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.bridge) == ("CA1", "jambonz")
    assert started.metadata["direction"] == "inbound"
    decoded = np.concatenate([event.pcm for event in audio if isinstance(event, Audio)])
    np.testing.assert_array_equal(decoded, pcm[:, 0])
    assert client.subprotocols == JambonzBridge.SUBPROTOCOLS
    assert client.headers() == {"Authorization": "Basic a2Fuam86cA=="}
