import importlib.resources
import itertools
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model.audio import alaw_decode, mulaw_decode
from model.labels import EMOTIONS, Emotion
from service.errors import CallExists, CallRefused, NotStarted, Overloaded, Stopping
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.native.bridge import (
    CLOSES,
    MAX_REPLIES,
    MAX_TEXT_CHARS,
    Encoding,
    ErrorCode,
    NativeBridge,
)
from service.telephony.shared.bridge import CloseCode

SCHEMA = json.loads(
    importlib.resources.files("service.telephony.native").joinpath("schema.json").read_text()
)
CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)


def valid(direction: str, message: str) -> dict[str, Any]:
    """The message, once the schema has agreed to it."""
    content = json.loads(message)
    Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{direction}"}]}).validate(content)
    return content  # type: ignore[no-any-return]


def start(**changes: Any) -> str:
    return json.dumps(
        {
            "type": "start",
            "call_id": "c1",
            "encoding": "mulaw",
            "sample_rate": 8000,
            "tracks": ["caller"],
            **changes,
        }
    )


STOP = '{"type": "stop"}'


def live(analyse: frozenset[Track] = CALLER, **changes: Any) -> NativeBridge:
    bridge = NativeBridge(analyse)
    bridge.receive(valid("client", start(**changes)) and start(**changes))
    return bridge


def errors(bridge: NativeBridge) -> list[str]:
    messages = [valid("server", message) for message in bridge.replies()]
    return [message["code"] for message in messages if message["type"] == "error"]


def pcm(events: list[Event], track: Track) -> np.ndarray:
    """What one track plays, each lost sample as -1."""
    parts = [
        event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.empty(0, np.int16), *parts])


# Messages as they are meant.


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_call_in_order_becomes_facts() -> None:
    bridge = NativeBridge(BOTH)
    events = bridge.receive(
        start(encoding="l16", sample_rate=16000, tracks=["agent", "caller"], metadata={"q": "7"})
    )
    assert events == [CallStarted("c1", "native", (Track.AGENT, Track.CALLER), 16000, {"q": "7"})]
    events = bridge.receive(struct.pack("<4h", 1, -2, 3, -32768))
    assert [event.track for event in events if isinstance(event, Audio)] == ["agent", "caller"]
    assert pcm(events, Track.AGENT).tolist() == [1, 3]
    assert pcm(events, Track.CALLER).tolist() == [-2, -32768]
    assert bridge.receive(STOP) == [CallStopped("stop")]
    assert bridge.replies() == []
    assert bridge.close_code is None


@pytest.mark.parametrize(
    ("encoding", "decode"),
    [(Encoding.MULAW, mulaw_decode), (Encoding.ALAW, alaw_decode)],
)
def test_g711_is_decoded_track_by_track(encoding: Encoding, decode: Any) -> None:
    bridge = live(BOTH, encoding=encoding, tracks=["caller", "agent"])
    codes = np.arange(256, dtype=np.uint8)
    interleaved = np.stack([codes, codes[::-1]], axis=1).tobytes()
    events = bridge.receive(interleaved)
    np.testing.assert_array_equal(pcm(events, Track.CALLER), decode(codes))
    np.testing.assert_array_equal(pcm(events, Track.AGENT), decode(codes[::-1].copy()))


def test_a_track_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = live(CALLER, tracks=["agent", "caller"])
    events = bridge.receive(bytes(range(8)))
    assert [type(event) for event in events] == [Audio]
    np.testing.assert_array_equal(pcm(events, Track.CALLER), mulaw_decode(bytes([1, 3, 5, 7])))


def test_audio_before_start_is_heard_after_it() -> None:
    bridge = NativeBridge(CALLER)
    assert bridge.receive(b"ab") == []
    assert bridge.receive(b"c") == []
    first, *rest = bridge.receive(start())
    assert isinstance(first, CallStarted)
    np.testing.assert_array_equal(pcm(rest, Track.CALLER), mulaw_decode(b"abc"))


@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    encoding=st.sampled_from(Encoding),
    tracks=st.sampled_from([["caller"], ["agent"], ["caller", "agent"], ["agent", "caller"]]),
    started_at=st.integers(0, 12),
)
def test_any_chunking_gives_the_same_samples(
    data: bytes, cuts: list[int], encoding: Encoding, tracks: list[str], started_at: int
) -> None:
    whole = live(BOTH, encoding=encoding, tracks=tracks).receive(data)
    bridge = NativeBridge(BOTH)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 200]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(started_at, len(borders) - 2):
            events += bridge.receive(start(encoding=encoding, tracks=tracks))
        events += bridge.receive(data[left:right])
    for track in Track:
        np.testing.assert_array_equal(pcm(events, track), pcm(whole, track))


