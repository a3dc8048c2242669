"""What calls write, typed: one class for each function of write.lua.

An entry is serialised by `serialize`, for the outbox as for Redis. Times named `at` are the wall
clock in epoch seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, NamedTuple, Protocol

from service.events import CallStarted, Consent, Transition
from service.store.views import ReadingView


class Entry(Protocol):
    """One write."""

    @property
    def kind(self) -> str:
        """The name of the function in write.lua."""

    @property
    def droppable(self) -> bool:
        """Whether a full queue may drop this entry to make room."""

    def arguments(self) -> Mapping[str, object]:
        """Returns the function's arguments by name; `str` of each is what Redis receives."""


class Command(NamedTuple):
    """A serialised entry."""

    kind: str
    arguments: list[str]  # name, value, name, value, ...


def serialize(entry: Entry) -> Command:
    """Returns the entry as the text that write.lua takes."""
    flat = [text for name, value in entry.arguments().items() for text in (name, str(value))]
    return Command(entry.kind, flat)


class BadEntry(ValueError):
    """A serialised entry that Redis must not be given; its text holds nothing of the entry."""


JSON_ARGUMENTS = ("tracks", "metadata", "facts", "data")


def deserialize(kind: object, body: object) -> Command:
    """Returns the command that was stored as bytes or text.

    Raises:
        BadEntry: the bytes are not what `serialize` makes.
    """
    try:
        name = bytes.decode(kind) if isinstance(kind, bytes) else kind
        arguments = json.loads(body) if isinstance(body, bytes | str) else None
    except (ValueError, RecursionError):
        raise BadEntry("got a body that is not JSON, expected a list of arguments") from None
    if not isinstance(name, str) or name not in KINDS:
        raise BadEntry(f"got an unknown kind, expected one of {', '.join(sorted(KINDS))}")
    if not isinstance(arguments, list) or len(arguments) % 2 or not _are_texts(arguments):
        raise BadEntry("got a body of another form, expected a list of names and texts")
    for argument, value in zip(arguments[::2], arguments[1::2], strict=True):
        if argument in JSON_ARGUMENTS and not _is_json(value):
            raise BadEntry(f"got the argument {argument} as another text, expected JSON")
    return Command(name, arguments)


def _are_texts(arguments: list[object]) -> bool:
    return all(isinstance(argument, str) for argument in arguments)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class CallStartedEntry:
    """A session begins."""

    kind: ClassVar[str] = "call_started"
    droppable: ClassVar[bool] = False
    session: str
    started: CallStarted
    at: float

    def arguments(self) -> Mapping[str, object]:
        return {
            "session": self.session,
            "call_id": self.started.call_id,
            "bridge": self.started.bridge,
            "tracks": json.dumps(self.started.tracks),
            "metadata": json.dumps(dict(self.started.metadata)),
            "started_at": self.at,
            "consent": self.started.consent,
            **_facts(self.started),
        }


@dataclass(frozen=True, slots=True)
class CallJoinedEntry:
    """A live session has more tracks or metadata; `started` has all of them."""

    kind: ClassVar[str] = "call_joined"
    droppable: ClassVar[bool] = False
    session: str
    started: CallStarted

    def arguments(self) -> Mapping[str, object]:
        return {
            "session": self.session,
            "call_id": self.started.call_id,
            "tracks": json.dumps(self.started.tracks),
            "metadata": json.dumps(dict(self.started.metadata)),
            **_facts(self.started),
        }


def _facts(started: CallStarted) -> Mapping[str, str]:
    """Returns the facts that are known: the agent apart, because it is forgotten at the end."""
    known = {name: value for name, value in asdict(started.facts).items() if value is not None}
    agent = known.pop("agent", None)
    return {"facts": json.dumps(known), **({} if agent is None else {"agent": agent})}


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """A live session's caller agreed to be analysed."""

    kind: ClassVar[str] = "consent"
    droppable: ClassVar[bool] = False
    session: str
    call_id: str
    consent: Consent

    def arguments(self) -> Mapping[str, object]:
        return {"session": self.session, "call_id": self.call_id, "consent": self.consent}


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """A caller refused, so the session must be erased: the one entry that outlives its erasure."""

    kind: ClassVar[str] = "refused"
    droppable: ClassVar[bool] = False
    session: str
    call_id: str
    name: str  # who said so

    def arguments(self) -> Mapping[str, object]:
        return {"session": self.session, "call_id": self.call_id, "name": self.name}


@dataclass(frozen=True, slots=True)
class ReadingEntry:
    """A window of a call was read."""

    kind: ClassVar[str] = "reading"
    droppable: ClassVar[bool] = True
    session: str
    reading: ReadingView

    def arguments(self) -> Mapping[str, object]:
        return {
            "session": self.session,
            "call_id": self.reading.call_id,
            "number": self.reading.number,
            "track": self.reading.track,
            "end_s": self.reading.end_s,
            "data": self.reading.model_dump_json(),
        }


@dataclass(frozen=True, slots=True)
class TransitionEntry:
    """An alert took a step."""

    kind: ClassVar[str] = "transition"
    droppable: ClassVar[bool] = False
    session: str
    transition: Transition
    at: float
    queue: str | None = None
    policy_until: float | None = None  # until when the policy file mutes the alert

    def arguments(self) -> Mapping[str, object]:
        step = {field.name: getattr(self.transition, field.name) for field in fields(Transition)}
        more = {"queue": self.queue, "policy_until": self.policy_until}
        known = {name: value for name, value in more.items() if value is not None}
        if step["fire_at"] is None:
            del step["fire_at"]
        return {"session": self.session, "at": self.at, **step, **known}


@dataclass(frozen=True, slots=True)
class CallEndedEntry:
    """A session ends."""

    kind: ClassVar[str] = "call_ended"
    droppable: ClassVar[bool] = False
    session: str
    call_id: str
    reason: str
    duration_s: float
    at: float

    def arguments(self) -> Mapping[str, object]:
        return {
            "session": self.session,
            "call_id": self.call_id,
            "reason": self.reason,
            "duration_s": self.duration_s,
            "ended_at": self.at,
        }


@dataclass(frozen=True, slots=True)
class HeartbeatEntry:
    """A session is live now. Never queued: a late heartbeat would be a wrong one."""

    kind: ClassVar[str] = "heartbeat"
    droppable: ClassVar[bool] = False
    session: str
    call_id: str

    def arguments(self) -> Mapping[str, object]:
        return {"session": self.session, "call_id": self.call_id}


@dataclass(frozen=True, slots=True)
class SweepEntry:
    """Sessions without a heartbeat for `lost_after_s` are ended as lost. Never queued."""

    kind: ClassVar[str] = "sweep"
    droppable: ClassVar[bool] = False
    lost_after_s: float

    def arguments(self) -> Mapping[str, object]:
        return {"lost_after_s": self.lost_after_s}


KINDS: frozenset[str] = frozenset(
    entry.kind
    for entry in (
        CallStartedEntry,
        CallJoinedEntry,
        ConsentEntry,
        RefusedEntry,
        ReadingEntry,
        TransitionEntry,
        CallEndedEntry,
        HeartbeatEntry,
        SweepEntry,
    )
)
