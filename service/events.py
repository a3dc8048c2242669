"""What flows through a call: facts from the bridge, readings of windows, transitions of alerts.

Times named `*_s` are call time: seconds of audio since the track's first sample, gaps included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from model.labels import Emotion, sounds

Pcm = NDArray[np.int16]


class Track(StrEnum):
    """Whose voice. The agent's is not analysed unless a purpose for it is recorded."""

    CALLER = "caller"
    AGENT = "agent"


# What a bridge tells the call.


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The first fact of every call; nothing is heard before it."""

    call_id: str
    bridge: str
    tracks: tuple[Track, ...]
    sample_rate: int
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audio:
    """The next samples of one track."""

    track: Track
    pcm: Pcm  # (n,) int16 at the call's sample rate


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples of one track that never came: time passes, nothing is heard."""

    track: Track
    samples: int


@dataclass(frozen=True, slots=True)
class CallStopped:
    """The last fact of every call."""

    reason: str


Event = CallStarted | Audio | Gap | CallStopped


# What the call makes of it.


@dataclass(frozen=True, slots=True)
class Reading:
    """How one window of one track sounds."""

    call_id: str
    number: int  # 1, 2, 3, ... within the call, both tracks together
    track: Track
    start_s: float
    end_s: float
    heard_s: float  # speech that no earlier reading of this track covered
    probabilities: Mapping[Emotion, float]  # of the four emotions, summing to 1


class AlertState(StrEnum):
    """Where an alert stands. `lapsed` is a pending one that never fired."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One step in the life of one alert; (alert_id, number) names it for good."""

    alert_id: str
    number: int  # 1, 2, 3 within the alert
    call_id: str
    track: Track
    emotion: Emotion
    state: AlertState
    since_s: float  # where the episode began
    at_s: float  # where this step was taken
    probability: float  # smoothed, at this step
    peak: float  # the highest smoothed probability of the episode so far

    @property
    def text(self) -> str:
        """In words for people: `sounds angry (0.83)`, `no longer sounds angry (0.31)`."""
        over = self.state in (AlertState.RESOLVED, AlertState.LAPSED)
        said = sounds(self.emotion, self.probability)
        return f"no longer {said}" if over else said


@dataclass(frozen=True, slots=True)
class CallSummary:
    """What was made of a call."""

    duration_s: float
    speech_s: float
    readings: int
    alerts: int  # that fired
    dropped: int  # windows that were never read
