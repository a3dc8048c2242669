"""The event entities that a session sends to its client, rationed in call time."""

from collections import deque
from collections.abc import Mapping
from typing import Any

from service.events import AlertState, CallSummary, Reading, Track, Transition
from service.telephony.shared.payload import alert_payload, reading_payload, summary_payload

MAX_ENTITIES = 16
EVENT_EVERY_S = 1.0  # of call time: the client limits events a second and reports error 429

Entity = Mapping[str, Any]


class EntityQueue:
    """The entities that are not sent yet; one `event` message carries them all.

    Events are at least `every_s` of call time apart, unless a message that ends the session or a
    `pong` is sent anyway. When `max_entities` are queued the oldest is dropped.
    """

    def __init__(self, every_s: float = EVENT_EVERY_S, max_entities: int = MAX_ENTITIES) -> None:
        self._every_s = every_s
        self._entities: deque[Entity] = deque(maxlen=max_entities)
        self._next_event_s = 0.0

    def __len__(self) -> int:
        return len(self._entities)

    def add(self, entity: Entity) -> bool:
        """Adds an entity; returns False if the oldest was dropped for it."""
        has_room = len(self._entities) != self._entities.maxlen
        self._entities.append(entity)
        return has_room

    def take_due(self, position_s: float) -> tuple[Entity, ...]:
        """Removes and returns all entities if an event may be sent at `position_s` of the call."""
        if position_s < self._next_event_s:
            return ()
        self._next_event_s = position_s + self._every_s
        return self.take()

    def take(self) -> tuple[Entity, ...]:
        """Removes and returns all entities."""
        entities = tuple(self._entities)
        self._entities.clear()
        return entities


class CallTotals:
    """The readings and alerts of a call so far, for the entities of `kanjo.summary`.

    Args:
        summary_every_s: seconds of call time from one summary to the next.
    """

    def __init__(self, summary_every_s: float) -> None:
        self._summary_every_s = summary_every_s
        self._next_summary_s = summary_every_s
        self._latest: dict[Track, Reading] = {}
        self._readings = self._alerts = 0

    def reading(self, reading: Reading) -> Entity | None:
        """Adds a reading; returns a summary if one is due at the reading's end."""
        self._readings += 1
        self._latest[reading.track] = reading
        if reading.end_s < self._next_summary_s:
            return None
        self._next_summary_s = reading.end_s + self._summary_every_s
        latest = {track: reading_payload(one) for track, one in self._latest.items()}
        keys = ("start_s", "end_s", "probabilities")
        return _entity(
            "kanjo.summary",
            at_s=reading_payload(reading)["end_s"],
            readings=self._readings,
            alerts=self._alerts,
            latest={track: {key: one[key] for key in keys} for track, one in latest.items()},
        )

    def alert(self, transition: Transition) -> Entity | None:
        """Adds a transition; returns an entity if it is one that is sent.

        Only alerts that fire or resolve are sent, because the client limits events.
        """
        if transition.state not in (AlertState.FIRING, AlertState.RESOLVED):
            return None
        self._alerts += transition.state is AlertState.FIRING
        return _entity("kanjo.alert", **alert_payload(transition))


def stopped_entity(reason: str, summary: CallSummary) -> Entity:
    """Returns the last entity of a call."""
    return _entity("kanjo.stopped", reason=reason, **summary_payload(summary))


def _entity(kind: str, **data: Any) -> Entity:
    return {"type": kind, "data": data}
