import json
from base64 import b64encode
from typing import Any

import numpy as np
import pytest

from model.audio import mulaw_decode
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Track
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.twilio.bridge import TwilioBridge
from tests.service.telephony.media_streams import BOTH, CALLER, samples

START: dict[str, Any] = {
    "accountSid": "AC1",
    "streamSid": "MZ1",
    "callSid": "CA1",
    "tracks": ["inbound", "outbound"],
    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    "customParameters": {"callId": "abc"},
}


def start(**changes: Any) -> str:
    message = {"event": "start", "sequenceNumber": "1", "start": {**START, **changes}}
    return json.dumps({**message, "streamSid": "MZ1"})


def media(chunk: int, at_ms: int, data: bytes = bytes(160), track: str = "inbound") -> str:
    fields = {
        "track": track,
        "chunk": str(chunk),
        "timestamp": str(at_ms),
        "payload": b64encode(data).decode(),
    }
    return json.dumps({"event": "media", "media": fields, "streamSid": "MZ1"})


def live(analysed_tracks: frozenset[Track] = BOTH, **options: Any) -> TwilioBridge:
    bridge = TwilioBridge(analysed_tracks, **options)
    assert bridge.receive('{"event":"connected","protocol":"Call","version":"1.0.0"}') == []
    (started,) = bridge.receive(start())
    assert isinstance(started, CallStarted)
    return bridge


def test_start_becomes_call_started() -> None:
    (started,) = TwilioBridge(BOTH).receive(start())
    metadata = {"streamSid": "MZ1", "accountSid": "AC1", "callId": "abc"}
    assert started == CallStarted("CA1", "twilio", (Track.CALLER, Track.AGENT), 8000, metadata)


def test_tracks_are_as_configured() -> None:
    bridge = live(CALLER, tracks={"inbound": Track.AGENT, "outbound": Track.CALLER})
    assert bridge.receive(media(1, 0)) == []
    (event,) = bridge.receive(media(2, 0, track="outbound"))
    assert isinstance(event, Audio)
    assert event.track is Track.CALLER


def test_both_tracks_keep_their_own_time_under_one_count_of_chunks() -> None:
    bridge = live()
    events: list[Event] = []
    for number in range(50):
        events += bridge.receive(media(2 * number + 1, number * 20, bytes([1] * 160)))
        events += bridge.receive(media(2 * number + 2, number * 20, bytes([2] * 160), "outbound"))
    for track, code in ((Track.CALLER, b"\x01"), (Track.AGENT, b"\x02")):
        np.testing.assert_array_equal(samples(events, track), mulaw_decode(code * 8000))


def test_a_jump_of_the_timestamp_is_a_gap_and_a_stall_of_the_delivery_is_none() -> None:
    bridge = live(CALLER)
    bridge.receive(media(1, 0))
    gap, audio = bridge.receive(media(2, 80))
    assert gap == Gap(Track.CALLER, 480)
    assert isinstance(audio, Audio)
    burst = [event for n in range(100) for event in bridge.receive(media(3 + n, 100 + 20 * n))]
    assert all(isinstance(event, Audio) for event in burst)


def test_a_track_that_begins_later_is_in_step_with_the_first() -> None:
    bridge = live()
    bridge.receive(media(1, 0))
    gap, _ = bridge.receive(media(2, 3000, track="outbound"))
    assert gap == Gap(Track.AGENT, 24_000)


def test_a_stream_may_have_one_track() -> None:
    (started,) = TwilioBridge(BOTH).receive(start(tracks=["inbound"]))
    assert isinstance(started, CallStarted)
    assert started.tracks == (Track.CALLER,)


@pytest.mark.parametrize("tracks", [[], ["third"]])
def test_a_stream_without_tracks_is_refused(tracks: list[str]) -> None:
    bridge = TwilioBridge(BOTH)
    assert bridge.receive(start(tracks=tracks)) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.UNKNOWN_TRACK: 1}
    assert "inbound" in bridge.close_reason


def test_more_than_one_channel_is_refused() -> None:
    bridge = TwilioBridge(BOTH)
    assert bridge.receive(start(mediaFormat={**START["mediaFormat"], "channels": 2})) == []
    assert bridge.close_code == 1003
    assert "2 channels" in bridge.close_reason


def test_dtmf_and_marks_are_ignored() -> None:
    bridge = live()
    dtmf = '{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track","digit":"1"}}'
    assert bridge.receive(dtmf) == []
    assert bridge.receive('{"event":"mark","streamSid":"MZ1","mark":{"name":"x"}}') == []
    assert not bridge.message_errors


def test_stop_ends_the_call_and_before_start_it_ends_nothing() -> None:
    stop = '{"event":"stop","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}'
    assert live().receive(stop) == [CallStopped("stop")]
    not_started = TwilioBridge(BOTH)
    assert not_started.receive(stop) == []
    assert not_started.message_errors == {MessageProblem.NOT_STARTED: 1}


def test_the_right_token_is_accepted_and_kept_nowhere() -> None:
    bridge = TwilioBridge(BOTH, token="s3cret")
    (started,) = bridge.receive(start(customParameters={"token": "s3cret", "queue": "7"}))
    assert isinstance(started, CallStarted)
    assert "s3cret" not in str(started)
    assert started.metadata["queue"] == "7"


@pytest.mark.parametrize("parameters", [{}, None, {"token": "S3cret"}, {"token": 5}, {"token": ""}])
def test_without_the_right_token_the_call_is_refused(parameters: dict[str, object] | None) -> None:
    bridge = TwilioBridge(BOTH, token="s3cret")
    assert bridge.receive(start(customParameters=parameters)) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.WRONG_TOKEN: 1}
    assert "s3cret" not in bridge.close_reason


def test_a_token_that_is_not_checked_is_kept_nowhere_either() -> None:
    (started,) = TwilioBridge(BOTH).receive(start(customParameters={"token": "s3cret"}))
    assert "s3cret" not in str(started)
