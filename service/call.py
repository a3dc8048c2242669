"""One call's story: its audio becomes windows, its windows readings, its readings alerts."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import numpy as np

from model.artifact import ArtifactMeta
from model.audio import SAMPLE_RATE, Resampler
from service.alerts import AlertPolicy, AlertRule
from service.batcher import Batcher, WindowDropped
from service.errors import CallExists, Overloaded
from service.events import AlertState, Audio, CallStarted, Gap, Reading, Track, Transition
from service.metrics import Metrics
from service.scorer import Posterior
from service.store import Store
from service.windows import Window, WindowCutter

SLICE_S = 1.0  # of audio at most between two turns of the event loop
IN_FLIGHT_MAX = 64  # windows of one call; audio so much faster than real time is kept waiting
TICK_S = 1.0  # of silence
AT_EASE = 0.25  # pressure up to which the hop stays as it is
UNDER_PRESSURE = 3.0  # how many hops wider it is when windows are about to be dropped

_NOTHING = np.zeros(0, np.int16)

Listener = Callable[[Reading | Transition], None]


@dataclass(frozen=True, slots=True)
class Hearing:
    """What all calls have in common."""

    meta: ArtifactMeta
    batcher: Batcher
    store: Store
    metrics: Metrics
    rules: Sequence[AlertRule]
    gate: bool
    first_s: float
    hop_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What was made of a call."""

    duration_s: float
    speech_s: float
    readings: int
    alerts: int  # that fired
    dropped: int  # windows


@dataclass(frozen=True, slots=True)
class _Cut:
    """A window on its way through the batcher."""

    track: Track
    window: Window
    arrived: float  # monotonic, of its last sample
    answer: asyncio.Future[Posterior]


class _Ear:
    """One track, brought to 8 kHz and cut into windows."""

    def __init__(self, rate: int, hearing: Hearing) -> None:
        gate = hearing.meta.gate if hearing.gate else None
        self.rate = rate
        self.resampler = Resampler(rate)
        self.cutter = WindowCutter(hearing.meta.features, gate, hearing.first_s, hearing.hop_s)
        self.ticked_s = 0.0


