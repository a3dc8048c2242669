"""The values that pass through a call: facts of a bridge, readings of windows, alert transitions.

Times named `*_s` are call time: seconds of audio since the track's first sample, gaps included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from model.labels import Emotion, sounds

Pcm = NDArray[np.int16]


class Track(StrEnum):
    """Whose voice a track is. The agent's is analysed only if a purpose for it is recorded."""

    CALLER = "caller"
    AGENT = "agent"


class Consent(StrEnum):
    """Whether the caller agreed to be analysed."""

    UNKNOWN = "unknown"
    GIVEN = "given"
    REFUSED = "refused"


# Facts: from the bridge to the call.


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call, in the same names for every provider; None: not known."""

    caller_number: str | None = None
    called_number: str | None = None
    queue: str | None = None
    agent: str | None = None  # a name, which is forgotten when the call ends
    language: str | None = None  # a tag of BCP 47: `de`, `en-US`
    call_url: str | None = None  # of the call's page in the PBX, http or https

    def extended(self, later: "CallFacts") -> "CallFacts":
        """Returns these facts, and those of `later` that are not known here."""
        return CallFacts(
            **{
                each.name: getattr(self, each.name) or getattr(later, each.name)
                for each in fields(self)
            }
        )


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The first fact of every call; no audio comes before it."""

    call_id: str
    bridge: str
    tracks: tuple[Track, ...]
    sample_rate: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    facts: CallFacts = CallFacts()  # those that metadata say, once `FactReader` has read them
    consent: Consent = Consent.UNKNOWN


@dataclass(frozen=True, slots=True)
class Audio:
    """The next samples of one track."""

    track: Track
    pcm: Pcm  # (n,) int16 at the call's sample rate


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples of one track that were lost: call time goes on without audio."""

    track: Track
    samples: int  # at the call's sample rate


@dataclass(frozen=True, slots=True)
class CallStopped:
    """The last fact of every call."""

    reason: str


Event = CallStarted | Audio | Gap | CallStopped


# Results: from the call to its listeners and the store.


@dataclass(frozen=True, slots=True)
class Reading:
    """How one window of one track sounds: the network's posterior, placed in the call."""

    call_id: str
    number: int  # 1, 2, 3, ... within the call, all tracks together
    track: Track
    start_s: float
    end_s: float
    heard_s: float  # seconds of its speech that no earlier reading of the track covered
    probabilities: Mapping[Emotion, float]  # of the four emotions, summing to 1


class AlertState(StrEnum):
    """The state of an alert; `lapsed` is the end of one that was pending and never fired."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an alert's state; (alert_id, number) identifies it."""

    alert_id: str
    number: int  # 1, 2, 3 within the alert
    call_id: str
    track: Track
    emotion: Emotion
    state: AlertState
    since_s: float  # when the episode began
    at_s: float  # when the state changed
    probability: float  # smoothed, at `at_s`
    peak: float  # the highest smoothed probability of the episode so far
    fire_at: float | None = None  # the threshold of the rule by which it came up

    @property
    def text(self) -> str:
        """A phrase for people: `sounds angry (0.83)`, `no longer sounds angry (0.31)`."""
        over = self.state in (AlertState.RESOLVED, AlertState.LAPSED)
        phrase = sounds(self.emotion, self.probability)
        return f"no longer {phrase}" if over else phrase


@dataclass(frozen=True, slots=True)
class CallSummary:
    """The counters of a call at its end."""

    duration_s: float
    speech_s: float
    readings: int
    alerts: int  # that fired
    dropped: int  # windows that were not scored
