"""What calls write, typed: one class for each function of write.lua.

An entry is serialised once, by `serialize`: on its way into the outbox or, if it never enters the
outbox, on its way to Redis. Times named `at` are the wall clock in epoch seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple, Protocol

from service.events import CallStarted, Transition
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
        }


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

    def arguments(self) -> Mapping[str, object]:
        step = {field.name: getattr(self.transition, field.name) for field in fields(Transition)}
        return {"session": self.session, "at": self.at, **step}


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
