import pytest

from service.telephony.audiohook.state import SessionDeadlines, SessionState
from tests.service.telephony.audiohook.sessions import SESSION, SUMMARY, Session

DEADLINES = SessionDeadlines(open_s=1.0, closed_s=2.0, close_s=3.0, leave_s=4.0)


def test_each_state_has_its_own_deadline() -> None:
    session = Session(deadlines=DEADLINES)
    bridge = session.bridge
    assert (bridge.stage, bridge.deadline_s) == (SessionState.BEFORE_OPEN, 1.0)
    session.open()
    assert (bridge.stage, bridge.deadline_s) == (SessionState.OPENING, None)
    bridge.started(SESSION, "kanjo", "1", 1.0)
    assert (bridge.stage, bridge.deadline_s) == (SessionState.OPEN, None)
    session.send("close", reason="end")
    assert (bridge.stage, bridge.deadline_s) == (SessionState.CLOSING, 2.0)
    bridge.stopped("end", SUMMARY)
    assert (bridge.stage, bridge.deadline_s) == (SessionState.CLOSED, 4.0)


def test_a_client_has_a_deadline_to_answer_disconnect() -> None:
    session = Session(deadlines=DEADLINES).live()
    session.bridge.failed()
    assert session.bridge.stage is SessionState.DISCONNECTING
    assert session.bridge.deadline_s == 3.0


def test_started_in_another_state_than_opening_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="'before open', expected it in 'open received"):
        Session().bridge.started("s", "kanjo", "1", 1.0)
