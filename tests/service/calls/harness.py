"""Scorers, speech and live streams for the tests of calls, on an embedded Redis."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache

import numpy as np
import soundfile

from model import SHIPPED
from model.artifact import ArtifactMeta
from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_SAMPLES, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from model.speaker_baseline import ModelInput
from model.speech_check_file import shipped_check
from service.alerts.policy import AlertRule
from service.calls.context import CallContext
from service.calls.registry import CallRegistry
from service.calls.stream import CallStream
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallSummary,
    Reading,
    Track,
    Transition,
)
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.scoring.scorer import Posterior, Scorer
from service.scoring.torch_scorer import TorchScorer
from service.store.store import Store
from tests.limits import ENOUGH_S
from tests.paths import SAMPLES

CALLER, AGENT = Track.CALLER, Track.AGENT
PENDING, FIRING, RESOLVED = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED
FIRST_S, HOP_S = 1.5, 1.0
MAX_IN_FLIGHT = 64
RULE = AlertRule(Emotion.ANGER, fire_at=0.6, clear_at=0.4, hold_s=1.5, release_s=3.0, smooth_s=1.0)
LOUD = 10.0  # mean log energy; `speech` has 11 to 13, a tenth as loud 7.5 to 9


@cache
def torch_scorer() -> TorchScorer:
    return TorchScorer.load(SHIPPED, "cpu", threads=1, batch_max=8)


META = torch_scorer().meta
N_MELS = META.features.n_mels


class LoudnessScorer:
    """Scores loud windows as angry, 0.9, and others 0.1."""

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        return [self._posterior(float(window.frames[:, :N_MELS].mean())) for window in windows]

    def _posterior(self, loudness: float) -> Posterior:
        anger = 0.9 if loudness > LOUD else 0.1
        emotion = {e: anger if e is Emotion.ANGER else (1 - anger) / 3 for e in EMOTIONS}
        return Posterior(emotion, dict.fromkeys(STYLES, 0.5))


class BlockedScorer(LoudnessScorer):
    """Scores nothing until `go` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        assert self.go.wait(ENOUGH_S)
        return super().score(windows)


class RecordingScorer(LoudnessScorer):
    """Keeps the windows that it is given."""

    def __init__(self) -> None:
        self.inputs: list[ModelInput] = []

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        self.inputs += windows
        return super().score(windows)

    @property
    def utterances(self) -> list[int]:
        """For each window, how many utterances its speaker baseline was made of."""
        return [window.baseline_utterances for window in self.inputs]


@cache
def sample(name: str = "sounds-angry", channel: int = 0) -> Pcm:
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return np.ascontiguousarray(pcm[:, channel])


@cache
def monologue() -> Pcm:
    """A caller who never pauses for long."""
    spans = speech_spans(sample(), META.gate)
    return np.concatenate([sample()[s * HOP_SAMPLES : e * HOP_SAMPLES] for s, e in spans])


def speech(seconds: float, loudness: float = 1.0) -> Pcm:
    pcm = monologue()
    return (np.resize(pcm, round(seconds * SAMPLE_RATE)) * loudness).astype(np.int16)


def silence(seconds: float) -> Pcm:
    """An open telephone line on which nobody speaks."""
    samples = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(0).integers(-4, 5, samples).astype(np.int16)


def two_stretches() -> Pcm:
    """Two stretches of speech of the same voice."""
    return np.concatenate((speech(3), silence(1), speech(3), silence(1)))


def started(call_id: str = "call-1", rate: int = SAMPLE_RATE) -> CallStarted:
    return CallStarted(call_id, "native", (CALLER, AGENT), rate)


def one_track(track: Track, rate: int = SAMPLE_RATE, bridge: str = "asterisk") -> CallStarted:
    """The start of a connection that brings only this track of a call."""
    return CallStarted("call-1", bridge, (track,), rate, {track: str(rate)})


@asynccontextmanager
async def service(
    scorer: Scorer,
    *,
    gate: bool = True,
    hop_s: float = HOP_S,
    max_calls: int = 10,
    queue_max: int = 512,
    max_age_s: float = 60.0,
    scoring: bool = True,
    clock: Callable[[], float] = time.monotonic,
    consent_required: bool = False,
    meta: ArtifactMeta = META,
) -> AsyncIterator[CallRegistry]:
    """All of a service that a call needs."""
    metrics = Metrics()
    batcher = Batcher(
        scorer, metrics, batch_max=8, wait_s=0, queue_max=queue_max, max_age_s=max_age_s
    )
    store = Store.connect(None, outbox_path=None, retention_s=3600)
    context = CallContext(
        meta,
        batcher,
        store,
        metrics,
        [RULE],
        gate,
        FIRST_S,
        hop_s,
        check=shipped_check(meta.features),
        clock=clock,
        max_in_flight=MAX_IN_FLIGHT,
        consent_required=consent_required,
    )
    running = [asyncio.create_task(store.run())]
    if scoring:
        running.append(asyncio.create_task(batcher.run()))
    try:
        yield CallRegistry(context, max_calls)
        assert await store.flush(ENOUGH_S)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await store.close()


class LiveStream:
    """A stream whose windows are published while the block lasts, and its results."""

    def __init__(
        self,
        calls: CallRegistry,
        start: CallStarted,
        *,
        joins: bool = False,
        replaces: bool = False,
    ) -> None:
        self.results: list[Reading | Transition] = []
        self.replaced = 0
        self.stream: CallStream = calls.open(
            start, self.results.append, joins=joins, replaces=replaces, replaced=self._count
        )

    def _count(self) -> None:
        self.replaced += 1

    async def __aenter__(self) -> "LiveStream":
        self._publishing = asyncio.create_task(self.stream.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._publishing
        self.stream.abandon("left")

    async def send(self, pcm: Pcm, track: Track = CALLER, frame_samples: int = 1600) -> None:
        for start in range(0, len(pcm), frame_samples):
            await self.stream.receive(Audio(track, pcm[start : start + frame_samples]))
            await asyncio.sleep(0.001)

    async def end(self) -> CallSummary:
        return await asyncio.wait_for(self.stream.end("hangup"), ENOUGH_S)

    @property
    def readings(self) -> list[Reading]:
        return [result for result in self.results if isinstance(result, Reading)]

    @property
    def states(self) -> list[AlertState]:
        return [result.state for result in self.results if isinstance(result, Transition)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def spans(readings: Sequence[Reading]) -> list[tuple[float, float, float]]:
    return [(r.start_s, r.end_s, r.heard_s) for r in readings]