# Messages of the service.


def test_started_says_what_listens_to_whom() -> None:
    bridge = live(CALLER, tracks=["caller", "agent"])
    bridge.started("s1", "compact", "3", 1.0)
    (message,) = bridge.replies()
    assert valid("server", message) == {
        "type": "started",
        "call_id": "c1",
        "session": "s1",
        "tracks": ["caller"],
        "model": {"name": "compact", "version": "3"},
        "hop_s": 1.0,
    }
    assert bridge.replies() == []


@given(
    numbers=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    at_s=st.floats(0, 1e6),
    number=st.integers(1, 10**9),
    track=st.sampled_from(Track),
)
def test_every_reading_fits_the_schema(
    numbers: list[float], at_s: float, number: int, track: Track
) -> None:
    bridge = live()
    probabilities = dict(zip(EMOTIONS, numbers, strict=True))
    bridge.reading(Reading("c1", number, track, at_s, at_s + 1.5, 1.0, probabilities))
    (message,) = bridge.replies()
    content = valid("server", message)
    assert content["end_s"] == pytest.approx(at_s + 1.5, abs=1e-3)
    assert content["probabilities"] == pytest.approx(probabilities, abs=1e-4)


@given(
    emotion=st.sampled_from(Emotion),
    state=st.sampled_from(AlertState),
    probability=st.floats(0, 1),
)
def test_every_alert_fits_the_schema(
    emotion: Emotion, state: AlertState, probability: float
) -> None:
    bridge = live()
    bridge.alert(
        Transition("a-1", 2, "c1", Track.CALLER, emotion, state, 3.0, 5.25, probability, 1.0)
    )
    (message,) = bridge.replies()
    content = valid("server", message)
    assert (content["emotion"], content["state"]) == (emotion, state)
    assert f"({probability:.2f})" in content["text"]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (AlertState.PENDING, "sounds angry (0.83)"),
        (AlertState.FIRING, "sounds angry (0.83)"),
        (AlertState.RESOLVED, "no longer sounds angry (0.83)"),
        (AlertState.LAPSED, "no longer sounds angry (0.83)"),
    ],
)
def test_an_alert_says_how_the_caller_sounds(state: AlertState, text: str) -> None:
    bridge = live()
    bridge.alert(
        Transition("a-1", 1, "c1", Track.CALLER, Emotion.ANGER, state, 1.0, 2.0, 0.83, 0.9)
    )
    assert json.loads(bridge.replies()[0])["text"] == text


def test_stopped_sums_up_and_closes() -> None:
    bridge = live()
    bridge.receive(STOP)
    summary = CallSummary(duration_s=12.34567, speech_s=8, readings=7, alerts=1, dropped=0)
    bridge.stopped("stop", summary)
    (message,) = bridge.replies()
    assert valid("server", message) == {
        "type": "stopped",
        "reason": "stop",
        "summary": {
            "duration_s": 12.346,
            "speech_s": 8,
            "readings": 7,
            "alerts": 1,
            "dropped": 0,
        },
    }
    assert bridge.close_code == 1000


def test_replies_nobody_fetches_are_bounded_and_the_newest_stay() -> None:
    bridge = live()
    for number in range(1, MAX_REPLIES + 10):
        bridge.reading(Reading("c1", number, Track.CALLER, 0, 1, 1, dict.fromkeys(EMOTIONS, 0.25)))
    replies = bridge.replies()
    assert len(replies) == MAX_REPLIES
    assert json.loads(replies[-1])["number"] == MAX_REPLIES + 9


# Errors, by name.


@pytest.mark.parametrize(
    "text", ["{", "", "nonsense", "[]", "7", '"start"', "[" * 60_000, "\ud800"]
)
def test_bad_json_is_dropped(text: str) -> None:
    bridge = live()
    assert bridge.receive(text) == []
    assert errors(bridge) == ["bad_json"]
    assert bridge.close_code is None


@pytest.mark.parametrize("text", ["{}", '{"type": "begin"}', '{"type": 1}', '{"type": null}'])
def test_unknown_type_is_dropped(text: str) -> None:
    bridge = live()
    assert bridge.receive(text) == []
    assert errors(bridge) == ["unknown_type"]
    assert pcm(bridge.receive(b"abc"), Track.CALLER).size == 3


