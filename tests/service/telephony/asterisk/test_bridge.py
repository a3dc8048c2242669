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
DIALED = "kanjo/c(slin)f(json)v(callId=c1,side=in)"


def media_start(dialed: str | None = DIALED, **changes: Any) -> str:
    variables = {"DIALEDPEERNUMBER": dialed} if dialed is not None else {}
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


# Which call, and which side of it.


@pytest.mark.parametrize(
    ("dialed", "call_id", "track"),
    [
        ("fer/c(ulaw)f(json)v(callId=c1,side=in)", "c1", Track.CALLER),
        ("fer/v(side=out,callId=c1)c(ulaw)f(json)", "c1", Track.AGENT),
        ("fer/c(ulaw)nv(callId=a%2Fb,side=agent)", "a/b", Track.AGENT),
        ("fer/v(side=customer)", "1795344065.2", Track.CALLER),
        ("v(x)/v(callId=c1,side=caller)", "c1", Track.CALLER),
    ],
)
def test_the_dial_string_tells_the_call_and_the_side(
    dialed: str, call_id: str, track: Track
) -> None:
    bridge = AsteriskBridge(BOTH, call_id_hint="old", side_hint="in")
    start = started(bridge.receive(media_start(dialed)))
    assert (start.call_id, start.tracks) == (call_id, (track,))


def test_channel_variables_tell_it_where_the_dial_string_does_not() -> None:
    bridge = AsteriskBridge(BOTH, call_id_hint="old", side_hint="in")
    variables = {"DIALEDPEERNUMBER": "fer/c(ulaw)", "callId": "c2", "side": "out"}
    start = started(bridge.receive(media_start(channel_variables=variables)))
    assert (start.call_id, start.tracks) == ("c2", (Track.AGENT,))


def test_an_earlier_calls_query_is_not_believed() -> None:
    bridge = AsteriskBridge(CALLER, call_id_hint="old", side_hint="in")
    assert bridge.receive(media_start("fer/c(ulaw)")) == []
    assert bridge.problems == {"unknown_track": 1}
    assert bridge.close_code == 1008


@pytest.mark.parametrize("text", [plain(), media_start(None)])
def test_the_query_is_believed_where_nothing_else_can_tell(text: str) -> None:
    bridge = AsteriskBridge(CALLER, call_id_hint="c3", side_hint="in")
    start = started(bridge.receive(text))
    assert (start.call_id, start.tracks) == ("c3", (Track.CALLER,))
    assert bridge.joins


def test_without_a_call_id_the_channel_is_a_call_of_its_own() -> None:
    bridge = AsteriskBridge(CALLER, side_hint="in")
    assert started(bridge.receive(plain())).call_id == "1795344065.2"
    assert not bridge.joins


def test_two_sockets_of_one_call_say_so() -> None:
    caller, agent = AsteriskBridge(BOTH), AsteriskBridge(BOTH)
    first = started(caller.receive(media_start()))
    second = started(agent.receive(media_start("fer/v(callId=c1,side=out)", channel_id="9.1")))
    assert first.call_id == second.call_id
    assert set(first.tracks).isdisjoint(second.tracks)
    assert caller.joins
    assert agent.joins


def test_the_names_of_the_sides_are_configured() -> None:
    bridge = AsteriskBridge(CALLER, sides={"out": Track.CALLER})
    assert started(bridge.receive(media_start("fer/v(side=out)"))).tracks == (Track.CALLER,)
    stranger = AsteriskBridge(CALLER, sides={"out": Track.CALLER})
    assert stranger.receive(media_start()) == []
    assert stranger.close_reason == "got side 'in', expected out"


@pytest.mark.parametrize("hint", [None, "", "both"])
def test_a_side_that_nobody_names_is_refused_not_guessed(hint: str | None) -> None:
    bridge = AsteriskBridge(CALLER, side_hint=hint)
    assert bridge.receive(plain()) == []
    assert bridge.problems == {"unknown_track": 1}
    assert bridge.close_code == 1008


@pytest.mark.parametrize("call_id", ["x" * 129, "a\tb", 7, None])
def test_a_call_id_that_is_none_is_refused(call_id: object) -> None:
    bridge = AsteriskBridge(CALLER)
    assert bridge.receive(media_start("fer/v(side=in)", channel_id=call_id)) == []
    assert bridge.problems == {"bad_start": 1}
    assert bridge.close_code == 1008


