import itertools
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import alaw_decode, mulaw_decode
from service.errors import CallExists, Overloaded
from service.events import CallStarted, CallStopped, Event, Track
from service.telephony.asterisk.bridge import FORMATS, IGNORED, MAX_TEXT_CHARS, AsteriskBridge
from tests.service.telephony.audio import pcm, started

CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)
DIAL_STRING = "kanjo/c(slin)f(json)v(callId=c1,side=in)"


def media_start(dial_string: str | None = DIAL_STRING, **changes: Any) -> str:
    variables = {"DIALEDPEERNUMBER": dial_string} if dial_string is not None else {}
    return json.dumps(
        {
            "event": "MEDIA_START",
            "connection_id": "kanjo",
            "channel": "WebSocket/kanjo/0x7f2c",
            "channel_id": "1795344065.2",
            "format": "slin",
            "optimal_frame_size": 320,
            "ptime": 20,
            "channel_variables": variables,
            **changes,
        }
    )


def plain(**changes: str) -> str:
    fields = {"channel_id": "1795344065.2", "format": "slin", "ptime": "20", **changes}
    return " ".join(["MEDIA_START", *(f"{name}:{value}" for name, value in fields.items())])


# The call and its track.


@pytest.mark.parametrize(
    ("dial_string", "call_id", "track"),
    [
        ("fer/c(ulaw)f(json)v(callId=c1,side=in)", "c1", Track.CALLER),
        ("fer/v(side=out,callId=c1)c(ulaw)f(json)", "c1", Track.AGENT),
        ("fer/c(ulaw)nv(callId=a%2Fb,side=agent)", "a/b", Track.AGENT),
        ("fer/v(side=customer)", "1795344065.2", Track.CALLER),
        ("v(x)/v(callId=c1,side=caller)", "c1", Track.CALLER),
    ],
)
def test_the_dial_string_has_the_call_id_and_the_side(
    dial_string: str, call_id: str, track: Track
) -> None:
    bridge = AsteriskBridge(BOTH, call_id_hint="old", side_hint="in")
    start = started(bridge.receive(media_start(dial_string)))
    assert (start.call_id, start.tracks) == (call_id, (track,))


def test_channel_variables_have_them_if_the_dial_string_does_not() -> None:
    bridge = AsteriskBridge(BOTH, call_id_hint="old", side_hint="in")
    variables = {"DIALEDPEERNUMBER": "fer/c(ulaw)", "callId": "c2", "side": "out"}
    start = started(bridge.receive(media_start(channel_variables=variables)))
    assert (start.call_id, start.tracks) == ("c2", (Track.AGENT,))


def test_the_query_is_ignored_if_there_is_a_dial_string() -> None:
    bridge = AsteriskBridge(CALLER, call_id_hint="old", side_hint="in")
    assert bridge.receive(media_start("fer/c(ulaw)")) == []
    assert bridge.message_errors == {"unknown_track": 1}
    assert bridge.close_code == 1008


@pytest.mark.parametrize("text", [plain(), media_start(None)])
def test_the_query_is_used_if_there_is_no_dial_string(text: str) -> None:
    bridge = AsteriskBridge(CALLER, call_id_hint="c3", side_hint="in")
    start = started(bridge.receive(text))
    assert (start.call_id, start.tracks) == ("c3", (Track.CALLER,))
    assert bridge.joins


def test_without_a_call_id_the_channel_is_a_separate_call() -> None:
    bridge = AsteriskBridge(CALLER, side_hint="in")
    assert started(bridge.receive(plain())).call_id == "1795344065.2"
    assert not bridge.joins


def test_two_sockets_with_one_call_id_join() -> None:
    caller, agent = AsteriskBridge(BOTH), AsteriskBridge(BOTH)
    first = started(caller.receive(media_start()))
    second = started(agent.receive(media_start("fer/v(callId=c1,side=out)", channel_id="9.1")))
    assert first.call_id == second.call_id
    assert set(first.tracks).isdisjoint(second.tracks)
    assert caller.joins
    assert agent.joins


def test_the_names_of_the_tracks_are_configured() -> None:
    bridge = AsteriskBridge(CALLER, tracks={"out": Track.CALLER})
    assert started(bridge.receive(media_start("fer/v(side=out)"))).tracks == (Track.CALLER,)
    other = AsteriskBridge(CALLER, tracks={"out": Track.CALLER})
    assert other.receive(media_start()) == []
    assert other.close_reason == "got side 'in', expected out"