class Call:
    """Heard while it lasts; `run` belongs to the connection that carries it."""

    def __init__(self, started: CallStarted, hearing: Hearing, listener: Listener) -> None:
        self.session = uuid4().hex
        self.call_id = started.call_id
        self._hearing = hearing
        self._listener = listener
        self._rate = started.sample_rate
        self._ears: dict[Track, _Ear] = {}
        self._policy = AlertPolicy(self.session, self.call_id, hearing.rules)
        self._cuts: deque[_Cut] = deque()
        self._cut = asyncio.Event()
        self._read = asyncio.Event()  # all cuts so far have been read
        self._read.set()
        self._readings = self._fired = self._dropped = 0
        hearing.store.call_started(self.session, started, time.time())

    async def hear(self, fact: Audio | Gap) -> None:
        """The next of a track. Gives way to other calls after every second of audio.

        When as many windows wait as one call may have, `hear` returns once they are read: whoever
        sends faster than that is not listened to meanwhile. `run` must be running.
        """
        ear = self._ears.get(fact.track)
        if ear is None:
            ear = self._ears[fact.track] = _Ear(self._rate, self._hearing)
        arrived = time.monotonic()
        if isinstance(fact, Gap):
            rest = ear.resampler.feed(_NOTHING, last=True)
            ear.resampler = Resampler(ear.rate)
            windows = [
                *ear.cutter.feed(rest),
                *ear.cutter.skip(round(fact.samples * SAMPLE_RATE / ear.rate)),
            ]
            self._submit(fact.track, windows, arrived)
        else:
            slice_samples = round(SLICE_S * ear.rate)
            for start in range(0, len(fact.pcm), slice_samples):
                if start:
                    await asyncio.sleep(0)
                ear.cutter.hop_s = self._hop_s()
                pcm = ear.resampler.feed(fact.pcm[start : start + slice_samples])
                self._submit(fact.track, ear.cutter.feed(pcm), arrived)
                if len(self._cuts) >= IN_FLIGHT_MAX:
                    await self._read.wait()
        self._tick(fact.track, ear)

    def _hop_s(self) -> float:
        """Wider under pressure: fewer windows rather than dropped ones."""
        pressed = max(0.0, self._hearing.batcher.pressure - AT_EASE) / (1 - AT_EASE)
        return self._hearing.hop_s * (1 + UNDER_PRESSURE * pressed)

    def _tick(self, track: Track, ear: _Ear) -> None:
        at_s = ear.cutter.position_s
        if at_s >= ear.ticked_s + TICK_S and self._read.is_set() and not ear.cutter.speaking:
            ear.ticked_s = at_s
            self._tell(self._policy.tick(track, at_s))

    def _submit(self, track: Track, windows: Sequence[Window], arrived: float) -> None:
        for window in windows:
            answer = self._hearing.batcher.submit(window.frames)
            self._cuts.append(_Cut(track, window, arrived, answer))
            self._read.clear()
            self._cut.set()

    def _count_dropped(self, reason: str) -> None:
        self._dropped += 1
        self._hearing.metrics.dropped.labels(reason).inc()

    async def run(self) -> None:
        """Reads the windows in their order, for ever."""
        while True:
            await self._cut.wait()
            cut = self._cuts[0]
            await asyncio.wait((cut.answer,))
            if not self._cuts:
                continue  # abandoned meanwhile
            self._cuts.popleft()
            try:
                self._hear_reading(cut, cut.answer.result())
            except WindowDropped as dropped:
                self._count_dropped(dropped.reason)
            if not self._cuts:
                self._cut.clear()
                self._read.set()

    def _hear_reading(self, cut: _Cut, posterior: Posterior) -> None:
        self._readings += 1
        reading = Reading(
            call_id=self.call_id,
            number=self._readings,
            track=cut.track,
            start_s=cut.window.start_s,
            end_s=cut.window.end_s,
            heard_s=cut.window.heard_s,
            probabilities=posterior.emotion,
        )
        self._hearing.store.reading(self.session, reading, time.time())
        self._listener(reading)
        metrics = self._hearing.metrics
        metrics.readings.labels(cut.track).inc()
        metrics.lateness.observe(time.monotonic() - cut.arrived)
        self._tell(self._policy.hear(reading))

    def _tell(self, steps: Sequence[Transition]) -> None:
        for step in steps:
            self._fired += step.state is AlertState.FIRING
            self._hearing.store.transition(self.session, step, time.time())
            self._hearing.metrics.alerts.labels(step.emotion, step.state).inc()
            self._listener(step)

    async def end(self, reason: str) -> Summary:
        """No more audio comes: what was heard is read, open alerts end. `run` must be running."""
        for track, ear in self._ears.items():
            arrived = time.monotonic()
            rest = ear.resampler.feed(_NOTHING, last=True)
            windows = [*ear.cutter.feed(rest), *ear.cutter.end()]
            self._submit(track, windows, arrived)
        await self._read.wait()
        return self.abandon(reason)

    def abandon(self, reason: str) -> Summary:
        """Ends at once; windows not read yet never will be."""
        for cut in self._cuts:
            cut.answer.cancel()
            self._count_dropped("hung_up")
        self._cuts.clear()
        self._cut.clear()
        self._read.set()
        duration_s = max((ear.cutter.position_s for ear in self._ears.values()), default=0.0)
        self._tell(self._policy.end(duration_s))
        self._hearing.store.call_ended(self.session, self.call_id, reason, duration_s, time.time())
        return Summary(
            duration_s=duration_s,
            speech_s=sum(ear.cutter.speech_s for ear in self._ears.values()),
            readings=self._readings,
            alerts=self._fired,
            dropped=self._dropped,
        )


class Calls:
    """The calls under way: at most `max_calls`, each id once."""

    def __init__(self, hearing: Hearing, max_calls: int) -> None:
        self.hearing = hearing
        self._max_calls = max_calls
        self._live: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._live)

    def open(self, started: CallStarted, listener: Listener) -> Call:
        """Takes a call.

        Raises:
            CallExists: a live call has this id.
            Overloaded: there are as many calls as the service takes.
        """
        metrics = self.hearing.metrics
        try:
            if started.call_id in self._live:
                raise CallExists(started.call_id)
            if len(self._live) >= self._max_calls:
                raise Overloaded(self._max_calls)
        except (CallExists, Overloaded) as refusal:
            metrics.refused.labels(started.bridge, type(refusal).__name__).inc()
            raise
        call = Call(started, self.hearing, listener)
        self._live[started.call_id] = call
        metrics.calls.labels(started.bridge).inc()
        metrics.live.set(len(self._live))
        return call

    def close(self, call: Call) -> None:
        """Its id is free again."""
        del self._live[call.call_id]
        self.hearing.metrics.live.set(len(self._live))
