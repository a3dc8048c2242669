"""What people do with an alert: take it, take it over, hand it over, note, dismiss it, undo that.

Pure: no clock, no I/O. The states that the voice gives an alert (`service/alerts/policy.py`) stay
as they are; what people do stands beside them. The same handling, action and time give the same
decision.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Self

from service.events import AlertState

UNDO_WITHIN_S = 5.0  # how long an action can be undone
FIRED = (AlertState.FIRING, AlertState.RESOLVED)  # states of an alert that has been an alarm


class ActionKind(StrEnum):
    """What a person does with an alert."""

    TAKE = "take"
    TAKE_OVER = "take_over"  # from whoever has it; the caller decides who may
    HAND_OVER = "hand_over"
    NOTE = "note"
    DISMISS = "dismiss"
    UNDO = "undo"


class Why(StrEnum):
    """The reason that a person gives for dismissing an alert."""

    NOT_ANGRY = "not_angry"  # the caller does not sound like that
    NOT_THE_CALLER = "not_the_caller"  # another voice, or none
    OTHER = "other"  # says nothing about the voice


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a person.

    Args:
        id: chosen by the client, so that a repeated request is known.
        kind: what is done.
        by: the name of who does it.
        to: of a handing over: the name of who has the alert from now on.
        text: of a note.
        why: of a dismissal.
        undoes: of an undo: the id of the action that is undone.

    Raises:
        ValueError: the kind's own field is missing.
    """

    id: str
    kind: ActionKind
    by: str
    to: str = ""
    text: str = ""
    why: Why | None = None
    undoes: str = ""

    def __post_init__(self) -> None:
        needed = {
            ActionKind.HAND_OVER: "to",
            ActionKind.NOTE: "text",
            ActionKind.DISMISS: "why",
            ActionKind.UNDO: "undoes",
        }.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"got an action {self.kind} without {needed}, expected one with it")


