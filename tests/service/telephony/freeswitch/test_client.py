import json

import numpy as np
import pytest

from model.labels import Emotion
from service.events import AlertState, Audio, CallStarted, CallStopped, Event, Track, Transition
from service.telephony.freeswitch.bridge import FreeswitchBridge
from service.telephony.freeswitch.client import FreeswitchClient
from service.telephony.shared.authenticator import Handshake, Unauthorized
from service.telephony.shared.basic import BasicAuthenticator
from service.telephony.shared.client import AlertReceived, ClientCredentials, ErrorReceived
from service.telephony.shared.recording import Recording


def recording(tracks: int) -> Recording:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (500, tracks), np.int16)
    return Recording("a.wav", (Track.CALLER, Track.AGENT)[:tracks], pcm)


def samples_of(events: list[Event], track: Track) -> list[int]:
    pieces = [e.pcm for e in events if isinstance(e, Audio) and e.track is track]
    return np.concatenate(pieces).tolist()


@pytest.mark.parametrize("module", ["mod_audio_fork", "mod_audio_stream"])
@pytest.mark.parametrize("tracks", [1, 2])
def test_the_bridge_decodes_the_clients_audio(module: str, tracks: int) -> None:
    recorded = recording(tracks)
    client = FreeswitchClient("c-1", recorded, module=module)  # type: ignore[arg-type]
    bridge = FreeswitchBridge(frozenset(Track), call_id_hint="hint", sample_rate=16_000)
    messages = [*client.start()]
    for at in range(0, 500, 160):
        messages += client.frame(recorded.pcm[at : at + 160])
    messages += client.stop()
    events = [event for message in messages for event in bridge.receive(message)]
    events += bridge.disconnected()
    assert events[0] == CallStarted(
        "c-1", "freeswitch", recorded.tracks, 8000, {"call_id": "c-1", "recording": "a.wav"}
    )
    for channel, track in enumerate(recorded.tracks):
        assert samples_of(events, track) == recorded.pcm[:, channel].tolist()
    assert events[-1] == CallStopped("disconnected")
    assert not bridge.message_errors


def test_mod_audio_stream_sends_its_metadata_once_and_late() -> None:
    client = FreeswitchClient("c", recording(1), module="mod_audio_stream")
    pcm = recording(1).pcm[:160]
    assert [*client.start()] == []
    assert [type(message) for message in client.frame(pcm)] == [bytes, str]
    assert [type(message) for message in client.frame(pcm)] == [bytes]
    assert client.subprotocols == ()


def test_the_handshake_is_authenticated() -> None:
    authenticator = BasicAuthenticator({"fs": "pass:word"})
    for password, right in (("pass:word", True), ("other", False)):
        credentials = ClientCredentials(user="fs", password=password)
        client = FreeswitchClient("c", recording(1), credentials=credentials)
        headers = {name.lower(): value for name, value in client.headers().items()}
        if right:
            authenticator.check(Handshake("/", headers), 0.0)
        else:
            with pytest.raises(Unauthorized):
                authenticator.check(Handshake("/", headers), 0.0)
    assert FreeswitchClient("c", recording(1)).headers() == {}


def test_alerts_that_the_service_sends_are_received() -> None:
    bridge = FreeswitchBridge(frozenset(Track), call_id_hint="hint", alerts=True)
    bridge.alert(
        Transition("a", 2, "c", Track.CALLER, Emotion.ANGER, AlertState.FIRING, 1.0, 2.0, 0.83, 0.9)
    )
    client = FreeswitchClient("c", recording(1))
    assert [one for reply in bridge.replies() for one in client.receive(reply)] == [
        AlertReceived("c", "anger", "firing", "sounds angry (0.83)")
    ]


@pytest.mark.parametrize("message", ["nonsense", "[]", json.dumps({"type": "json"}), b"\xff"])
def test_a_message_that_is_no_alert_is_an_error(message: str | bytes) -> None:
    (error,) = FreeswitchClient("c", recording(1)).receive(message)
    assert isinstance(error, ErrorReceived)