@pytest.mark.parametrize(
    ("change", "field", "got"),
    [
        ({"call_id": ""}, "call_id", "''"),
        ({"call_id": "x" * 129}, "call_id", None),
        ({"call_id": "a\nb"}, "call_id", "'a\\nb'"),
        ({"call_id": 7}, "call_id", "7"),
        ({"sample_rate": 7999}, "sample_rate", "7999"),
        ({"sample_rate": 48001}, "sample_rate", "48001"),
        ({"sample_rate": "8000"}, "sample_rate", "'8000'"),
        ({"tracks": []}, "tracks", "[]"),
        ({"tracks": ["caller", "caller"]}, "tracks", None),
        ({"tracks": ["caller", "agent", "caller"]}, "tracks", None),
        ({"tracks": ["customer"]}, "tracks.0", "'customer'"),
        ({"metadata": {"a": 1}}, "metadata.a", "1"),
        ({"metadata": {"a": "x" * 1025}}, "metadata.a", None),
        ({"metadata": {str(n): "" for n in range(33)}}, "metadata", None),
        ({"trakcs": ["caller"]}, "trakcs", "['caller']"),
    ],
)
def test_bad_start_says_what_came_and_closes(
    change: dict[str, Any], field: str, got: str | None
) -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive(b"held")
    assert bridge.receive(start(**change)) == []
    (message,) = bridge.replies()
    content = valid("server", message)
    assert content["code"] == "bad_start"
    assert content["fatal"] is True
    (problem,) = content["problems"]
    assert problem["field"] == field
    assert got is None or problem["got"] == got
    assert problem["expected"] in content["message"]
    assert bridge.close_code == 1008
    assert bridge.receive(start()) == []


def test_bad_start_lists_every_problem() -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive('{"type": "start", "sample_rate": 1}')
    problems = json.loads(bridge.replies()[0])["problems"]
    assert [problem["field"] for problem in problems] == [
        "call_id",
        "encoding",
        "sample_rate",
        "tracks",
    ]
    assert problems[0] == {"field": "call_id", "expected": "a value", "got": "nothing"}


def test_bad_start_of_an_unknown_encoding_closes_as_unsupported() -> None:
    bridge = NativeBridge(CALLER)
    bridge.receive(start(encoding="opus"))
    assert errors(bridge) == ["bad_start"]
    assert bridge.close_code == 1003


def test_not_started_is_said_to_a_stop_without_start() -> None:
    bridge = NativeBridge(CALLER)
    assert bridge.receive(STOP) == []
    assert errors(bridge) == ["not_started"]
    assert bridge.close_code == 1008


@pytest.mark.parametrize("second", [start(call_id="c2"), start(sample_rate=1)])
def test_already_started_leaves_the_call_as_it_is(second: str) -> None:
    bridge = live()
    assert bridge.receive(second) == []
    assert errors(bridge) == ["already_started"]
    assert bridge.close_code is None
    assert pcm(bridge.receive(b"abc"), Track.CALLER).size == 3


def test_frame_too_large_becomes_a_gap_and_the_tracks_stay_in_step() -> None:
    bridge = NativeBridge(BOTH, max_frame_bytes=16)
    bridge.receive(start(encoding="l16", tracks=["caller", "agent"]))
    stream = struct.pack("<24h", *range(1, 25))  # caller odd, agent even
    events = bridge.receive(stream[:5])
    events += bridge.receive(stream[5:22])
    events += bridge.receive(stream[22:23])
    events += bridge.receive(stream[23:33])
    events += bridge.receive(stream[33:])
    assert errors(bridge) == ["frame_too_large"]
    caller = [1, -1, -1, -1, -1, -1, 13, 15, 17, 19, 21, 23]
    assert pcm(events, Track.CALLER).tolist() == caller
    assert pcm(events, Track.AGENT).tolist() == [n + 1 if n > 0 else n for n in caller]


@given(
    data=st.binary(min_size=120, max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=8),
    encoding=st.sampled_from(Encoding),
    tracks=st.sampled_from([["caller"], ["agent", "caller"]]),
    start_after=st.integers(0, 8),
)
def test_lost_audio_never_shifts_the_timeline(
    data: bytes, cuts: list[int], encoding: Encoding, tracks: list[str], start_after: int
) -> None:
    whole = pcm(live(CALLER, encoding=encoding, tracks=tracks).receive(data), Track.CALLER)
    bridge = NativeBridge(CALLER, max_frame_bytes=20, max_held_bytes=30)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 120]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(start_after, len(borders) - 2):
            events += bridge.receive(start(encoding=encoding, tracks=tracks))
        events += bridge.receive(data[left:right])
    heard = [event for event in events if isinstance(event, Audio | Gap)]
    at = 0
    for event in heard:
        if isinstance(event, Audio):
            np.testing.assert_array_equal(event.pcm, whole[at : at + len(event.pcm)])
            at += len(event.pcm)
        else:
            at += event.samples
    assert at == len(whole)


