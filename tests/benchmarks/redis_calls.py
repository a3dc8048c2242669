"""What calls write to a store, with names, numbers and probabilities as long as real ones."""

import time
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from model.labels import Emotion
from service.events import AlertState, CallFacts, CallStarted, Reading, Track, Transition
from service.store.store import Store

STATES = (AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED)
SPEAKS_S = 2.13  # of call time from one reading to the next


@dataclass(slots=True)
class RedisCall:
    """One call, as Twilio names it."""

    session: str
    readings: int = 0
    heard_to_s: float = 0.0

    @property
    def call_id(self) -> str:
        return f"CA{self.session}"

    @property
    def started(self) -> CallStarted:
        facts = CallFacts(
            caller_number="+493012345678",
            called_number="+498009876543",
            queue="contracts and invoices",
            agent="Ann Lee",
            language="de",
        )
        metadata = {"campaign": "spring", "account": f"AC{self.session}"}
        return CallStarted(self.call_id, "twilio", (Track.CALLER,), 8000, metadata, facts)


class RedisCalls:
    """Writes what calls leave behind, one thing after the other.

    Args:
        store: takes the writes.
        calls: how many there are.
        seed: decides ids and probabilities.
    """

    def __init__(self, store: Store, calls: int, seed: int = 0) -> None:
        self._store = store
        self._rng = np.random.default_rng(seed)
        self.calls = [RedisCall(UUID(bytes=self._rng.bytes(16)).hex) for _ in range(calls)]

    def start(self, call: RedisCall) -> None:
        """Writes the start of a call."""
        self._store.call_started(call.session, call.started, time.time())

    def read(self, call: RedisCall) -> None:
        """Adds the next reading to a call."""
        call.readings += 1
        call.heard_to_s += SPEAKS_S
        shares = self._rng.dirichlet(np.ones(len(Emotion))).astype(np.float32).tolist()
        reading = Reading(
            call.call_id,
            call.readings,
            Track.CALLER,
            round(max(0.0, call.heard_to_s - 7.5), 2),
            round(call.heard_to_s, 2),
            1.0,
            dict(zip(Emotion, shares, strict=True)),
        )
        self._store.reading(call.session, reading, time.time())

    def step(self, call: RedisCall, number: int) -> None:
        """Takes the call's alert to its step `number`: 0, 1 or 2."""
        probability, peak = self._rng.uniform(0.5, 1.0, 2).tolist()
        step = Transition(
            f"{call.session}-caller-anger-1",
            number + 1,
            call.call_id,
            Track.CALLER,
            Emotion.ANGER,
            STATES[number],
            12.34,
            15.47 + number,
            probability,
            peak,
            0.62,
        )
        self._store.transition(call.session, step, time.time(), queue="contracts and invoices")

    def end(self, call: RedisCall) -> None:
        """Writes the end of a call."""
        self._store.call_ended(
            call.session, call.call_id, "completed", call.heard_to_s, time.time()
        )