@pytest.mark.parametrize("hint", [None, "", "both"])
def test_an_unknown_side_is_refused(hint: str | None) -> None:
    bridge = AsteriskBridge(CALLER, side_hint=hint)
    assert bridge.receive(plain()) == []
    assert bridge.message_errors == {"unknown_track": 1}
    assert bridge.close_code == 1008


@pytest.mark.parametrize("call_id", ["x" * 129, "a\tb", 7, None])
def test_an_invalid_call_id_is_refused(call_id: object) -> None:
    bridge = AsteriskBridge(CALLER)
    assert bridge.receive(media_start("fer/v(side=in)", channel_id=call_id)) == []
    assert bridge.message_errors == {"bad_start": 1}
    assert bridge.close_code == 1008


def test_the_fields_of_media_start_are_metadata() -> None:
    kept = started(AsteriskBridge(CALLER).receive(media_start())).metadata
    assert kept["channel"] == "WebSocket/kanjo/0x7f2c"
    assert kept["DIALEDPEERNUMBER"] == DIAL_STRING
    assert kept["optimal_frame_size"] == "320"
    assert "event" not in kept


# Formats.


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("ulaw", 8_000),
        ("alaw", 8_000),
        ("slin", 8_000),
        ("slin12", 12_000),
        ("slin16", 16_000),
        ("slin24", 24_000),
        ("slin32", 32_000),
        ("slin44", 44_100),
        ("slin48", 48_000),
        ("slin96", 96_000),
        ("slin192", 192_000),
    ],
)
def test_the_format_is_encoding_and_rate(name: str, rate: int) -> None:
    bridge = AsteriskBridge(CALLER, side_hint="in")
    assert started(bridge.receive(plain(format=name))).sample_rate == rate
    decode = {"ulaw": mulaw_decode, "alaw": alaw_decode}
    data = bytes(range(100, 110))
    expected = decode[name](data) if name in decode else np.frombuffer(data, "<i2")
    assert pcm(bridge.receive(data)) == expected.tolist()


@pytest.mark.parametrize("name", ["opus", "g729", "slin8", "", "ULAW"])
def test_an_unknown_format_is_unsupported(name: str) -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(bytes(320))
    assert bridge.receive(media_start(format=name)) == []
    assert bridge.message_errors == {"unsupported_audio": 1}
    assert bridge.close_code == 1003
    assert repr(name) in bridge.close_reason


def test_a_track_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = AsteriskBridge(CALLER)
    assert started(bridge.receive(media_start("fer/v(side=out)"))).tracks == (Track.AGENT,)
    assert bridge.receive(bytes(320)) == []


def test_short_and_odd_frames_are_decoded() -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    data = struct.pack("<5h", 1, 2, 3, 4, 5)
    frames = (data[:3], data[3:4], b"", data[4:])
    events = [event for frame in frames for event in bridge.receive(frame)]
    assert pcm(events) == [1, 2, 3, 4, 5]


# Other messages.


@pytest.mark.parametrize("name", sorted(IGNORED))
@pytest.mark.parametrize("form", ['{{"event":"{}","channel_id":"1.2"}}', "{} channel_id:1.2"])
def test_unused_events_are_ignored(name: str, form: str) -> None:
    bridge = AsteriskBridge(CALLER)
    for _ in range(2):
        assert bridge.receive(form.format(name)) == []
        bridge.receive(media_start())
        bridge.message_errors.pop("second_start", None)
    assert not bridge.message_errors
    assert bridge.close_code is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"event":"ERROR","error_text":"no"}', "provider_error"),
        ("ERROR error_text:no", "provider_error"),
        (media_start("fer/v(callId=c2,side=out)"), "second_start"),
        ("{", "bad_json"),
        ('{"a":' * 9_000, "bad_json"),
        ('{"event":7}', "unknown_event"),
        ("hello there", "unknown_event"),
        ("", "unknown_event"),
        ("\ud800", "unknown_event"),
        (" " * (MAX_TEXT_CHARS + 1), "text_too_large"),
    ],
)
def test_errors_are_dropped_and_counted(text: str, problem: str) -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    assert bridge.receive(text) == []
    assert bridge.message_errors == {problem: 1}
    assert bridge.close_code is None
    assert pcm(bridge.receive(struct.pack("<h", 7))) == [7]