def test_held_too_much_is_said_once_and_what_was_lost_becomes_a_gap() -> None:
    bridge = NativeBridge(CALLER, max_held_bytes=4)
    for frame in (b"abc", b"de", b"f", b"g"):
        assert bridge.receive(frame) == []
    assert errors(bridge) == ["held_too_much"]
    events = bridge.receive(start())
    assert pcm(events, Track.CALLER).tolist() == [*mulaw_decode(b"abc"), -1, -1, -1, -1]


def test_text_too_large_is_dropped() -> None:
    bridge = live()
    assert bridge.receive(" " * (MAX_TEXT_CHARS + 1)) == []
    assert errors(bridge) == ["text_too_large"]
    assert bridge.close_code is None


def test_after_stop_is_said_once() -> None:
    bridge = live()
    bridge.receive(STOP)
    for message in (b"abc", STOP, start(), "nonsense"):
        assert bridge.receive(message) == []
    assert errors(bridge) == ["after_stop"]
    assert bridge.close_code is None


@pytest.mark.parametrize(
    ("refusal", "code", "close_code"),
    [
        (CallExists("c1"), ErrorCode.CALL_EXISTS, 1008),
        (NotStarted(30), ErrorCode.NOT_STARTED, 1008),
        (Overloaded(2), ErrorCode.OVERLOADED, 1013),
        (Stopping(), ErrorCode.STOPPING, 1013),
    ],
)
def test_the_service_refuses_with_a_code_of_its_own(
    refusal: CallRefused, code: ErrorCode, close_code: int
) -> None:
    bridge = live()
    bridge.refused(refusal)
    (message,) = bridge.replies()
    assert valid("server", message) == {
        "type": "error",
        "code": code,
        "message": str(refusal),
        "fatal": True,
    }
    assert bridge.close_code == close_code
    assert bridge.receive(b"abc") == []


def test_a_failure_of_the_service_is_told_and_closes() -> None:
    bridge = live()
    bridge.failed()
    assert errors(bridge) == ["internal"]
    assert bridge.close_code == 1011


def test_what_was_wrong_is_counted_by_its_code() -> None:
    bridge = live()
    for message in ("{", "{", '{"type": "song"}'):
        bridge.receive(message)
    assert bridge.problems == {"bad_json": 2, "unknown_type": 1}


def test_a_call_whose_client_is_gone_ends_once() -> None:
    bridge = live()
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []
    assert NativeBridge(CALLER).disconnected() == []
    stopped = live()
    stopped.receive(STOP)
    assert stopped.disconnected() == []


# Whatever comes.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
almost_starts = st.fixed_dictionaries(
    {"type": st.just("start")},
    optional={
        "call_id": st.text(max_size=140) | json_values,
        "encoding": st.sampled_from(["mulaw", "alaw", "l16"]) | json_values,
        "sample_rate": st.sampled_from([8000, 16000, 48000]) | json_values,
        "tracks": st.lists(st.sampled_from(["caller", "agent"]), max_size=3) | json_values,
        "metadata": st.dictionaries(st.text(), st.text()) | json_values,
    },
)
messages = (
    st.binary(max_size=300)
    | st.text(st.characters(), max_size=300)
    | st.builds(json.dumps, json_values | almost_starts)
    | st.sampled_from([start(), STOP])
)


@given(st.lists(messages, max_size=30), st.booleans())
def test_whatever_comes_never_raises_and_never_grows(
    conversation: list[str | bytes], fetch: bool
) -> None:
    bridge = NativeBridge(BOTH, max_frame_bytes=100, max_held_bytes=200)
    events: list[Event] = []
    for message in conversation:
        found = bridge.receive(message)
        if any(isinstance(event, CallStarted) for event in found):
            assert isinstance(message, str)
            valid("client", message)
        events += found
        assert len(bridge._held) <= 200
        assert len(bridge._samples._tail) < 4
        assert len(bridge._replies) <= MAX_REPLIES
        if fetch:
            errors(bridge)
    errors(bridge)
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) <= 1
    assert kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]


def test_every_error_code_is_in_the_schema_and_every_close_code_is_ours() -> None:
    assert set(SCHEMA["$defs"]["error"]["properties"]["code"]["enum"]) == set(ErrorCode)
    assert set(CLOSES.values()) <= {
        CloseCode.UNSUPPORTED,
        CloseCode.POLICY,
        CloseCode.INTERNAL,
        CloseCode.TRY_AGAIN_LATER,
    }
