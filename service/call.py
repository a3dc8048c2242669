"""One call's story: its audio becomes windows, its windows readings, its readings alerts."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np

from model.artifact import ArtifactMeta
from model.audio import SAMPLE_RATE, Resampler
from model.voice import Caller
from service.alerts import AlertPolicy, AlertRule
from service.batcher import Batcher, WindowDropped
from service.errors import CallExists, Overloaded
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    Gap,
    Reading,
    Summary,
    Track,
    Transition,
)
from service.metrics import Metrics
from service.scorer import Posterior
from service.store import Store
from service.windows import Window, WindowCutter

SLICE_S = 1.0  # of audio at most between two turns of the event loop
IN_FLIGHT_MAX = 64  # windows of one call; audio so much faster than real time is kept waiting
TICK_S = 1.0  # of silence
CONCEALED_S = 0.1  # of loss at most that is filled with what came before; longer is a gap
REPEATED_S = 0.02  # of what came before
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
class _Cut:
    """A window on its way through the batcher."""

    track: Track
    window: Window
    arrived: float  # monotonic, of its last sample
    answer: asyncio.Future[Posterior]


class _Ear:
    """One track, brought to 8 kHz and cut into windows."""

    def __init__(self, rate: int, hearing: Hearing, caller: Caller) -> None:
        gate = hearing.meta.gate if hearing.gate else None
        self.rate = rate
        self.resampler = Resampler(rate)
        self.cutter = WindowCutter(
            hearing.meta.features, gate, hearing.first_s, hearing.hop_s, caller
        )
        self.ticked_s = 0.0
        self.latest = _NOTHING  # what was heard last, at `rate`

    def can_conceal(self, gap: Gap) -> bool:
        """A lost packet or a few don't end a sentence: what came before is heard again instead."""
        return bool(len(self.latest)) and gap.samples <= CONCEALED_S * self.rate


class Call:
    """One call's story, told by one connection or by several, each with tracks of its own.

    It ends when the last of them has left.
    """

    def __init__(
        self,
        started: CallStarted,
        hearing: Hearing,
        ended: Callable[["Call"], None],
        callers: dict[Track, Caller],
    ) -> None:
        self.session = uuid4().hex
        self.hearing = hearing
        self.started = started  # all parts together
        self.parts: list[Part] = []
        self.policy = AlertPolicy(self.session, started.call_id, hearing.rules)
        self.readings = self.fired = self.dropped = 0
        self.speech_s = 0.0  # of parts that have left
        self.reached_s: dict[Track, float] = {}  # how far those were heard
        self.callers = callers
        self._ended = ended
        self._heard_from: float | None = None  # monotonic, of the first audio
        self._started_at = time.time()
        hearing.store.call_started(self.session, started, self._started_at)

    def join(self, started: CallStarted) -> None:
        """Another connection brings more of it."""
        self.started = replace(
            self.started,
            tracks=tuple(dict.fromkeys((*self.started.tracks, *started.tracks))),
            metadata={**started.metadata, **self.started.metadata},
        )
        self.hearing.store.call_joined(self.session, self.started, self._started_at)

    def caller(self, track: Track) -> Caller:
        """What is known of a track's voice, whichever connections brought it."""
        return self.callers.setdefault(track, Caller(self.hearing.meta.features))

    def begin_s(self, arrived: float) -> float:
        """Where in the call audio belongs that comes now and is the first of its connection."""
        if self._heard_from is None:
            self._heard_from = arrived
        return arrived - self._heard_from

    def end(self, reason: str) -> None:
        """Nobody brings any more of it, and all there was to tell of it has been told."""
        self.hearing.store.call_ended(
            self.session, self.started.call_id, reason, self.duration_s, time.time()
        )
        self._ended(self)

    @property
    def summary(self) -> Summary:
        return Summary(
            duration_s=self.duration_s,
            speech_s=self.speech_s,
            readings=self.readings,
            alerts=self.fired,
            dropped=self.dropped,
        )

    @property
    def duration_s(self) -> float:
        return max(self.reached_s.values(), default=0.0)


