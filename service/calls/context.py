"""What all calls of one service share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.artifact import ArtifactMeta
from model.speech_check import SpeechCheck
from service.alerts.policy import AlertRule
from service.alerts.policy_file import Policy
from service.events import CallFacts, Transition
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.store.store import Store


class PolicySource(Protocol):
    """Where the policy in use comes from; another object after each change."""

    @property
    def current(self) -> Policy:
        """The policy that is in use now, as the file last had it without a mistake."""


class AlertListener(Protocol):
    """What gets the steps of all alerts, at the same time as the calls' connections."""

    def on_transition(
        self, session: str, bridge: str, facts: CallFacts, transition: Transition
    ) -> None:
        """Takes a step of an alert; must neither wait nor raise."""

    def forget(self, session: str) -> None:
        """Forgets a session, which is no longer analysed and is erased."""


class NoListener:
    """An AlertListener for where there are no receivers: it does nothing."""

    def on_transition(
        self, session: str, bridge: str, facts: CallFacts, transition: Transition
    ) -> None:
        """Does nothing with the step."""

    def forget(self, session: str) -> None:
        """Does nothing, because nothing was kept."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """The services, the settings and the clocks that every call uses."""

    meta: ArtifactMeta
    batcher: Batcher
    store: Store
    metrics: Metrics
    rules: Sequence[AlertRule]
    gate: bool  # False: all audio counts as speech
    first_s: float  # of speech before the first window of a stretch
    hop_s: float  # of speech from one window to the next
    check: SpeechCheck | None = None  # of each window that passed the gate
    consent_required: bool = False  # analyse nothing until the caller agreed
    wall_clock: Callable[[], float] = time.time  # Unix time, for the store
    clock: Callable[[], float] = time.monotonic  # for durations
    max_in_flight: int = 64  # windows of one stream that are queued or being scored
    keep_within_s: float = 0.25  # how long a step of an alert waits to be kept before it is sent
    policy: PolicySource | None = None  # of the policy file; None: there is none
    alerts: AlertListener = NoListener()
