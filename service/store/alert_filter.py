"""Which alerts of the past are asked for."""

from dataclasses import dataclass

from model.labels import Emotion
from service.store.views import AlertView


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Alerts that fired in a span of time and match whatever else is given.

    Args:
        since, until: of firing, epoch seconds, `until` not included; None: no bound.
        queue, emotion, call_id: exactly this; None: any.
    """

    since: float | None = None
    until: float | None = None
    queue: str | None = None
    emotion: Emotion | None = None
    call_id: str | None = None

    def matches(self, alert: AlertView) -> bool:
        """Returns whether an alert is one of those."""
        at = alert.at or 0.0
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and self.queue in (None, alert.queue)
            and self.emotion in (None, alert.emotion)
            and self.call_id in (None, alert.call_id)
        )

    def is_before(self, alert: AlertView) -> bool:
        """Returns whether an alert fired before the span, as do all older ones."""
        return self.since is not None and (alert.at or 0.0) < self.since