class Part:
    """What one connection brings of a call; `run` belongs to that connection.

    A part whose first audio comes when the call is under way begins there.
    """

    def __init__(
        self,
        call: Call,
        started: CallStarted,
        listener: Listener,
        joins: bool,
        replaced: Callable[[], None],
    ) -> None:
        self.call = call
        self.tracks = frozenset(started.tracks)
        self.joins = joins
        self._hearing = call.hearing
        self._listener = listener
        self._replaced = replaced
        self._rate = started.sample_rate
        self._begin_s: float | None = None
        self._ears: dict[Track, _Ear] = {}
        self._cuts: deque[_Cut] = deque()
        self._cut = asyncio.Event()
        self._read = asyncio.Event()  # all cuts so far have been read
        self._read.set()
        self._summary: Summary | None = None  # once it is over

    async def hear(self, fact: Audio | Gap) -> None:
        """The next of a track. Gives way to other calls after every second of audio.

        When as many windows wait as one call may have, `hear` returns once they are read: whoever
        sends faster than that is not listened to meanwhile. `run` must be running.
        """
        if self._summary:
            return
        arrived = time.monotonic()
        ear = self._ears.get(fact.track) or self._listen(fact.track, arrived)
        if isinstance(fact, Gap) and ear.can_conceal(fact):
            self._hearing.metrics.concealed.inc(fact.samples / ear.rate)
            fact = Audio(fact.track, np.resize(ear.latest, fact.samples))
        if isinstance(fact, Gap):
            rest = ear.resampler.feed(_NOTHING, last=True)
            ear.resampler = Resampler(ear.rate)
            windows = [
                *ear.cutter.feed(rest),
                *ear.cutter.skip(round(fact.samples * SAMPLE_RATE / ear.rate)),
            ]
            self._submit(fact.track, windows, arrived)
        else:
            ear.latest = fact.pcm[-round(REPEATED_S * ear.rate) :]
            slice_samples = round(SLICE_S * ear.rate)
            for start in range(0, len(fact.pcm), slice_samples):
                if start:
                    await asyncio.sleep(0)
                ear.cutter.hop_s = self._hop_s()
                pcm = ear.resampler.feed(fact.pcm[start : start + slice_samples])
                self._submit(fact.track, ear.cutter.feed(pcm), arrived)
                if len(self._cuts) >= IN_FLIGHT_MAX:
                    await self._read.wait()
                if self._summary:
                    return
        self._tick(fact.track, ear)

    def _listen(self, track: Track, arrived: float) -> _Ear:
        if self._begin_s is None:
            self._begin_s = self.call.begin_s(arrived)
        ear = self._ears[track] = _Ear(self._rate, self._hearing, self.call.caller(track))
        # Not before what an earlier connection brought of this track, however fast it came.
        begin_s = max(self._begin_s, self.call.reached_s.get(track, 0.0))
        ear.cutter.skip(round(begin_s * SAMPLE_RATE))
        return ear

    def _hop_s(self) -> float:
        """Wider under pressure: fewer windows rather than dropped ones."""
        pressed = max(0.0, self._hearing.batcher.pressure - AT_EASE) / (1 - AT_EASE)
        return self._hearing.hop_s * (1 + UNDER_PRESSURE * pressed)

    def _tick(self, track: Track, ear: _Ear) -> None:
        at_s = ear.cutter.position_s
        if at_s >= ear.ticked_s + TICK_S and self._read.is_set() and not ear.cutter.speaking:
            ear.ticked_s = at_s
            self._tell(self.call.policy.tick(track, at_s))

    def _submit(self, track: Track, windows: Sequence[Window], arrived: float) -> None:
        for window in windows:
            answer = self._hearing.batcher.submit(window.heard)
            self._cuts.append(_Cut(track, window, arrived, answer))
            self._read.clear()
            self._cut.set()

    def _count_dropped(self, reason: str) -> None:
        self.call.dropped += 1
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
        self.call.readings += 1
        reading = Reading(
            call_id=self.call.started.call_id,
            number=self.call.readings,
            track=cut.track,
            start_s=cut.window.start_s,
            end_s=cut.window.end_s,
            heard_s=cut.window.heard_s,
            probabilities=posterior.emotion,
        )
        self._hearing.store.reading(self.call.session, reading, time.time())
        self._listener(reading)
        metrics = self._hearing.metrics
        metrics.readings.labels(cut.track).inc()
        metrics.lateness.observe(time.monotonic() - cut.arrived)
        self._tell(self.call.policy.hear(reading))

    def _tell(self, steps: Sequence[Transition]) -> None:
        for step in steps:
            self.call.fired += step.state is AlertState.FIRING
            self._hearing.store.transition(self.call.session, step, time.time())
            self._hearing.metrics.alerts.labels(step.emotion, step.state).inc()
            self._listener(step)

    async def end(self, reason: str) -> Summary:
        """No more audio comes: what was heard is read. `run` must be running."""
        if self._summary is None:
            for track, ear in self._ears.items():
                arrived = time.monotonic()
                rest = ear.resampler.feed(_NOTHING, last=True)
                windows = [*ear.cutter.feed(rest), *ear.cutter.end()]
                self._submit(track, windows, arrived)
            await self._read.wait()
        return self.abandon(reason)

    def abandon(self, reason: str) -> Summary:
        """Ends at once, if it has not ended: windows not read yet never will be."""
        if self._summary is None:
            for cut in self._cuts:
                cut.answer.cancel()
                self._count_dropped("hung_up")
            self._cuts.clear()
            self._cut.clear()
            self._read.set()
            for track, ear in self._ears.items():
                self.call.reached_s[track] = ear.cutter.position_s
                self.call.speech_s += ear.cutter.speech_s
            self.call.parts.remove(self)
            if not self.call.parts:
                self._tell(self.call.policy.end(self.call.duration_s))
                self.call.end(reason)
            self._summary = self.call.summary
        return self._summary

    def replace(self) -> None:
        """A newer connection brings what this one did."""
        self.abandon("replaced")
        self._replaced()


