import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model.labels import EMOTIONS, Emotion
from service.errors import CallExists, CallRefused, NotStarted, Overloaded, Stopping
from service.events import AlertState, CallSummary, Reading, Track, Transition
from service.telephony.native.bridge import MAX_REPLIES
from service.telephony.native.messages import CLOSE_CODES, ErrorCode
from service.telephony.shared.bridge import CloseCode
from tests.service.telephony.native.protocol import CALLER, SCHEMA, STOP, errors, live, valid


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_every_error_code_and_close_codes_are_standard() -> None:
    assert set(SCHEMA["$defs"]["error"]["properties"]["code"]["enum"]) == set(ErrorCode)
    assert set(CLOSE_CODES.values()) <= {
        CloseCode.UNSUPPORTED,
        CloseCode.POLICY,
        CloseCode.INTERNAL,
        CloseCode.TRY_AGAIN_LATER,
    }


def test_started_names_the_model_and_the_analysed_tracks() -> None:
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
def test_the_text_of_an_alert_is_how_the_caller_sounds(state: AlertState, text: str) -> None:
    bridge = live()
    bridge.alert(
        Transition("a-1", 1, "c1", Track.CALLER, Emotion.ANGER, state, 1.0, 2.0, 0.83, 0.9)
    )
    assert json.loads(bridge.replies()[0])["text"] == text


def test_stopped_has_the_totals_and_closes() -> None:
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


def test_replies_that_are_not_fetched_are_bounded_and_the_newest_kept() -> None:
    bridge = live()
    for number in range(1, MAX_REPLIES + 10):
        bridge.reading(Reading("c1", number, Track.CALLER, 0, 1, 1, dict.fromkeys(EMOTIONS, 0.25)))
    replies = bridge.replies()
    assert len(replies) == MAX_REPLIES
    assert json.loads(replies[-1])["number"] == MAX_REPLIES + 9


@pytest.mark.parametrize(
    ("refusal", "code", "close_code"),
    [
        (CallExists("c1"), ErrorCode.CALL_EXISTS, 1008),
        (NotStarted(30), ErrorCode.NOT_STARTED, 1008),
        (Overloaded(2), ErrorCode.OVERLOADED, 1013),
        (Stopping(), ErrorCode.STOPPING, 1013),
    ],
)
def test_each_refusal_has_its_code(refusal: CallRefused, code: ErrorCode, close_code: int) -> None:
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


def test_a_failure_of_the_service_is_an_error_and_closes() -> None:
    bridge = live()
    bridge.failed()
    assert errors(bridge) == ["internal"]
    assert bridge.close_code == 1011
