import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import CallExists, Overloaded
from service.events import AlertState, CallStarted, CallStopped, Event
from service.telephony.audiohook.bridge import AudioHookBridge
from service.telephony.shared.bridge import Bridge, CloseCode
from tests.service.telephony.audiohook.sessions import (
    BOTH,
    SESSION,
    STEREO,
    SUMMARY,
    Session,
    entities,
    open_parameters,
    transition,
)


def test_it_is_a_bridge() -> None:
    bridge: Bridge = AudioHookBridge(SESSION, None)
    assert bridge.close_code is None


def test_closed_is_sent_after_the_last_entities() -> None:
    session = Session().live()
    assert session.send("close", reason="end") == [CallStopped("end")]
    assert session.replies() == []
    session.bridge.alert(transition(AlertState.RESOLVED))
    session.bridge.alert(transition(AlertState.RESOLVED))
    session.bridge.stopped("end", SUMMARY)
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["event", "event", "closed"]
    assert entities(replies) == ["kanjo.alert", "kanjo.alert", "kanjo.stopped"]
    assert replies[1][1]["entities"][-1]["data"]["duration_s"] == 12.346
    assert session.send("ping") == []
    assert session.bridge.receive(b"late") == []
    assert session.replies() == []
    assert session.bridge.disconnected() == []


def test_closed_is_sent_in_time_even_if_the_service_is_late() -> None:
    session = Session().live()
    session.send("close", reason="end")
    assert session.bridge.deadline_s is not None
    assert session.bridge.deadline_s < 10
    assert session.bridge.overdue() == []
    assert session.replies() == [("closed", {})]
    session.bridge.stopped("end", SUMMARY)
    assert session.replies() == []


@pytest.mark.parametrize("reason", ["nonsense", ["end"], None])
def test_an_unknown_reason_to_close_is_an_end(reason: Any) -> None:
    assert Session().live().send("close", reason=reason) == [CallStopped("end")]


def test_the_server_never_ends_the_connection_first() -> None:
    session = Session().live()
    session.bridge.stopped("quiet", SUMMARY)
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["event", "disconnect"]
    assert replies[1][1] == {"reason": "completed", "info": "quiet"}
    assert session.bridge.receive(bytes(160)) == []
    session.bridge.alert(transition())
    assert session.send("close", reason="disconnect") == []
    assert session.replies() == [("closed", {})]
    assert session.bridge.close_code is None


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda bridge: bridge.stopped("quiet", SUMMARY), CloseCode.NORMAL),
        (lambda bridge: bridge.failed(), CloseCode.INTERNAL),
        (lambda bridge: bridge.refused(Overloaded(3)), CloseCode.TRY_AGAIN_LATER),
        (lambda bridge: bridge.refused(CallExists("c")), CloseCode.POLICY),
        (lambda bridge: bridge.receive("?"), CloseCode.POLICY),
    ],
)
@pytest.mark.parametrize("closes", [True, False])
def test_a_client_that_does_not_leave_in_time_is_closed(
    end: Any, code: CloseCode, closes: bool
) -> None:
    session = Session()
    session.open()
    end(session.bridge)
    assert [kind for kind, _ in session.replies()][-1] == "disconnect"
    if closes:
        session.send("close", reason="disconnect")
        session.bridge.stopped("protocol_error", SUMMARY)  # the service's results may come after it
        assert session.replies()[-1] == ("closed", {})
    assert session.bridge.close_code is None
    assert session.bridge.deadline_s is not None
    session.bridge.overdue()
    assert session.bridge.close_code == code


def test_a_client_that_never_opens_is_disconnected_and_closed() -> None:
    session = Session()
    assert session.bridge.deadline_s is not None
    assert session.bridge.overdue() == []
    assert session.replies()[0][1]["info"] == "got no open, expected one"
    session.bridge.overdue()
    assert session.bridge.close_code == CloseCode.POLICY


def test_a_broken_session_is_closed_whatever_the_numbers_of_its_close() -> None:
    session = Session().live()
    session.send("ping", seq=99)
    session.bridge.stopped("protocol_error", SUMMARY)
    session.send("close", reason="disconnect", seq=77, serverseq=1_000)
    assert [kind for kind, _ in session.replies()] == ["disconnect", "closed"]


def test_a_lost_connection_ends_its_call_once() -> None:
    session = Session().live()
    assert session.bridge.disconnected() == [CallStopped("disconnected")]
    assert session.bridge.disconnected() == []
    session.bridge.stopped("disconnected", SUMMARY)
    assert session.replies() == []


def test_a_server_that_will_stop_asks_for_another_connection() -> None:
    session = Session().live()
    session.bridge.reconnect("maintenance")
    assert session.replies() == [("reconnect", {"info": "maintenance"})]
    assert session.send("close", reason="reconnect") == [CallStopped("reconnect")]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["open", "ping", "paused", "resumed", "discarded", "update", "error", "close", "dtmf", "other"]
)
PARAMETERS = st.one_of(
    st.just(open_parameters()),
    st.just(open_parameters(media=[STEREO])),
    st.builds(lambda value: open_parameters(media=value), VALUES),
    st.just({"start": "PT1S", "discarded": "PT0.5S"}),
    st.just({"reason": "end"}),
    st.dictionaries(st.text(max_size=10), VALUES, max_size=3),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), KINDS, PARAMETERS),
        st.tuples(st.just("audio"), st.binary(max_size=400), st.none()),
        st.tuples(st.just("text"), st.text(max_size=200), st.none()),
        st.tuples(st.just("again"), st.integers(0, 20), st.none()),
        st.tuples(st.just("cut"), st.integers(0, 20), st.none()),
        st.tuples(
            st.just("edge"),
            st.sampled_from(["pause", "resume", "failed", "overdue", "disconnected", "alert"]),
            st.none(),
        ),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_any_messages_are_answered_or_counted_and_never_raise(steps: list[Any]) -> None:
    session = Session(BOTH)
    bridge = session.bridge
    texts: list[str] = []
    events: list[Event] = []
    sent: list[str] = []

    def accept(new: list[Event]) -> None:
        events.extend(new)
        for event in new:
            if isinstance(event, CallStarted):
                bridge.started("s", "kanjo", "1", 1.0)
            elif isinstance(event, CallStopped):
                bridge.stopped(event.reason, SUMMARY)
        sent.extend(kind for kind, _ in session.replies())

    for step, what, parameters in steps:
        match step:
            case "send":
                texts.append(session.text(what, parameters=parameters))
                message = json.loads(texts[-1])
                message["parameters"] = parameters
                texts[-1] = json.dumps(message)
                accept(bridge.receive(texts[-1]))
            case "audio" | "text":
                accept(bridge.receive(what))
            case "again" | "cut" if texts:
                text = texts[what % len(texts)]
                accept(bridge.receive(text[: len(text) // 2] if step == "cut" else text))
            case "edge" if what == "alert":
                bridge.alert(transition())
                accept([])
            case "edge":
                accept(getattr(bridge, what)() or [])

    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) <= 1
    assert kinds.count(CallStopped) <= kinds.count(CallStarted)
    if CallStarted in kinds:
        assert kinds[0] is CallStarted
    if CallStopped in kinds:
        assert kinds[-1] is CallStopped
    assert sent.count("opened") <= 1
    assert sent.count("disconnect") <= 1
    assert sent.count("closed") <= 1
    if "closed" in sent:
        assert sent[-1] == "closed"
    if "event" in sent:
        assert "opened" in sent[: sent.index("event")]
    assert len(bridge.message_errors) <= 20