@dataclass(frozen=True, slots=True)
class Handling:
    """What people have done with an alert so far; times are epoch seconds."""

    taken_by: str | None = None  # who has it
    taken_at: float | None = None  # since when
    handed_over_by: str | None = None  # who gave it to them
    note: str | None = None  # the last one
    noted_by: str | None = None
    noted_at: float | None = None
    dismissed_why: Why | None = None
    dismissed_by: str | None = None
    dismissed_at: float | None = None

    def to_fields(self) -> dict[str, str]:
        """Returns what is there as texts by name, as a Redis hash holds it."""
        return {name: str(value) for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_fields(cls, texts: Mapping[str, str]) -> Self:
        """Returns the handling that such texts say; other names are ignored.

        Raises:
            ValueError: a text is no time, or no reason of a dismissal.
        """
        found: dict[str, object] = {name: texts[name] for name in HANDLING if name in texts}
        for name in ("taken_at", "noted_at", "dismissed_at"):
            if name in found:
                found[name] = float(texts[name])
        if "dismissed_why" in found:
            found["dismissed_why"] = Why(texts["dismissed_why"])
        return cls(**found)  # type: ignore[arg-type]


HANDLING = tuple(field.name for field in fields(Handling))


@dataclass(frozen=True, slots=True)
class LastAction:
    """The last action on an alert, and what undoes it."""

    id: str
    by: str
    at: float
    before: Handling


@dataclass(frozen=True, slots=True)
class Decision:
    """An action that is accepted: the handling after it, and what can be undone then."""

    handling: Handling
    last: LastAction | None


class Reason(StrEnum):
    """The rule by which `decide` refuses an action."""

    TAKEN = "taken"  # somebody else has the alert
    NOT_TAKEN = "not_taken"  # nobody has it
    DISMISSED = "dismissed"  # somebody has dismissed it
    NOT_FIRED = "not_fired"  # it is not, and never was, an alarm
    TO_ONESELF = "to_oneself"  # it was handed over to who hands it over
    NOT_THE_LAST = "not_the_last"  # an undo of an action that is not the alert's last one
    NOT_ONES_OWN = "not_ones_own"  # an undo of somebody else's action
    TOO_LATE = "too_late"  # an undo after the time for it


@dataclass(frozen=True, slots=True)
class Refusal:
    """An action that is refused. It has changed nothing.

    `got` and `expected` are phrases for people; `by` is whose doing stands in the way, and since
    when (epoch seconds), if it is somebody's.
    """

    reason: Reason
    got: str
    expected: str
    by: str | None = None
    at: float | None = None


def decide(
    state: AlertState,
    handling: Handling,
    last: LastAction | None,
    action: Action,
    now: float,
    undo_within_s: float = UNDO_WITHIN_S,
) -> Decision | Refusal:
    """Returns what an action makes of an alert, or why it is refused.

    Args:
        state: that the voice has given the alert.
        handling: what people have done with it so far.
        last: the last action on it, if it can be undone.
        action: what somebody does now.
        now: epoch seconds.
        undo_within_s: how long after an action its undo is accepted.
    """
    if action.kind is ActionKind.UNDO:
        return _undo(last, action, now, undo_within_s)
    if action.kind is not ActionKind.NOTE:
        if state not in FIRED:
            return Refusal(
                Reason.NOT_FIRED, f"an alert that is {state}", "one that is firing or has fired"
            )
        if handling.dismissed_by is not None:
            return Refusal(
                Reason.DISMISSED,
                f"an alert that {handling.dismissed_by} has dismissed",
                "one that is not dismissed",
                handling.dismissed_by,
                handling.dismissed_at,
            )
        if action.kind is not ActionKind.TAKE_OVER and handling.taken_by not in (None, action.by):
            return Refusal(
                Reason.TAKEN,
                f"an alert that {handling.taken_by} has taken",
                "one that nobody else has",
                handling.taken_by,
                handling.taken_at,
            )
    after = _after(handling, action, now)
    if isinstance(after, Refusal):
        return after
    return Decision(after, LastAction(action.id, action.by, now, handling))


def _after(handling: Handling, action: Action, now: float) -> Handling | Refusal:
    """Returns the handling after an action that nobody else's doing stands in the way of."""
    match action.kind:
        case ActionKind.TAKE | ActionKind.TAKE_OVER:
            if handling.taken_by == action.by:
                return handling  # since when stays
            return replace(handling, taken_by=action.by, taken_at=now, handed_over_by=None)
        case ActionKind.HAND_OVER:
            if handling.taken_by is None:
                return Refusal(Reason.NOT_TAKEN, "an alert that nobody has", "one that you have")
            if action.to == action.by:
                return Refusal(Reason.TO_ONESELF, f"to {action.to!r}", "the name of somebody else")
            return replace(handling, taken_by=action.to, taken_at=now, handed_over_by=action.by)
        case ActionKind.NOTE:
            return replace(handling, note=action.text, noted_by=action.by, noted_at=now)
        case _:
            return replace(
                handling, dismissed_why=action.why, dismissed_by=action.by, dismissed_at=now
            )


def _undo(
    last: LastAction | None, action: Action, now: float, within_s: float
) -> Decision | Refusal:
    if last is None or last.id != action.undoes:
        by, at = (last.by, last.at) if last else (None, None)
        return Refusal(
            Reason.NOT_THE_LAST,
            f"undoes {action.undoes!r}",
            "the id of the last action on this alert, which is not an undo",
            by,
            at,
        )
    if last.by != action.by:
        return Refusal(
            Reason.NOT_ONES_OWN, f"an action of {last.by}", "one of your own", last.by, last.at
        )
    if now - last.at > within_s:
        return Refusal(
            Reason.TOO_LATE,
            f"an action of {now - last.at:.0f} s ago",
            f"one of the last {within_s:g} s",
            last.by,
            last.at,
        )
    return Decision(last.before, None)
