"""What receivers are sent of one step of an alert: no metadata, no agent, no whole numbers."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from service.events import AlertState, CallFacts, Transition

Hide = Callable[[str, Sequence[str]], str]  # masks these numbers, and others, in a text

MAX_ID_CHARS = 200  # of a call; the rest is left out


@dataclass(frozen=True, slots=True)
class Notice:
    """One step of an alert, as it is sent; `id` stays the same however often it is sent."""

    id: str
    at: float  # wall clock, epoch seconds
    alert_id: str
    session: str
    call_id: str  # numbers in it are masked
    bridge: str
    track: str
    emotion: str
    state: str
    probability: float  # smoothed
    peak: float
    since_s: float  # call time at which the episode began
    at_s: float  # call time of this step
    text: str  # `sounds angry (0.83)`
    queue: str | None
    language: str | None
    caller_number: str | None  # masked
    called_number: str | None  # masked

    @classmethod
    def of(
        cls,
        session: str,
        bridge: str,
        facts: CallFacts,
        transition: Transition,
        at: float,
        hide: Hide,
    ) -> "Notice":
        """Builds the notice of a transition."""
        numbers = [number for number in (facts.caller_number, facts.called_number) if number]
        return cls(
            id=f"{transition.alert_id}-{transition.number}",
            at=at,
            alert_id=transition.alert_id,
            session=session,
            call_id=hide(transition.call_id, numbers)[:MAX_ID_CHARS],
            bridge=bridge,
            track=str(transition.track),
            emotion=str(transition.emotion),
            state=str(transition.state),
            probability=round(transition.probability, 4),
            peak=round(transition.peak, 4),
            since_s=round(transition.since_s, 3),
            at_s=round(transition.at_s, 3),
            text=transition.text,
            queue=facts.queue and hide(facts.queue, numbers),
            language=facts.language,
            caller_number=facts.caller_number and hide(facts.caller_number, numbers),
            called_number=facts.called_number and hide(facts.called_number, numbers),
        )

    @property
    def over(self) -> bool:
        """Whether the alert ends with this step."""
        return self.state in (AlertState.RESOLVED, AlertState.LAPSED)

    @property
    def time(self) -> str:
        """When it happened, as RFC 3339 has it."""
        return datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")

    def fields(self) -> dict[str, Any]:
        """Returns the values of the notice by the names of its fields, as the spool keeps them."""
        return asdict(self)
