"""What one connection brings of a call: audio in, readings and alerts out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.audio import SAMPLE_RATE, Resampler
from service.calls.call import Call
from service.calls.track import NO_SAMPLES, TrackPipeline
from service.calls.windows import Window
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallSummary,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.scoring.batcher import WindowDropped
from service.scoring.scorer import Posterior

SLICE_S = 1.0  # of audio at most between two turns of the event loop
IN_FLIGHT_MAX = 64  # windows of one call; audio so much faster than real time is kept waiting
TICK_S = 1.0  # of silence
AT_EASE = 0.25  # pressure up to which the hop stays as it is
UNDER_PRESSURE = 3.0  # how many hops wider it is when windows are about to be dropped

ResultListener = Callable[[Reading | Transition], None]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A window on its way through the batcher."""

    track: Track
    window: Window
    arrived: float  # monotonic, of its last sample
    answer: asyncio.Future[Posterior]


class CallStream:
    """What one connection brings of a call; `run` belongs to that connection.

    A stream whose first audio comes when the call is under way begins there.
    """

    def __init__(
        self,
        call: Call,
        started: CallStarted,
        listener: ResultListener,
        joins: bool,
        replaced: Callable[[], None],
    ) -> None:
        self.call = call
        self.tracks = frozenset(started.tracks)
        self.joins = joins
        self._context = call.context
        self._listener = listener
        self._replaced = replaced
        self._rate = started.sample_rate
        self._begin_s: float | None = None
        self._tracks: dict[Track, TrackPipeline] = {}
        self._cuts: deque[_Cut] = deque()
        self._cut = asyncio.Event()
        self._read = asyncio.Event()  # all cuts so far have been read
        self._read.set()
        self._summary: CallSummary | None = None  # once it is over

    async def hear(self, fact: Audio | Gap) -> None:
        """The next of a track. Gives way to other calls after every second of audio.

        When as many windows wait as one call may have, `hear` returns once they are read: whoever
        sends faster than that is not listened to meanwhile. `run` must be running.
        """
        if self._summary:
            return
        arrived = time.monotonic()
        pipeline = self._tracks.get(fact.track) or self._listen(fact.track, arrived)
        if isinstance(fact, Gap):
            filled = pipeline.concealment.fill(fact.samples)
            if filled is not None:
                self._context.metrics.concealed_seconds.inc(fact.samples / pipeline.rate)
                fact = Audio(fact.track, filled)
        if isinstance(fact, Gap):
            rest = pipeline.resampler.feed(NO_SAMPLES, last=True)
            pipeline.resampler = Resampler(pipeline.rate)
            windows = [
                *pipeline.cutter.feed(rest),
                *pipeline.cutter.skip(round(fact.samples * SAMPLE_RATE / pipeline.rate)),
            ]
            self._submit(fact.track, windows, arrived)
        else:
            pipeline.concealment.receive(fact.pcm)
            slice_samples = round(SLICE_S * pipeline.rate)
            for start in range(0, len(fact.pcm), slice_samples):
                if start:
                    await asyncio.sleep(0)
                pipeline.cutter.hop_s = self._hop_s()
                pcm = pipeline.resampler.feed(fact.pcm[start : start + slice_samples])
                self._submit(fact.track, pipeline.cutter.feed(pcm), arrived)
                if len(self._cuts) >= IN_FLIGHT_MAX:
                    await self._read.wait()
                if self._summary:
                    return
        self._tick(fact.track, pipeline)

    def _listen(self, track: Track, arrived: float) -> TrackPipeline:
        if self._begin_s is None:
            self._begin_s = self.call.begin_s(arrived)
        pipeline = self._tracks[track] = TrackPipeline(
            self._rate, self._context, self.call.caller(track)
        )
        # Not before what an earlier connection brought of this track, however fast it came.
        begin_s = max(self._begin_s, self.call.reached_s.get(track, 0.0))
        pipeline.cutter.skip(round(begin_s * SAMPLE_RATE))
        return pipeline

    def _hop_s(self) -> float:
        """Wider under pressure: fewer windows rather than dropped ones."""
        pressed = max(0.0, self._context.batcher.pressure - AT_EASE) / (1 - AT_EASE)
        return self._context.hop_s * (1 + UNDER_PRESSURE * pressed)

    def _tick(self, track: Track, pipeline: TrackPipeline) -> None:
        at_s = pipeline.cutter.position_s
        if (
            at_s >= pipeline.ticked_s + TICK_S
            and self._read.is_set()
            and not pipeline.cutter.speaking
        ):
            pipeline.ticked_s = at_s
            self._tell(self.call.policy.tick(track, at_s))

    def _submit(self, track: Track, windows: Sequence[Window], arrived: float) -> None:
        for window in windows:
            answer = self._context.batcher.submit(window.model_input)
            self._cuts.append(_Cut(track, window, arrived, answer))
            self._read.clear()
            self._cut.set()

    def _count_dropped(self, reason: str) -> None:
        self.call.dropped += 1
        self._context.metrics.windows_dropped.labels(reason).inc()

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
        self._context.store.reading(self.call.session, reading, time.time())
        self._listener(reading)
        metrics = self._context.metrics
        metrics.readings.labels(cut.track).inc()
        metrics.reading_lateness.observe(time.monotonic() - cut.arrived)
        self._tell(self.call.policy.hear(reading))

    def _tell(self, steps: Sequence[Transition]) -> None:
        for step in steps:
            self.call.fired += step.state is AlertState.FIRING
            self._context.store.transition(self.call.session, step, time.time())
            self._context.metrics.alert_transitions.labels(step.emotion, step.state).inc()
            self._listener(step)

    async def end(self, reason: str) -> CallSummary:
        """No more audio comes: what was heard is read. `run` must be running."""
        if self._summary is None:
            for track, pipeline in self._tracks.items():
                arrived = time.monotonic()
                rest = pipeline.resampler.feed(NO_SAMPLES, last=True)
                windows = [*pipeline.cutter.feed(rest), *pipeline.cutter.end()]
                self._submit(track, windows, arrived)
            await self._read.wait()
        return self.abandon(reason)

    def abandon(self, reason: str) -> CallSummary:
        """Ends at once, if it has not ended: windows not read yet never will be."""
        if self._summary is None:
            for cut in self._cuts:
                cut.answer.cancel()
                self._count_dropped("hung_up")
            self._cuts.clear()
            self._cut.clear()
            self._read.set()
            for track, pipeline in self._tracks.items():
                self.call.reached_s[track] = pipeline.cutter.position_s
                self.call.speech_s += pipeline.cutter.speech_s
            self.call.streams.remove(self)
            if not self.call.streams:
                self._tell(self.call.policy.end(self.call.duration_s))
                self.call.end(reason)
            self._summary = self.call.summary
        return self._summary

    def replace(self) -> None:
        """A newer connection brings what this one did."""
        self.abandon("replaced")
        self._replaced()
