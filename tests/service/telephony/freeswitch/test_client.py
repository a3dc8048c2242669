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


def heard(events: list[Event], track: Track) -> list[int]:
    parts = [e.pcm for e in events if isinstance(e, Audio) and e.track is track]
    return np.concatenate(parts).tolist()


@pytest.mark.parametrize("module", ["mod_audio_fork", "mod_audio_stream"])
@pytest.mark.parametrize("tracks", [1, 2])
def test_the_bridge_hears_what_is_played(module: str, tracks: int) -> None:
    played = recording(tracks)
    dialect = FreeswitchClient("c-1", played, module=module)  # type: ignore[arg-type]
    bridge = FreeswitchBridge(frozenset(Track), call_id_hint="hint", sample_rate=16_000)
    messages = [*dialect.start()]
    for at in range(0, 500, 160):
        messages += dialect.frame(played.pcm[at : at + 160])
    messages += dialect.stop()
    events = [event for message in messages for event in bridge.receive(message)]
    events += bridge.disconnected()
    assert events[0] == CallStarted(
        "c-1", "freeswitch", played.tracks, 8000, {"call_id": "c-1", "recording": "a.wav"}
    )
    for lane, track in enumerate(played.tracks):
        assert heard(events, track) == played.pcm[:, lane].tolist()
    assert events[-1] == CallStopped("disconnected")
    assert not bridge.message_errors


def test_mod_audio_stream_sends_its_metadata_once_and_late() -> None:
    dialect = FreeswitchClient("c", recording(1), module="mod_audio_stream")
    pcm = recording(1).pcm[:160]
    assert [*dialect.start()] == []
    assert [type(message) for message in dialect.frame(pcm)] == [bytes, str]
    assert [type(message) for message in dialect.frame(pcm)] == [bytes]
    assert dialect.subprotocols == ()


def test_the_door_knows_the_handshake() -> None:
    door = BasicAuthenticator({"fs": "pass:word"})
    for password, right in (("pass:word", True), ("other", False)):
        credentials = ClientCredentials(user="fs", password=password)
        dialect = FreeswitchClient("c", recording(1), credentials=credentials)
        headers = {name.lower(): value for name, value in dialect.headers().items()}
        if right:
            door.check(Handshake("/", headers), 0.0)
        else:
            with pytest.raises(Unauthorized):
                door.check(Handshake("/", headers), 0.0)
    assert FreeswitchClient("c", recording(1)).headers() == {}


def test_alerts_that_the_service_sends_are_heard() -> None:
    bridge = FreeswitchBridge(frozenset(Track), call_id_hint="hint", alerts=True)
    bridge.alert(
        Transition("a", 2, "c", Track.CALLER, Emotion.ANGER, AlertState.FIRING, 1.0, 2.0, 0.83, 0.9)
    )
    dialect = FreeswitchClient("c", recording(1))
    assert [one for reply in bridge.replies() for one in dialect.receive(reply)] == [
        AlertReceived("c", "anger", "firing", "sounds angry (0.83)")
    ]


@pytest.mark.parametrize("message", ["nonsense", "[]", json.dumps({"type": "json"}), b"\xff"])
def test_what_is_no_alert_is_an_error(message: str | bytes) -> None:
    (error,) = FreeswitchClient("c", recording(1)).receive(message)
    assert isinstance(error, ErrorReceived)
