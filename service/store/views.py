"""What the store gives back: the bodies that the service answers with and sends to live pages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, computed_field

from model.labels import Emotion, sounds
from service.events import AlertState, Track


class ReadingView(BaseModel, frozen=True):
    """How one window sounded."""

    call_id: str
    number: int
    track: Track
    start_s: float
    end_s: float
    heard_s: float
    probabilities: dict[Emotion, float]
    at: float  # wall clock, epoch seconds


class AlertView(BaseModel, frozen=True):
    """Where one alert stands."""

    alert_id: str
    call_id: str
    track: Track
    emotion: Emotion
    state: AlertState
    since_s: float
    fired_at_s: float | None = None
    resolved_at_s: float | None = None
    at: float | None = None  # wall clock, epoch seconds, when it fired
    peak: float
    probability: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        return sounds(self.emotion, self.peak)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Of the fields as Redis holds them."""
        return cls.model_validate({**fields, "at": fields.get("fired_at")})


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
    metadata: dict[str, str]
    state: Literal["live", "ended"]
    started_at: float  # wall clock, epoch seconds
    ended_at: float | None = None
    reason: str | None = None
    duration_s: float | None = None  # of a live call: as far as it has been read
    last: dict[Track, ReadingView]

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Of the fields as Redis holds them."""
        return cls.model_validate(
            {
                **fields,
                "tracks": json.loads(fields["tracks"]),
                "metadata": json.loads(fields["metadata"]),
                "last": {
                    name.removeprefix("last:"): json.loads(data)
                    for name, data in fields.items()
                    if name.startswith("last:")
                },
            }
        )


class CallDetail(CallView, frozen=True):
    """One call with all that was made of it."""

    readings: list[ReadingView]
    alerts: list[AlertView]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something a live page shows. `resync`: events are missing here, read everything anew."""

    id: str
    kind: Literal["call_started", "reading", "alert", "call_ended", "resync"]
    data: str  # JSON: a CallView, ReadingView, AlertView, CallView, {}
