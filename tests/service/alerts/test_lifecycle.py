"""What people do with alerts: what is accepted, what is refused and by whose doing."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.alerts.lifecycle import (
    FIRED,
    UNDO_WITHIN_S,
    Action,
    ActionKind,
    Decision,
    Handling,
    LastAction,
    Reason,
    Refusal,
    Why,
    decide,
)
from service.events import AlertState

FIRING = AlertState.FIRING
NAMES = ("Ada", "Ben", "Cem")

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def actions(draw: st.DrawFn) -> Action:
    return Action(
        id=draw(st.sampled_from("abcdefgh")),
        kind=draw(st.sampled_from(ActionKind)),
        by=draw(st.sampled_from(NAMES)),
        to=draw(st.sampled_from(NAMES)),
        text=draw(st.text(min_size=1, max_size=5)),
        why=draw(st.sampled_from(Why)),
        undoes=draw(st.sampled_from("abcdefgh")),
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[AlertState, Handling, LastAction | None, float]:
    """An alert after some actions at growing times."""
    state = draw(st.sampled_from(AlertState))
    handling, last, now = Handling(), None, 1000.0
    for action in draw(st.lists(actions(), max_size=6)):
        now += draw(st.floats(0, 10))
        decision = decide(state, handling, last, action, now)
        if isinstance(decision, Decision):
            handling, last = decision.handling, decision.last
    return state, handling, last, now


@patient
@given(histories(), actions())
def test_a_holder_loses_an_alert_by_their_own_doing_or_a_taking_over_only(
    history: tuple[AlertState, Handling, LastAction | None, float], action: Action
) -> None:
    state, handling, last, now = history
    decision = decide(state, handling, last, action, now)
    if handling.taken_by is None or isinstance(decision, Refusal):
        return
    if action.by != handling.taken_by:
        is_undo = action.kind is ActionKind.UNDO and last is not None and last.by == action.by
        is_over = action.kind is ActionKind.TAKE_OVER
        assert decision.handling.taken_by == handling.taken_by or is_undo or is_over
        assert decision.handling.dismissed_by == handling.dismissed_by or is_undo


@patient
@given(histories(), st.sampled_from(NAMES))
def test_who_takes_has_it_or_is_told_who_does(
    history: tuple[AlertState, Handling, LastAction | None, float], name: str
) -> None:
    state, handling, last, now = history
    decision = decide(state, handling, last, Action("new", ActionKind.TAKE, name), now)
    if isinstance(decision, Decision):
        assert decision.handling.taken_by == name
        assert state in FIRED
        return
    match decision.reason:
        case Reason.NOT_FIRED:
            assert state not in FIRED
        case Reason.DISMISSED:
            assert (decision.by, decision.at) == (handling.dismissed_by, handling.dismissed_at)
        case other:
            assert other is Reason.TAKEN
            assert (decision.by, decision.at) == (handling.taken_by, handling.taken_at)
            assert decision.by != name
    assert decision.by is None or decision.by in decision.got


@patient
@given(histories(), actions(), st.floats(0, UNDO_WITHIN_S))
def test_an_action_undone_at_once_leaves_what_was_there_before(
    history: tuple[AlertState, Handling, LastAction | None, float], action: Action, later_s: float
) -> None:
    state, handling, last, now = history
    if action.kind is ActionKind.UNDO:
        return
    done = decide(state, handling, last, action, now)
    if isinstance(done, Refusal):
        return
    undo = Action("undo", ActionKind.UNDO, action.by, undoes=action.id)
    undone = decide(state, done.handling, done.last, undo, now + later_s - 1e-6)
    assert undone == Decision(handling, None)

    others = replace(undo, by=next(name for name in NAMES if name != action.by))
    refused = decide(state, done.handling, done.last, others, now)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.by) == (Reason.NOT_ONES_OWN, action.by)

    late = decide(state, done.handling, done.last, undo, now + UNDO_WITHIN_S + 0.01)
    assert isinstance(late, Refusal)
    assert late.reason is Reason.TOO_LATE


@patient
@given(histories())
def test_a_handling_survives_its_storing(
    history: tuple[AlertState, Handling, LastAction | None, float],
) -> None:
    handling = history[1]
    assert Handling.from_fields({**handling.to_fields(), "state": "firing"}) == handling


def test_an_alert_is_taken_handed_over_noted_and_dismissed() -> None:
    handling, last = Handling(), None
    for now, action in enumerate(
        (
            Action("1", ActionKind.TAKE, "Ada"),
            Action("2", ActionKind.TAKE, "Ada"),
            Action("3", ActionKind.HAND_OVER, "Ada", to="Ben"),
            Action("4", ActionKind.NOTE, "Cem", text="calls back at noon"),
            Action("5", ActionKind.DISMISS, "Ben", why=Why.NOT_THE_CALLER),
        )
    ):
        decision = decide(FIRING, handling, last, action, float(now))
        assert isinstance(decision, Decision), decision
        handling, last = decision.handling, decision.last
        if now == 1:
            assert (handling.taken_by, handling.taken_at) == ("Ada", 0.0)
    assert handling == Handling(
        "Ben", 2.0, "Ada", "calls back at noon", "Cem", 3.0, Why.NOT_THE_CALLER, "Ben", 4.0
    )


@pytest.mark.parametrize(
    ("handling", "action", "reason"),
    [
        (Handling(), Action("1", ActionKind.HAND_OVER, "Ada", to="Ben"), Reason.NOT_TAKEN),
        (
            Handling(taken_by="Ada", taken_at=1.0),
            Action("1", ActionKind.HAND_OVER, "Ada", to="Ada"),
            Reason.TO_ONESELF,
        ),
        (
            Handling(taken_by="Ada", taken_at=1.0),
            Action("1", ActionKind.DISMISS, "Ben", why=Why.OTHER),
            Reason.TAKEN,
        ),
        (Handling(), Action("1", ActionKind.UNDO, "Ada", undoes="0"), Reason.NOT_THE_LAST),
    ],
)
def test_a_refusal_says_why(handling: Handling, action: Action, reason: Reason) -> None:
    refusal = decide(FIRING, handling, None, action, 2.0)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


def test_an_alert_is_taken_over_from_its_holder_and_that_is_undone() -> None:
    taken = Handling(taken_by="Ada", taken_at=1.0, handed_over_by="Cem")
    over = decide(FIRING, taken, None, Action("1", ActionKind.TAKE_OVER, "Ben"), 2.0)
    assert isinstance(over, Decision)
    assert over.handling == Handling(taken_by="Ben", taken_at=2.0)
    back = decide(
        FIRING, over.handling, over.last, Action("2", ActionKind.UNDO, "Ben", undoes="1"), 3.0
    )
    assert isinstance(back, Decision)
    assert back.handling == taken


@pytest.mark.parametrize(
    "kind",
    [kind for kind in ActionKind if kind not in (ActionKind.TAKE, ActionKind.TAKE_OVER)],
)
def test_an_action_without_its_own_field_is_refused(kind: ActionKind) -> None:
    with pytest.raises(ValueError, match=f"got an action {kind} without"):
        Action("1", kind, "Ada")
