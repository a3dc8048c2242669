import json
from typing import Any

import pytest

from service.events import CallStopped
from service.telephony.audiohook.bridge import MAX_INFO_CHARS, AudioHookBridge
from service.telephony.audiohook.messages import MAX_REPLIES, MAX_TEXT_BYTES, NIL
from tests.service.telephony.audiohook.sessions import (
    ORGANIZATION,
    SESSION,
    Session,
    open_parameters,
    started,
)


def test_the_call_is_the_conversation_and_the_rest_is_metadata() -> None:
    call = started(
        Session().open(
            language="en-US",
            customConfig={"queue": "billing", "nested": {"a": [1, "ü"]}, "empty": None},
            inputVariables={"x": "1"},
            continuedSessions=[{"id": "old", "serverseq": 3, "clientseq": 4}],
        )
    )
    assert call.call_id == "bbb1e875-9e0c-4a36-8d8c-0b4a2a3a5d6f"
    assert call.bridge == "audiohook"
    assert call.metadata == {
        "sessionId": SESSION,
        "organizationId": ORGANIZATION,
        "participantId": "9bdb42f2",
        "ani": "+1",
        "dnis": "+2",
        "language": "en-US",
        "continuedSessions": "old",
        "customConfig.queue": "billing",
        "customConfig.nested": json.dumps({"a": [1, "ü"]}),
        "inputVariables.x": "1",
    }


def test_metadata_is_cut_to_16384_bytes_and_values_to_1024_characters() -> None:
    config = {f"{number}" + "k" * 200: "v" * 1_020 + "ü" * 10 for number in range(40)}
    metadata = started(Session().open(customConfig=config)).metadata
    assert 15_000 < sum(len((k + v).encode()) for k, v in metadata.items()) <= 16_384
    assert max(map(len, metadata)) == 128
    assert max(map(len, metadata.values())) == 1_024


@pytest.mark.parametrize("call_id", ["", "a\nb", "x" * 129, 7, None])
def test_a_conversation_without_a_valid_id_is_refused(call_id: Any) -> None:
    session = Session()
    assert session.open(conversationId=call_id) == []
    assert "conversationId: got" in session.replies()[0][1]["info"]
    assert session.bridge.message_errors == {"bad_open": 1}


def test_a_participant_may_have_no_number() -> None:
    participant = {"id": "9bdb42f2", "ani": None, "aniName": None, "dnis": None}
    metadata = started(Session().open(participant=participant)).metadata
    assert metadata["participantId"] == "9bdb42f2"
    assert "ani" not in metadata


def test_a_probe_is_answered_without_a_call() -> None:
    for changes in ({"conversationId": NIL}, {"media": []}):
        session = Session()
        assert session.open(**changes) == []
        assert session.replies() == [("opened", {"media": [], "startPaused": False})]
        assert session.send("close", reason="end") == []
        assert session.replies() == [("closed", {})]


def test_supported_languages_are_replied_when_requested() -> None:
    session = Session()
    session.open(supportedLanguages=True)
    session.bridge.started("s", "kanjo", "1", 1.0)
    assert session.replies()[0][1]["supportedLanguages"] == []


def test_another_organization_than_the_handshakes_is_unauthorized() -> None:
    session = Session()
    assert session.open(organizationId="other") == []
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "unauthorized")
    free = AudioHookBridge(SESSION, None)
    assert started(free.receive(Session().text("open", **open_parameters(organizationId="other"))))


def test_a_second_open_changes_nothing() -> None:
    session = Session().live()
    assert session.open(conversationId="other") == []
    assert session.replies() == []
    assert session.bridge.message_errors == {"second_open": 1}


def test_a_pong_has_the_number_of_its_ping_even_if_two_are_queued() -> None:
    session = Session().live()
    session.send("ping")
    session.send("ping", rtt="PT0.0028S")
    pongs = [json.loads(message) for message in session.bridge.replies()]
    assert [(pong["seq"], pong["clientseq"]) for pong in pongs] == [(2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("changes", "problem", "words"),
    [
        ({"seq": 3}, "bad_seq", "got seq 3, expected 2"),
        ({"seq": 1}, "bad_seq", "got seq 1, expected 2"),
        ({"serverseq": 2}, "bad_serverseq", "got serverseq 2, expected at most 1"),
        ({"id": "other"}, "wrong_id", "got id 'other'"),
        ({"version": "3"}, "malformed", "version: got '3', expected '2'"),
        ({"seq": "2"}, "malformed", "seq: got '2'"),
        ({"seq": 2.5}, "malformed", "seq: got 2.5"),
        ({"seq": -1}, "malformed", "seq: got -1"),
        ({"position": "1.2"}, "malformed", "position: got '1.2', expected a duration"),
    ],
)
def test_a_wrong_envelope_ends_the_session(
    changes: dict[str, Any], problem: str, words: str
) -> None:
    session = Session().live()
    assert session.send("ping", **changes) == [CallStopped("protocol_error")]
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert words in parameters["info"]
    assert session.bridge.message_errors == {problem: 1}


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", "[" * 60_000, '{"seq": "\\ud800"}'])
def test_a_text_that_is_not_a_message_ends_the_session(text: str) -> None:
    session = Session().live()
    assert session.bridge.receive(text) == [CallStopped("protocol_error")]
    assert len(session.replies()[0][1]["info"]) <= MAX_INFO_CHARS
    assert session.bridge.message_errors == {"malformed": 1}


def test_a_text_may_have_64000_bytes() -> None:
    session = Session().live()
    spare = MAX_TEXT_BYTES - len(session.text("ping", pad=""))
    session.seq -= 1
    assert session.send("ping", pad="x" * spare) == []
    assert [kind for kind, _ in session.replies()] == ["pong"]
    assert session.bridge.receive("ü" * (MAX_TEXT_BYTES // 2 + 1)) == [
        CallStopped("protocol_error")
    ]
    assert session.bridge.message_errors == {"text_too_large": 1}


def test_unknown_types_count_in_seq_and_change_nothing() -> None:
    session = Session().live()
    for kind in ("dtmf", "playback_started", "playback_completed", "novelty"):
        assert session.send(kind, digit="5") == []
    session.send("error", code=429, message="too many", retryAfter="PT5S")
    session.send("ping")
    assert [kind for kind, _ in session.replies()] == ["pong"]
    assert session.bridge.message_errors == {"unknown_type": 1, "client_error": 1}


def test_replies_that_are_not_fetched_are_bounded_and_leave_no_gap() -> None:
    session = Session().live()
    for _ in range(MAX_REPLIES + 5):
        session.send("ping")
    assert len(session.replies()) == MAX_REPLIES
    assert session.bridge.message_errors == {"replies_dropped": 5}
