import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Overloaded
from service.events import CallStarted, CallStopped, CallSummary, Event, Gap, Track
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.vonage.bridge import (
    MAX_FRAME_BYTES,
    MAX_PRE_START_BYTES,
    MAX_TEXT_CHARS,
    VonageBridge,
)
from tests.service.telephony.media_streams import CALLER, samples

SUMMARY = CallSummary(duration_s=2.0, speech_s=1.5, readings=1, alerts=0, dropped=0)


def connected(**changes: Any) -> str:
    message = {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "call_id": "CON-1",
        "queue": "7",
    }
    return json.dumps({**message, **changes})


def live() -> VonageBridge:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    assert len(bridge.receive(connected())) == 1
    return bridge


def test_a_mix_is_decoded_where_that_is_permitted() -> None:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    metadata = {"content-type": "audio/l16;rate=16000", "queue": "7"}
    assert bridge.receive(connected()) == [
        CallStarted("CON-1", "vonage", (Track.CALLER,), 16_000, metadata)
    ]
    pcm = np.arange(-160, 160, dtype=np.int16)
    np.testing.assert_array_equal(
        samples(bridge.receive(pcm.astype("<i2").tobytes()), Track.CALLER), pcm
    )
    assert bridge.receive('{"event":"websocket:dtmf","digit":"5","duration":260}') == []
    assert not bridge.message_errors
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []


def test_a_mix_is_refused_where_it_is_not() -> None:
    bridge = VonageBridge(CALLER)
    assert bridge.receive(bytes(640)) == []
    assert bridge.receive(connected()) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.MIXED_SPEAKERS: 1}
    assert bridge.receive(bytes(640)) == []
    assert bridge.disconnected() == []


def test_a_mix_that_is_not_analysed_is_not_decoded() -> None:
    bridge = VonageBridge(frozenset({Track.AGENT}), analyse_mix=True)
    bridge.receive(connected())
    assert bridge.receive(bytes(640)) == []


def test_a_numeric_call_id_is_taken_as_text() -> None:
    (started,) = VonageBridge(CALLER, analyse_mix=True).receive(connected(call_id=4711))
    assert isinstance(started, CallStarted)
    assert started.call_id == "4711"


@pytest.mark.parametrize("call_id", [None, "", -5, True, "x" * 129, "a\tb"])
def test_a_call_without_a_usable_id_is_refused(call_id: object) -> None:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    assert bridge.receive(connected(call_id=call_id)) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.BAD_START: 1}
    assert "call_id" in bridge.close_reason


@pytest.mark.parametrize(
    "content_type",
    [
        "audio/l16",
        "audio/l16;rate=",
        "audio/l16;rate=7999",
        "audio/l16;rate=48001",
        "audio/l16;rate=16e3",
        "audio/pcmu;rate=8000",
        "",
        "audio/l16;rate=8000;channels=2",
    ],
)
def test_other_audio_is_refused_and_not_guessed(content_type: str) -> None:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    assert bridge.receive(connected(**{"content-type": content_type})) == []
    assert bridge.close_code == 1003
    assert bridge.message_errors == {MessageProblem.UNSUPPORTED_AUDIO: 1}


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=9), at=st.data())
def test_any_chunking_gives_the_same_samples(data: bytes, cuts: list[int], at: Any) -> None:
    frames = [data[left:right] for left, right in itertools.pairwise([0, *sorted(cuts), len(data)])]
    started_at = at.draw(st.integers(0, len(frames)))
    bridge = VonageBridge(CALLER, analyse_mix=True)
    events: list[Event] = []
    for frame in frames[:started_at]:
        assert bridge.receive(frame) == []
    events += bridge.receive(connected())
    for frame in frames[started_at:]:
        events += bridge.receive(frame)
    whole = np.frombuffer(data, "<i2", len(data) // 2)
    np.testing.assert_array_equal(samples(events, Track.CALLER), whole)


def test_audio_before_connected_is_kept_up_to_a_limit_and_the_rest_is_a_gap() -> None:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    for _ in range(300):
        assert bridge.receive(bytes(640)) == []
    room = MAX_PRE_START_BYTES // 640
    assert bridge.message_errors == {MessageProblem.HELD_TOO_MUCH: 300 - room}
    events = bridge.receive(connected())
    assert events[-1] == Gap(Track.CALLER, (300 - room) * 320)
    assert samples(events, Track.CALLER).size == 300 * 320


def test_a_frame_that_is_too_large_is_a_gap() -> None:
    bridge = live()
    assert bridge.receive(bytes(MAX_FRAME_BYTES + 2)) == [
        Gap(Track.CALLER, MAX_FRAME_BYTES // 2 + 1)
    ]
    assert bridge.message_errors == {MessageProblem.FRAME_TOO_LARGE: 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", MessageProblem.BAD_JSON),
        ("[" * 60_000, MessageProblem.BAD_JSON),
        ("7", MessageProblem.BAD_JSON),
        (" " * (MAX_TEXT_CHARS + 1), MessageProblem.TEXT_TOO_LARGE),
        ("{}", MessageProblem.UNKNOWN_EVENT),
        ('{"event": []}', MessageProblem.UNKNOWN_EVENT),
        (connected(), MessageProblem.SECOND_START),
    ],
)
def test_unreadable_messages_are_counted_and_the_call_goes_on(
    text: str, problem: MessageProblem
) -> None:
    bridge = live()
    assert bridge.receive(text) == []
    assert bridge.message_errors == {problem: 1}
    assert len(bridge.receive(bytes(640))) == 1


def test_each_end_has_its_close_code() -> None:
    refused, stopped, failed = live(), live(), live()
    refused.refused(Overloaded(5))
    stopped.stopped("quiet", SUMMARY)
    failed.failed()
    assert [bridge.close_code for bridge in (refused, stopped, failed)] == [1013, 1000, 1011]
    for bridge in (refused, stopped, failed):
        assert bridge.receive(bytes(640)) == []
        assert bridge.disconnected() == []
        assert list(bridge.replies()) == []


@given(
    messages=st.lists(
        st.binary(max_size=9) | st.text(max_size=9) | st.just(connected()), max_size=30
    )
)
def test_no_messages_raise(messages: list[str | bytes]) -> None:
    bridge = VonageBridge(CALLER, analyse_mix=True)
    events = [event for message in messages for event in bridge.receive(message)]
    events += bridge.disconnected()
    assert set(bridge.message_errors) <= set(MessageProblem)
    assert (connected() in messages) == bool(events)
    if events:
        assert isinstance(events[0], CallStarted)
        assert isinstance(events[-1], CallStopped)
