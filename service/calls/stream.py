"""What one connection brings of a call: audio in, readings and alerts out."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from service.calls.call import Call, Step
from service.calls.context import AlertListener, CallContext
from service.calls.result_queue import ResultListener, ResultQueue
from service.calls.track import TrackPipeline
from service.calls.windows import Window
from service.events import (
    Audio,
    CallStarted,
    CallSummary,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.metrics import HUNG_UP
from service.scoring.batcher import WindowDropped
from service.scoring.scorer import Posterior

SLICE_S = 1.0  # longest audio that is processed between two turns of the event loop
SILENCE_STEP_S = 1.0  # how often the alert policy is advanced through silence
PRESSURE_FREE = 0.25  # batcher pressure up to which the hop is not widened
HOP_GROWTH = 3.0  # how many hops are added to the hop at full pressure


@dataclass(frozen=True, slots=True)
class _SubmittedWindow:
    """A window that is queued in the batcher or being scored."""

    track: Track
    window: Window
    arrived_at: float  # when its last sample arrived, on `context.clock`
    spoken_at: float  # when its speech ended, on the same clock, by the audio that came after it
    posterior: asyncio.Future[Posterior]


class CallStream:
    """What one connection brings of a call; that connection also owns the task of `run`.

    If the first audio arrives while the call is under way, the stream's tracks begin at that
    moment of the call. `replaced` is called when a newer connection has replaced this one.
    """

    def __init__(
        self,
        call: Call,
        started: CallStarted,
        context: CallContext,
        listener: ResultListener,
        joins: bool,
        replaced: Callable[[], None],
    ) -> None:
        self.tracks = frozenset(started.tracks)
        self.joins = joins
        self._call = call
        self._context = context
        self._replaced = replaced
        self._sample_rate = started.sample_rate
        self._begin_s: float | None = None  # call time of the first audio
        self._pipelines: dict[Track, TrackPipeline] = {}
        self._silent_to_s: dict[Track, float] = {}  # up to where the policy has been advanced
        self._in_flight: deque[_SubmittedWindow] = deque()
        self._any_in_flight = asyncio.Event()
        self._none_in_flight = asyncio.Event()
        self._results = ResultQueue(
            # No method of the stream, which would make a circle of stream and queue.
            partial(_pass_on, call, context.alerts, listener),
            context.keep_within_s,
            unkept=context.metrics.alerts_sent_unkept.inc,
            failed=self._any_in_flight.set,
        )
        self._none_in_flight.set()
        self._summary: CallSummary | None = None  # once the stream has ended
        call.attach(self)

    @property
    def session(self) -> str:
        """The session of the stream's call."""
        return self._call.session

    @property
    def call_id(self) -> str:
        return self._call.call_id

    def report(self, problem: str) -> None:
        """Adds to the call's record why this stream's audio can't be analysed."""
        if self._summary is None:
            self._call.report(problem)

    async def receive(self, fact: Audio | Gap) -> None:
        """Processes the next audio or gap of a track; after the end of the stream, does nothing.

        Other tasks get a turn after every second of audio. While `max_in_flight` windows are
        in flight, `receive` does not return: a sender faster than the scorer is slowed down.
        `run` must be running.
        """
        arrived_at = self._context.clock()
        if len(self._in_flight) >= self._context.max_in_flight:
            await self._none_in_flight.wait()
        if self._summary or self._call.refused:
            return
        track = fact.track
        pipeline = self._pipelines.get(track) or self._add_track(track, arrived_at)
        if isinstance(fact, Audio) and not self._call.analysed:
            # Time goes on, and the audio is not kept.
            self._submit(track, pipeline.skip(len(fact.pcm)), arrived_at, pipeline.position_s)
        elif isinstance(fact, Gap):
            windows = pipeline.lose(fact.samples, self._hop_s())
            self._submit(track, windows, arrived_at, pipeline.position_s)
        else:
            arrived_s = pipeline.position_s + len(fact.pcm) / self._sample_rate
            size = _slice_samples(len(fact.pcm), round(SLICE_S * self._sample_rate))
            for start in range(0, len(fact.pcm) or 1, size):
                if start:
                    await asyncio.sleep(0)
                    if len(self._in_flight) >= self._context.max_in_flight:
                        await self._none_in_flight.wait()
                    if self._summary or self._call.refused:
                        return
                windows = pipeline.receive(fact.pcm[start : start + size], self._hop_s())
                self._submit(track, windows, arrived_at, arrived_s)
        self._advance(track, pipeline)

    async def run(self) -> None:
        """Publishes each window's score in order; runs until cancelled."""
        while True:
            await self._any_in_flight.wait()
            self._results.raise_failure()
            if not self._in_flight:
                self._any_in_flight.clear()
                continue
            submitted = self._in_flight[0]
            await asyncio.wait((submitted.posterior,))
            if not self._in_flight:
                continue  # the stream was abandoned meanwhile
            self._in_flight.popleft()
            try:
                self._publish(submitted, submitted.posterior.result())
            except WindowDropped as dropped:
                self._call.add_dropped(dropped.reason)
            if not self._in_flight:
                self._any_in_flight.clear()
                self._none_in_flight.set()

    async def end(self, reason: str) -> CallSummary:
        """Waits until all audio received so far is scored and passed on, then ends.

        `run` must be running.
        """
        if self._summary is None:
            for track, pipeline in self._pipelines.items():
                windows = pipeline.flush()
                self._submit(track, windows, self._context.clock(), pipeline.position_s)
            await self._none_in_flight.wait()
        summary = self.abandon(reason)
        await self.results_passed_on()
        return summary

    async def results_passed_on(self) -> None:
        """Returns when all results are passed on, in at most `context.keep_within_s`."""
        await self._results.emptied()

    def abandon(self, reason: str) -> CallSummary:
        """Ends at once and drops the windows in flight; does nothing if the stream has ended.

        Returns the call's summary as it was when the stream ended.
        """
        if self._summary is None:
            self._drop_in_flight()
            pipelines = self._pipelines
            last = self._call.detach(
                self,
                {track: pipeline.position_s for track, pipeline in pipelines.items()},
                sum(pipeline.speech_s for pipeline in pipelines.values()),
                reason,
            )
            self._summary = self._call.summary
            self._publish_steps(last)
        return self._summary

    def forget(self) -> None:
        """Drops all audio, windows and results that are under way."""
        self._drop_in_flight()
        self._pipelines.clear()
        self._results.forget()

    def _drop_in_flight(self) -> None:
        for submitted in self._in_flight:
            submitted.posterior.cancel()
            self._call.add_dropped(HUNG_UP)
        self._in_flight.clear()
        self._any_in_flight.clear()
        self._none_in_flight.set()

    def replace(self) -> None:
        """Ends at once because a newer connection brings these tracks."""
        self.abandon("replaced")
        self._replaced()

    def _add_track(self, track: Track, arrived_at: float) -> TrackPipeline:
        if self._begin_s is None:
            self._begin_s = self._call.elapsed_s(arrived_at)
        # An earlier connection may have sent this track faster than real time.
        begin_s = max(self._begin_s, self._call.position_s(track))
        pipeline = TrackPipeline(
            self._sample_rate, self._context, self._call.baseline(track), begin_s
        )
        self._pipelines[track] = pipeline
        self._silent_to_s[track] = 0.0
        return pipeline

    def _hop_s(self) -> float:
        """Widens the hop under pressure, so that fewer windows are cut rather than dropped."""
        pressure = self._context.batcher.pressure(self._call.session)
        excess = max(0.0, pressure - PRESSURE_FREE) / (1 - PRESSURE_FREE)
        return self._context.hop_s * (1 + HOP_GROWTH * excess)

    def _advance(self, track: Track, pipeline: TrackPipeline) -> None:
        at_s = pipeline.analysed_s
        if (
            at_s >= self._silent_to_s[track] + SILENCE_STEP_S
            and self._none_in_flight.is_set()
            and not pipeline.speaking
        ):
            self._silent_to_s[track] = at_s
            self._publish_steps(self._call.advance(track, at_s))

    def _submit(
        self, track: Track, windows: Sequence[Window], arrived_at: float, arrived_s: float
    ) -> None:
        """Queues windows; `arrived_s` is the call time up to which the track has arrived."""
        for window in windows:
            posterior = self._context.batcher.submit(window.model_input, self._call.session)
            spoken_at = arrived_at - (arrived_s - window.end_s)
            self._in_flight.append(
                _SubmittedWindow(track, window, arrived_at, spoken_at, posterior)
            )
            self._none_in_flight.clear()
            self._any_in_flight.set()

    def _publish(self, submitted: _SubmittedWindow, posterior: Posterior) -> None:
        reading, steps = self._call.add_reading(submitted.track, submitted.window, posterior)
        self._results.reading(reading)
        now = self._context.clock()
        self._context.metrics.reading_lateness.observe(now - submitted.arrived_at)
        self._context.metrics.speech_lateness.observe(now - submitted.spoken_at)
        self._publish_steps(steps)

    def _publish_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._results.transition(step.transition, step.receipt)


def _pass_on(
    call: Call, alerts: AlertListener, listener: ResultListener, result: Reading | Transition
) -> None:
    """Gives a result to the stream's listener, and a transition to that of all alerts first."""
    if isinstance(result, Transition):
        alerts.on_transition(call.session, call.bridge, call.facts, result)
    listener(result)


def _slice_samples(samples: int, most: int) -> int:
    """Returns the size of equal slices of at most `most` samples, so that none is a short rest."""
    slices = max(1, -(-samples // most))
    return max(1, -(-samples // slices))
