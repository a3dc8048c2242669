"""Live calls of another service on the same Redis: their readings and alerts, without any audio."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from model.labels import Emotion
from service.events import AlertState, CallFacts, CallStarted, Reading, Track, Transition
from service.store.store import Store

BEGAN_AGO_S = 120.0
PAST_ALERTS = 200  # as many as the page keeps
FIRING_S = 30.0  # how long an alert fires
TICK_S = 0.05
ANGRY = {Emotion.ANGER: 0.86, Emotion.HAPPINESS: 0.02, Emotion.SADNESS: 0.02, Emotion.NEUTRAL: 0.1}
CALM = {Emotion.ANGER: 0.1, Emotion.HAPPINESS: 0.1, Emotion.SADNESS: 0.2, Emotion.NEUTRAL: 0.6}


@dataclass(slots=True)
class LiveCall:
    """One call: its session's name is its id."""

    call_id: str
    readings: int = 0
    heard_to_s: float = 0.0

    @property
    def started(self) -> CallStarted:
        number = self.call_id.removeprefix("call-")
        facts = CallFacts(
            caller_number=f"+49 30 1000{number}", queue=f"queue {int(number) % 7}", agent="Ann Lee"
        )
        return CallStarted(self.call_id, "twilio", (Track.CALLER,), 8000, facts=facts)


class LiveCalls:
    """Writes what calls leave behind to a store.

    Args:
        store: of this process; the service reads what it writes.
        calls: how many are live.
        alerts_a_minute: how many alerts of anger fire, each in another call.
    """

    def __init__(self, store: Store, calls: int, alerts_a_minute: float) -> None:
        self.fired_at: dict[str, float] = {}  # by call id, epoch seconds: when the last one fired
        self._store = store
        self._calls = [LiveCall(f"call-{number:03}") for number in range(calls)]
        self._every_s = 60 / alerts_a_minute
        self._began_at = time.time() - BEGAN_AGO_S
        self._angry: Iterator[LiveCall] = itertools.cycle(self._calls)
        self._numbers = itertools.count()

    async def begin(self) -> None:
        """Starts the calls, with alerts of the past, and waits until Redis has them."""
        for call in self._calls:
            self._store.call_started(call.call_id, call.started, self._began_at)
        for _ in range(PAST_ALERTS):
            self._end(self._fire())
        self.fired_at.clear()
        assert await self._store.flush(60)

    async def run(self, seconds: float, speed: float = 1.0) -> None:
        """Reads each call once a second of call time, which passes at `speed`; alerts fire.

        Returns when they are over and Redis has everything.
        """
        began = time.monotonic()
        firing: list[tuple[float, Transition]] = []
        read, fired = 0, 0
        while (passed_s := time.monotonic() - began) < seconds:
            while read < passed_s * speed * len(self._calls):
                self._read(self._calls[read % len(self._calls)])
                read += 1
            if fired <= passed_s / self._every_s:
                firing.append((passed_s + FIRING_S, self._fire()))
                fired += 1
            while firing and firing[0][0] < passed_s:
                self._end(firing.pop(0)[1])
            await asyncio.sleep(TICK_S)
        for _, alert in firing:
            self._end(alert)
        assert await self._store.flush(60)

    def _read(self, call: LiveCall) -> None:
        start_s = call.heard_to_s
        call.readings += 1
        call.heard_to_s += 1.0
        probabilities = ANGRY if call.readings % 20 < 4 else CALM
        reading = Reading(
            call.call_id,
            call.readings,
            Track.CALLER,
            max(0.0, start_s - 6.5),
            call.heard_to_s,
            1.0,
            probabilities,
        )
        self._store.reading(call.call_id, reading, time.time())

    def _fire(self) -> Transition:
        call = next(self._angry)
        since_s = max(0.0, call.heard_to_s - 4)
        alert_id = f"{call.call_id}-caller-anger-{next(self._numbers)}"
        pending = Transition(
            alert_id,
            1,
            call.call_id,
            Track.CALLER,
            Emotion.ANGER,
            AlertState.PENDING,
            since_s,
            since_s,
            0.8,
            0.8,
        )
        firing = replace(pending, number=2, state=AlertState.FIRING, at_s=call.heard_to_s, peak=0.9)
        self._store.transition(call.call_id, pending, time.time())
        self.fired_at[call.call_id] = time.time()
        self._store.transition(call.call_id, firing, time.time())
        return firing

    def _end(self, firing: Transition) -> None:
        over = replace(firing, number=3, state=AlertState.RESOLVED, at_s=firing.at_s + FIRING_S)
        self._store.transition(firing.call_id, over, time.time())