class Calls:
    """The calls under way: at most `max_calls`, each id once."""

    def __init__(self, hearing: Hearing, max_calls: int) -> None:
        self.hearing = hearing
        self._max_calls = max_calls
        self._live: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._live)

    def open(
        self,
        started: CallStarted,
        listener: Listener,
        *,
        joins: bool = False,
        replaces: bool = False,
        replaced: Callable[[], None] = lambda: None,
    ) -> Part:
        """Takes a connection for a call, or for a part of a live one (`Bridge` has the rules).

        `replaced` is called when a newer connection has taken the place of this one.

        Raises:
            CallExists: a live call has this id, and this is neither a part of it nor its retry.
            Overloaded: there are as many calls as the service takes.
        """
        metrics = self.hearing.metrics
        before = self._live.get(started.call_id)
        try:
            call = self._live_call(started, joins, replaces)
        except (CallExists, Overloaded) as refusal:
            metrics.refused.labels(started.bridge, type(refusal).__name__).inc()
            raise
        if call is None:
            callers = before.callers if before else {}  # of a retry, the voices are known
            call = Call(started, self.hearing, self._forget, callers)
            self._live[started.call_id] = call
            metrics.calls.labels(started.bridge).inc()
            metrics.live.set(len(self._live))
        else:
            call.join(started)
        part = Part(call, started, listener, joins, replaced)
        call.parts.append(part)
        return part

    def _live_call(self, started: CallStarted, joins: bool, replaces: bool) -> Call | None:
        """The one that this is a part of."""
        call = self._live.get(started.call_id)
        if call is None:
            if len(self._live) >= self._max_calls:
                raise Overloaded(self._max_calls)
            return None
        older = [part for part in call.parts if not part.tracks.isdisjoint(started.tracks)]
        others = [part for part in call.parts if part not in older]
        mistaken = (
            call.started.bridge != started.bridge
            or (older and not replaces)
            or (others and not (joins and all(part.joins for part in others)))
        )
        if mistaken:
            raise CallExists(started.call_id)
        for part in older:
            part.replace()
        return call if others else None

    def _forget(self, call: Call) -> None:
        del self._live[call.started.call_id]
        self.hearing.metrics.live.set(len(self._live))
