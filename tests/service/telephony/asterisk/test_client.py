from urllib.parse import parse_qs

import numpy as np
import pytest

from model.audio import alaw_decode, alaw_encode, mulaw_decode, mulaw_encode
from service.events import Audio, CallStarted, CallStopped, Pcm, Track
from service.telephony.asterisk.bridge import AsteriskBridge
from service.telephony.asterisk.client import AsteriskClient
from service.telephony.shared.client import NO_CREDENTIALS, ClientCredentials, UnsupportedByProvider
from service.telephony.shared.interleaved import Encoding
from service.telephony.shared.recording import Recording


def recording() -> Recording:
    pcm = np.random.default_rng(7).integers(-9000, 9000, (330, 2), np.int16)
    return Recording("a.wav", (Track.CALLER, Track.AGENT), pcm)


def round_trip(encoding: Encoding, pcm: Pcm) -> Pcm:
    match encoding:
        case Encoding.MULAW:
            return mulaw_decode(mulaw_encode(pcm))
        case Encoding.ALAW:
            return alaw_decode(alaw_encode(pcm))
        case Encoding.L16:
            return pcm


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("events", ["json", "plain-text"])
@pytest.mark.parametrize("index", [0, 1])
def test_the_bridge_decodes_one_track_of_the_recording(
    encoding: Encoding, events: str, index: int
) -> None:
    source = recording()
    track = source.tracks[index]
    client = AsteriskClient("c/1", source, encoding, track=track, events=events)  # type: ignore[arg-type]
    query = parse_qs(client.query)
    bridge = AsteriskBridge(
        frozenset(Track), call_id_hint=query["callId"][0], side_hint=query["side"][0]
    )
    messages = [*client.start()]
    for at in range(0, 330, 160):
        messages += client.frame(source.pcm[at : at + 160])
    messages += client.stop()
    started, *audio = [event for message in messages for event in bridge.receive(message)]
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.tracks, started.sample_rate) == ("c/1", (track,), 8000)
    assert bridge.joins
    samples = np.concatenate([event.pcm for event in audio if isinstance(event, Audio)])
    expected = round_trip(encoding, np.ascontiguousarray(source.pcm[:, index]))
    np.testing.assert_array_equal(samples, expected)
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert not bridge.message_errors


def test_credentials_are_basic() -> None:
    assert AsteriskClient("c", recording()).headers() == {}
    client = AsteriskClient(
        "c", recording(), credentials=ClientCredentials(user="kanjo", password="p")
    )
    assert client.headers() == {"Authorization": "Basic a2Fuam86cA=="}
    assert client.subprotocols == ("media",)


def test_a_call_of_two_tracks_is_two_connections() -> None:
    both = AsteriskClient.connections("c-1", recording(), None, "ws://x", NO_CREDENTIALS)
    assert [one.query for one in both] == ["callId=c-1&side=in", "callId=c-1&side=out"]


def test_a_track_that_the_recording_does_not_have_is_refused() -> None:
    mono = Recording("a.wav", (Track.CALLER,), np.zeros((9, 1), np.int16))
    with pytest.raises(UnsupportedByProvider, match="got track agent, expected caller"):
        AsteriskClient("c", mono, track=Track.AGENT)