def test_what_asterisk_tells_is_kept() -> None:
    kept = started(AsteriskBridge(CALLER).receive(media_start())).metadata
    assert kept["channel"] == "WebSocket/kanjo/0x7f2c"
    assert kept["DIALEDPEERNUMBER"] == DIALED
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
def test_the_format_says_encoding_and_rate(name: str, rate: int) -> None:
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
    assert bridge.problems == {"unsupported_audio": 1}
    assert bridge.close_code == 1003
    assert repr(name) in bridge.close_reason


def test_a_side_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = AsteriskBridge(CALLER)
    assert started(bridge.receive(media_start("fer/v(side=out)"))).tracks == (Track.AGENT,)
    assert bridge.receive(bytes(320)) == []


def test_short_and_odd_frames_are_heard() -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    data = struct.pack("<5h", 1, 2, 3, 4, 5)
    parts = (data[:3], data[3:4], b"", data[4:])
    events = [event for part in parts for event in bridge.receive(part)]
    assert pcm(events) == [1, 2, 3, 4, 5]


# Other messages.


@pytest.mark.parametrize("name", sorted(IGNORED))
@pytest.mark.parametrize("form", ['{{"event":"{}","channel_id":"1.2"}}', "{} channel_id:1.2"])
def test_events_of_which_nothing_is_heard_are_tolerated(name: str, form: str) -> None:
    bridge = AsteriskBridge(CALLER)
    for _ in range(2):
        assert bridge.receive(form.format(name)) == []
        bridge.receive(media_start())
        bridge.problems.pop("second_start", None)
    assert not bridge.problems
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
def test_what_is_wrong_is_dropped_and_counted(text: str, problem: str) -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    assert bridge.receive(text) == []
    assert bridge.problems == {problem: 1}
    assert bridge.close_code is None
    assert pcm(bridge.receive(struct.pack("<h", 7))) == [7]


def test_audio_before_media_start_is_heard_after_it_and_what_was_lost_is_a_gap() -> None:
    bridge = AsteriskBridge(CALLER, max_held_bytes=4)
    for sample in range(1, 5):
        assert bridge.receive(struct.pack("<h", sample)) == []
    assert bridge.problems == {"held_too_much": 2}
    assert pcm(bridge.receive(media_start())) == [1, 2, -1, -1]


def test_a_frame_too_large_is_a_gap() -> None:
    bridge = AsteriskBridge(CALLER, max_frame_bytes=4)
    bridge.receive(media_start())
    assert pcm(bridge.receive(bytes(6))) == [-1, -1, -1]
    assert bridge.problems == {"frame_too_large": 1}


def test_a_call_whose_socket_is_gone_ends_once() -> None:
    bridge = AsteriskBridge(CALLER)
    assert bridge.disconnected() == []
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []


@pytest.mark.parametrize(
    ("tell", "code"),
    [
        (lambda bridge: bridge.refused(Overloaded(1)), 1013),
        (lambda bridge: bridge.refused(CallExists("c1")), 1008),
        (lambda bridge: bridge.failed(), 1011),
        (lambda bridge: bridge.stopped("quiet", None), 1000),
    ],
)
def test_the_service_ends_a_call_by_closing(tell: Any, code: int) -> None:
    bridge = AsteriskBridge(CALLER)
    bridge.receive(media_start())
    tell(bridge)
    assert bridge.close_code == code
    assert list(bridge.replies()) == []
    assert bridge.disconnected() == []


# Whatever comes.


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
    lambda fields, dialed: (
        json.dumps({"event": "MEDIA_START", "format": "slin", **fields})
        if dialed is None
        else media_start(dialed, **fields)
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
def test_whatever_comes_never_raises_and_never_grows(
    conversation: list[str | bytes], side: str | None
) -> None:
    bridge = AsteriskBridge(BOTH, side_hint=side, max_held_bytes=400, max_frame_bytes=200)
    events: list[Event] = []
    for message in conversation:
        events += bridge.receive(message)
        assert len(bridge._held) <= 400
        assert len(bridge._samples._tail) < 2
        assert len(bridge.problems) <= 12
    events += bridge.disconnected()
    for event in events:
        if isinstance(event, CallStarted):
            "".join([*event.metadata, *event.metadata.values()]).encode()
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) == kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]
    assert bridge.close_code in (None, 1003, 1008)
