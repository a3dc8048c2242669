"""A notice on its way to one receiver."""

from dataclasses import dataclass

from service.webhooks.notice import Notice


@dataclass(slots=True, eq=False)
class Delivery:
    """One notice for one receiver, which waits, or is a dead letter once `problem` is set."""

    id: int  # greater than those of all earlier deliveries
    receiver: str
    notice: Notice
    attempts: int = 0  # that have ended
    problem: str | None = None  # why it will not be sent again by itself; no content
    dead_at: float | None = None  # wall clock, epoch seconds
    not_before: float = 0.0  # on the worker's clock; not kept

    @property
    def dead(self) -> bool:
        return self.problem is not None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up, without its content."""

    id: int
    receiver: str
    message: str  # the notice's id, as the receiver knows it
    state: str
    problem: str
    attempts: int
    at: float  # wall clock, epoch seconds, when the alert took this step
    dead_at: float

    @classmethod
    def of(cls, delivery: Delivery) -> "DeadLetter":
        """Returns what may be shown of a dead delivery."""
        notice = delivery.notice
        return cls(
            id=delivery.id,
            receiver=delivery.receiver,
            message=notice.id,
            state=notice.state,
            problem=delivery.problem or "",
            attempts=delivery.attempts,
            at=notice.at,
            dead_at=delivery.dead_at or 0.0,
        )
