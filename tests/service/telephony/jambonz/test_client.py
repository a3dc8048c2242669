import numpy as np

from service.events import Audio, CallStarted, Track
from service.telephony.jambonz.bridge import JambonzBridge
from service.telephony.jambonz.client import JambonzClient
from service.telephony.shared.client import ClientCredentials
from service.telephony.shared.recording import Recording


def test_the_bridge_hears_what_is_played() -> None:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (320, 2), np.int16)
    played = Recording("a.wav", (Track.CALLER, Track.AGENT), pcm)
    dialect = JambonzClient(
        "CA1", played, credentials=ClientCredentials(user="kanjo", password="p")
    )
    bridge = JambonzBridge(frozenset({Track.CALLER}))
    messages = [*dialect.start(), *dialect.frame(pcm[:160]), *dialect.frame(pcm[160:])]
    started, *audio = [event for message in messages for event in bridge.receive(message)]
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.bridge) == ("CA1", "jambonz")
    assert started.metadata["direction"] == "inbound"
    heard = np.concatenate([event.pcm for event in audio if isinstance(event, Audio)])
    np.testing.assert_array_equal(heard, pcm[:, 0])
    assert dialect.subprotocols == JambonzBridge.SUBPROTOCOLS
    assert dialect.headers() == {"Authorization": "Basic a2Fuam86cA=="}
