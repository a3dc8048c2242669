"""What the store returns: the bodies of HTTP responses and of the events sent to live pages."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, Field, computed_field

from model.labels import Emotion, sounds
from service.alerts.lifecycle import HANDLING, Handling, Why
from service.events import AlertState, CallFacts, Consent, Track

CALL_ALERTS_LIMIT = 200  # of one call, that its view holds


class ReadingView(BaseModel, frozen=True):
    """How one window sounds."""

    call_id: str
    number: int
    track: Track
    start_s: float
    end_s: float
    heard_s: float  # speech that no earlier reading of this track covered
    probabilities: dict[Emotion, float]
    at: float  # wall clock, epoch seconds


class TakenView(BaseModel, frozen=True):
    """Who has taken an alert, since when, and who handed it over to them."""

    by: str
    at: float  # wall clock, epoch seconds
    handed_over_by: str | None = None


class NoteView(BaseModel, frozen=True):
    """The last note about an alert."""

    text: str
    by: str
    at: float  # wall clock, epoch seconds


class DismissedView(BaseModel, frozen=True):
    """Who dismissed an alert, and why."""

    why: Why
    by: str
    at: float  # wall clock, epoch seconds


class AlertView(BaseModel, frozen=True):
    """The present state of one alert: what the voice did, and what people did."""

    alert_id: str
    version: int = 0  # grows with every change
    session: str | None = None  # of its call
    call_id: str
    queue: str | None = None
    track: Track
    emotion: Emotion
    state: AlertState
    since_s: float  # where the episode began, in call time
    fired_at_s: float | None = None  # in call time
    resolved_at_s: float | None = None  # in call time
    at: float | None = None  # wall clock, epoch seconds, when it fired
    peak: float  # the highest smoothed probability of the episode so far
    probability: float  # smoothed, at the last transition
    fire_at: float | None = None  # the threshold of its rule, at the last transition
    taken: TakenView | None = None
    note: NoteView | None = None
    dismissed: DismissedView | None = None
    muted_until: float | None = None  # epoch seconds; None: it never was. Until then it is no alarm

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        """The alert in words for people: `sounds angry (0.83)`."""
        return sounds(self.emotion, self.peak)

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> Self:
        """Builds the view from the fields of the hash in Redis."""
        did = Handling.from_fields(fields)
        return cls.model_validate(
            {
                **{name: fields[name] for name in fields.keys() - HANDLING},
                "at": fields.get("fired_at"),
                "taken": did.taken_by
                and {"by": did.taken_by, "at": did.taken_at, "handed_over_by": did.handed_over_by},
                "note": did.noted_by and {"text": did.note, "by": did.noted_by, "at": did.noted_at},
                "dismissed": did.dismissed_by
                and {"why": did.dismissed_why, "by": did.dismissed_by, "at": did.dismissed_at},
            }
        )


class HeartbeatView(BaseModel, frozen=True):
    """That a service lives, and how complete its view of the calls is."""

    at: float  # wall clock of the service, epoch seconds
    every_s: float  # how often it is sent
    start_id: str  # another one after each start of the service
    started_at: float  # wall clock, epoch seconds
    redis: Literal["up", "away"]  # away: no event comes, whatever happens in calls
    oldest_waiting_write_s: float  # 0: Redis has received everything
    live_calls: int  # of this service
    unconfirmed: list[str]  # sessions of live calls which no service confirms any more


class MuteView(BaseModel, frozen=True):
    """Alerts that are recorded but no alarms until a time: those that match all that is named."""

    mute_id: str
    session: str | None = None
    queue: str | None = None
    emotion: Emotion | None = None
    until: float  # wall clock, epoch seconds
    by: str
    at: float  # wall clock, epoch seconds, when it was set


class MutesView(BaseModel, frozen=True):
    """All mutes that have not ended, the first to end first."""

    mutes: list[MuteView]

    @classmethod
    def at(cls, mutes: Iterable[MuteView], now: float) -> Self:
        """Returns those of the mutes that have not ended."""
        there = [mute for mute in mutes if mute.until > now]
        return cls(mutes=sorted(there, key=lambda mute: (mute.until, mute.mute_id)))


class AlertPage(BaseModel, frozen=True):
    """Alerts that fired, newest first; `next` is the `before` of the page that follows."""

    alerts: list[AlertView]
    next: str | None


class CallView(BaseModel, frozen=True):
    """One call, with the last reading of each track."""

    call_id: str
    session: str
    bridge: str
    tracks: list[Track]
    metadata: dict[str, str]  # what is no fact
    facts: CallFacts = CallFacts()  # an agent only of live calls
    consent: Consent = Consent.UNKNOWN
    state: Literal["live", "ended"]
    started_at: float  # wall clock, epoch seconds
    ended_at: float | None = None
    reason: str | None = None
    duration_s: float | None = None  # of a live call: up to the end of its last reading
    last: dict[Track, ReadingView]

    @classmethod
    def from_hash(cls, fields: Mapping[str, str]) -> Self:
        """Builds the view from the fields of the hash in Redis."""
        return cls.model_validate(
            {
                **fields,
                "tracks": json.loads(fields["tracks"]),
                "metadata": json.loads(fields["metadata"]),
                "facts": {**json.loads(fields.get("facts", "{}")), "agent": fields.get("agent")},
                "last": {
                    name.removeprefix("last:"): json.loads(data)
                    for name, data in fields.items()
                    if name.startswith("last:")
                },
            }
        )


class CallPage(BaseModel, frozen=True):
    """Calls, the live ones first, then the newest.

    A page may be shorter than its limit. A call that ends between two pages may be on both.
    """

    calls: list[CallView]
    next: str | None = Field(description="`before` of the page that follows; null after the last")


class CallDetail(CallView, frozen=True):
    """One call with its latest readings, or those before them, and its alerts."""

    readings: list[ReadingView] = Field(description="in their order")
    next: str | None = Field(
        description="`before` of the page with the readings before these; null if there are none"
    )
    alerts: list[AlertView] = Field(description=f"in their order, the last {CALL_ALERTS_LIMIT}")


class CallErased(BaseModel, frozen=True):
    """A session of which nothing is kept any more."""

    session: str


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that a live page shows.

    `resync` stands where events are missing: the page must load everything again. A `heartbeat` has
    no id, and means that the service lives.
    """

    id: str
    kind: Literal[
        "call_started",
        "reading",
        "alert",
        "mutes",
        "call_ended",
        "call_erased",
        "resync",
        "heartbeat",
    ]
    # JSON: a CallView, ReadingView, AlertView, MutesView, CallView, CallErased, {}, HeartbeatView
    data: str