def test_audio_before_media_start_is_decoded_after_it_and_lost_audio_is_a_gap() -> None:
    bridge = AsteriskBridge(CALLER, max_pre_start_bytes=4)
    for sample in range(1, 5):
        assert bridge.receive(struct.pack("<h", sample)) == []
    assert bridge.message_errors == {"held_too_much": 2}
    assert pcm(bridge.receive(media_start())) == [1, 2, -1, -1]


def test_a_frame_that_is_too_large_is_a_gap() -> None:
    bridge = AsteriskBridge(CALLER, max_frame_bytes=4)
    bridge.receive(media_start())
    assert pcm(bridge.receive(bytes(6))) == [-1, -1, -1]
    assert bridge.message_errors == {"frame_too_large": 1}


def test_a_lost_connection_ends_its_call_once() -> None:
    bridge = AsteriskBridge(CALLER)
    assert bridge.disconnected() == []
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda bridge: bridge.refused(Overloaded(1)), 1013),
        (lambda bridge: bridge.refused(CallExists("c1")), 1008),
        (lambda bridge: bridge.failed(), 1011),
        (lambda bridge: bridge.stopped("quiet", None), 1000),
    ],
)
def test_the_service_ends_a_call_by_closing(end: Any, code: int) -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    end(bridge)
    assert bridge.close_code == code
    assert list(bridge.replies()) == []
    assert bridge.disconnected() == []


# Any messages.


@given(
    data=st.binary(max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=12),
    name=st.sampled_from(["ulaw", "alaw", "slin16"]),
    start_after=st.integers(0, 12),
)
def test_any_chunking_gives_the_same_samples(
    data: bytes, cuts: list[int], name: str, start_after: int
) -> None:
    whole = AsteriskBridge(CALLER)
    whole.receive(media_start(format=name))
    bridge = AsteriskBridge(CALLER)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 120]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(start_after, len(borders) - 2):
            events += bridge.receive(media_start(format=name))
        events += bridge.receive(data[left:right])
    assert pcm(events) == pcm(whole.receive(data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
dial_strings = st.text(st.sampled_from("/cfv()=,%2 callIdsein"), max_size=60)
almost_starts = st.builds(
    lambda fields, dial_string: (
        json.dumps({"event": "MEDIA_START", "format": "slin", **fields})
        if dial_string is None
        else media_start(dial_string, **fields)
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "format": st.sampled_from([*FORMATS]) | json_values,
            "channel_id": st.text(max_size=140) | json_values,
            "channel_variables": st.dictionaries(st.text(max_size=8), json_values) | json_values,
        },
    ),
    st.none() | dial_strings,
)
messages = (
    st.binary(max_size=300)
    | st.text(st.characters(), max_size=300)
    | st.builds(json.dumps, json_values)
    | st.builds("MEDIA_START {}".format, st.text(max_size=60))
    | almost_starts
    | st.sampled_from([media_start(), plain()])
)


@given(st.lists(messages, max_size=20), st.sampled_from([None, "in", "x"]))
def test_any_messages_never_raise_and_memory_is_bounded(
    stream: list[str | bytes], side: str | None
) -> None:
    bridge = AsteriskBridge(BOTH, side_hint=side, max_pre_start_bytes=400, max_frame_bytes=200)
    events: list[Event] = []
    for message in stream:
        events += bridge.receive(message)
        # Before the start whole frames are kept, after it an unfinished sample.
        assert bridge.buffered_bytes <= (1 if events else 400)
        assert len(bridge.message_errors) <= 12
    events += bridge.disconnected()
    for event in events:
        if isinstance(event, CallStarted):
            "".join([*event.metadata, *event.metadata.values()]).encode()
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) == kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]
    assert bridge.close_code in (None, 1003, 1008)


def test_other_parameters_of_the_dial_string_are_metadata_of_their_own() -> None:
    dial = "kanjo/c(ulaw)f(json)v(callId=c1,side=in,queue=billing,agent=Ann+Lee)"
    start = media_start(channel_variables={"DIALEDPEERNUMBER": dial, "x": "1"})
    kept = started(AsteriskBridge(CALLER).receive(start)).metadata
    assert (kept["queue"], kept["agent"], kept["x"]) == ("billing", "Ann Lee", "1")
    assert "DIALEDPEERNUMBER" not in kept
