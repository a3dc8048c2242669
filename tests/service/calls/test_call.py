import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

from model import SHIPPED
from model.audio import SAMPLE_RATE, Pcm
from model.gate import HOP_SAMPLES, speech_spans
from model.labels import EMOTIONS, STYLES, Emotion
from model.speaker_baseline import ModelInput, SpeakerBaseline
from service.alerts.policy import AlertRule
from service.calls import call as module
from service.calls.context import CallContext
from service.calls.registry import CallRegistry
from service.calls.stream import IN_FLIGHT_MAX, CallStream
from service.classification import cut
from service.errors import CallExists, Overloaded
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
from service.metrics import Metrics
from service.scoring.batcher import Batcher
from service.scoring.scorer import Posterior, Scorer
from service.scoring.torch_scorer import TorchScorer
from service.store.store import Store
from tests.paths import SAMPLES

CALLER, AGENT = Track.CALLER, Track.AGENT
PENDING, FIRING, RESOLVED = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED
FIRST_S, HOP_S = 1.5, 1.0
ENOUGH_S = 10.0  # for anything that must happen, however busy the machine
RULE = AlertRule(Emotion.ANGER, fire_at=0.6, clear_at=0.4, hold_s=1.5, release_s=3.0, smooth_s=1.0)
LOUD = 10.0  # mean log energy; `speech` has 11 to 13, a tenth as loud 7.5 to 9


@cache
def torch_scorer() -> TorchScorer:
    return TorchScorer.load(SHIPPED, "cpu", threads=1, batch_max=8)


META = torch_scorer().meta
N_MELS = META.features.n_mels


class Loudness:
    """Loud voices sound angry to it, 0.9; others 0.1."""

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        return [self._hear(float(window.frames[:, :N_MELS].mean())) for window in windows]

    def _hear(self, loudness: float) -> Posterior:
        anger = 0.9 if loudness > LOUD else 0.1
        emotion = {e: anger if e is Emotion.ANGER else (1 - anger) / 3 for e in EMOTIONS}
        return Posterior(emotion, dict.fromkeys(STYLES, 0.5))


class Slow(Loudness):
    """Answers when it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        assert self.go.wait(ENOUGH_S)
        return super().score(windows)


@cache
def sample(name: str = "sounds-angry", side: int = 0) -> Pcm:
    pcm, _ = soundfile.read(SAMPLES / f"{name}.flac", dtype="int16")
    return np.ascontiguousarray(pcm[:, side])


@cache
def monologue() -> Pcm:
    """A caller who never pauses for long."""
    spans = speech_spans(sample(), META.gate)
    return np.concatenate([sample()[s * HOP_SAMPLES : e * HOP_SAMPLES] for s, e in spans])


def speech(seconds: float, loudness: float = 1.0) -> Pcm:
    pcm = monologue()
    return (np.resize(pcm, round(seconds * SAMPLE_RATE)) * loudness).astype(np.int16)


def line(seconds: float) -> Pcm:
    """An open line on which nobody speaks."""
    samples = round(seconds * SAMPLE_RATE)
    return np.random.default_rng(0).integers(-4, 5, samples).astype(np.int16)


def started(call_id: str = "call-1", rate: int = SAMPLE_RATE) -> CallStarted:
    return CallStarted(call_id, "native", (CALLER, AGENT), rate)


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
) -> AsyncIterator[CallRegistry]:
    """All of a service that a call needs, on an embedded Redis."""
    metrics = Metrics()
    batcher = Batcher(
        scorer, metrics, batch_max=8, wait_s=0, queue_max=queue_max, max_age_s=max_age_s
    )
    store = Store.connect(None, outbox_path=None, retention_s=3600)
    context = CallContext(META, batcher, store, metrics, [RULE], gate, FIRST_S, hop_s)
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


class Line:
    """A call that is read while it lasts, and what was said about it."""

    def __init__(
        self,
        calls: CallRegistry,
        start: CallStarted,
        *,
        joins: bool = False,
        replaces: bool = False,
    ) -> None:
        self.said: list[Reading | Transition] = []
        self.replaced = 0
        self.stream: CallStream = calls.open(
            start, self.said.append, joins=joins, replaces=replaces, replaced=self._count
        )

    def _count(self) -> None:
        self.replaced += 1

    async def __aenter__(self) -> "Line":
        self._reading = asyncio.create_task(self.stream.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        self.stream.abandon("left")

    async def hear(self, pcm: Pcm, track: Track = CALLER, frame_samples: int = 1600) -> None:
        for start in range(0, len(pcm), frame_samples):
            await self.stream.hear(Audio(track, pcm[start : start + frame_samples]))
            await asyncio.sleep(0.001)

    async def end(self) -> CallSummary:
        return await asyncio.wait_for(self.stream.end("hangup"), ENOUGH_S)

    @property
    def readings(self) -> list[Reading]:
        return [said for said in self.said if isinstance(said, Reading)]

    @property
    def steps(self) -> list[AlertState]:
        return [said.state for said in self.said if isinstance(said, Transition)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(ENOUGH_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def places(readings: Sequence[Reading]) -> list[tuple[float, float, float]]:
    return [(r.start_s, r.end_s, r.heard_s) for r in readings]


async def test_readings_are_numbered_in_order_and_each_track_is_heard_apart() -> None:
    heard = {CALLER: sample("neutral", 0), AGENT: sample("neutral", 1)}
    async with service(torch_scorer()) as calls:
        async with Line(calls, started()) as spoken:
            for start in range(0, len(heard[CALLER]), 800):
                for track, pcm in heard.items():
                    await spoken.stream.hear(Audio(track, pcm[start : start + 800]))
                await asyncio.sleep(0)
            summary = await spoken.end()
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    readings = spoken.readings
    assert [r.number for r in readings] == list(range(1, len(readings) + 1))
    assert all(r.call_id == "call-1" for r in readings)
    speech_s = 0.0
    for track, pcm in heard.items():
        alone = cut(pcm, META, FIRST_S, HOP_S)
        mine = [r for r in readings if r.track is track]
        assert len(mine) > 3
        assert places(mine) == [(w.start_s, w.end_s, w.heard_s) for w in alone.windows]
        for reading, window in zip(mine, alone.windows, strict=True):
            [expected] = torch_scorer().score([window.model_input])
            assert reading.probabilities == pytest.approx(expected.emotion, abs=1e-5)
        speech_s += alone.speech_s
    assert summary.duration_s == len(heard[CALLER]) / SAMPLE_RATE
    assert summary.speech_s == pytest.approx(speech_s)
    assert summary.readings == len(readings)
    assert summary.dropped == 0
    assert kept is not None
    assert [r.number for r in kept.readings] == [r.number for r in readings]
    assert kept.state == "ended"
    assert kept.duration_s == summary.duration_s


async def test_an_alert_fires_once_and_is_resolved_by_the_end_of_the_call() -> None:
    async with service(Loudness()) as calls:
        async with Line(calls, started()) as spoken:
            await spoken.hear(speech(4, loudness=0.1))
            assert spoken.steps == []
            await spoken.hear(speech(12))
            await until(lambda: FIRING in spoken.steps)
            summary = await spoken.end()
        assert await calls.context.store.flush(ENOUGH_S)
        page = await calls.context.store.alerts(None, 10)
    assert spoken.steps == [PENDING, FIRING, RESOLVED]
    assert summary.alerts == 1
    last = spoken.said[-1]
    assert isinstance(last, Transition)
    assert last.at_s == pytest.approx(16)
    assert 0.6 <= last.peak <= 0.9
    [alert] = page.alerts
    assert alert.state == "resolved"
    assert alert.call_id == "call-1"


@pytest.mark.parametrize("silence", ["audio", "gap"])
async def test_an_alert_that_has_cleared_is_resolved_in_the_silence_after(silence: str) -> None:
    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        await spoken.hear(np.concatenate((speech(6), speech(8, loudness=0.1))))
        assert spoken.steps == [PENDING, FIRING]
        for _ in range(8):
            if silence == "audio":
                await spoken.hear(line(1))
            else:
                await spoken.stream.hear(Gap(CALLER, SAMPLE_RATE))
            await until(lambda: len(calls.context.batcher) == 0)
            await asyncio.sleep(0.01)
        assert spoken.steps == [PENDING, FIRING, RESOLVED]
        summary = await spoken.end()
    assert spoken.steps == [PENDING, FIRING, RESOLVED]
    assert summary.duration_s == 22


async def test_after_a_gap_call_time_has_gone_on() -> None:
    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        await spoken.hear(sample()[: 8 * SAMPLE_RATE])
        before = len(cut(sample()[: 8 * SAMPLE_RATE], META, FIRST_S, HOP_S).windows)
        await spoken.stream.hear(Gap(CALLER, 100 * SAMPLE_RATE))
        await spoken.hear(sample())
        summary = await spoken.end()
    after = spoken.readings[before:]
    alone = cut(sample(), META, FIRST_S, HOP_S).windows
    assert [r.end_s for r in after] == pytest.approx([w.end_s + 108 for w in alone])
    assert summary.duration_s == pytest.approx(108 + len(sample()) / SAMPLE_RATE)


async def test_one_packet_in_ten_may_be_lost_without_ending_a_sentence() -> None:
    frames = np.split(sample()[: 20 * SAMPLE_RATE], 1000)  # of 20 ms
    lost = set(np.random.default_rng(0).choice(np.arange(1, 1000), 100, replace=False).tolist())
    whole = cut(np.concatenate(frames), META, FIRST_S, HOP_S).windows
    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        for number, frame in enumerate(frames):
            if number in lost:
                await spoken.stream.hear(Gap(CALLER, len(frame)))
            else:
                await spoken.stream.hear(Audio(CALLER, frame))
        summary = await spoken.end()
        concealed = calls.context.metrics.registry.get_sample_value(
            "kanjo_concealed_audio_seconds_total"
        )
    assert concealed == pytest.approx(2)
    assert summary.duration_s == pytest.approx(20)
    assert abs(len(spoken.readings) - len(whole)) <= 1
    heard_s = sum(reading.heard_s for reading in spoken.readings)
    assert heard_s == pytest.approx(sum(window.heard_s for window in whole), abs=0.5)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_other_sample_rates_are_cut_as_8_khz_is(rate: int) -> None:
    pcm = sample("neutral")[: 20 * SAMPLE_RATE]
    wide = soxr.resample(pcm, SAMPLE_RATE, rate, quality="VHQ")
    expected = cut(pcm, META, FIRST_S, HOP_S).windows
    async with service(Loudness()) as calls, Line(calls, started(rate=rate)) as spoken:
        await spoken.hear(wide, frame_samples=rate // 10)
        summary = await spoken.end()
    assert len(spoken.readings) == len(expected) > 5
    assert [r.end_s for r in spoken.readings] == pytest.approx(
        [w.end_s for w in expected], abs=0.05
    )
    assert summary.duration_s == pytest.approx(20, abs=0.001)


async def test_a_gap_at_another_sample_rate_lasts_as_long() -> None:
    rate = 44_100
    async with service(Loudness()) as calls, Line(calls, started(rate=rate)) as spoken:
        await spoken.stream.hear(Gap(CALLER, 2 * rate))
        await spoken.stream.hear(Audio(CALLER, np.zeros(rate, np.int16)))
        await spoken.stream.hear(Gap(CALLER, rate))
        assert (await spoken.end()).duration_s == pytest.approx(4, abs=0.001)


async def test_audio_faster_than_real_time_gives_way_between_seconds() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        counting = asyncio.create_task(count())
        await spoken.stream.hear(Audio(CALLER, sample()[: 30 * SAMPLE_RATE]))
        counting.cancel()
        await spoken.end()
    assert turns >= 28  # the task that counts may miss the first and the last


async def test_audio_faster_than_it_can_be_read_is_kept_waiting_and_nothing_is_lost() -> None:
    pcm = np.tile(sample(), 4)
    slow = Slow()
    async with service(slow) as calls, Line(calls, started()) as spoken:
        context = asyncio.create_task(spoken.stream.hear(Audio(CALLER, pcm)))
        batcher = calls.context.batcher
        await until(lambda: len(batcher) >= IN_FLIGHT_MAX - 8)  # a batch is in the scorer's hand
        await asyncio.sleep(0.1)
        assert not context.done()
        assert len(batcher) <= IN_FLIGHT_MAX
        slow.go.set()
        await asyncio.wait_for(context, ENOUGH_S)
        summary = await spoken.end()
    assert summary.dropped == 0
    assert summary.readings == len(cut(pcm, META, FIRST_S, HOP_S).windows) > IN_FLIGHT_MAX


@pytest.mark.parametrize(("waiting", "windows"), [(0, 19), (1900, 19), (5000, 8), (8000, 5)])
async def test_the_hop_grows_under_pressure(waiting: int, windows: int) -> None:
    nothing = SpeakerBaseline(META.features).features(
        np.zeros((1, META.features.n_features), np.float32)
    )
    async with service(Loudness(), gate=False, queue_max=8000, scoring=False) as calls:
        for _ in range(waiting):
            calls.context.batcher.submit(nothing)
        stream = calls.open(started(), lambda _: None)
        await stream.hear(Audio(CALLER, line(20)))
        assert stream.abandon("hung up").dropped == windows


async def test_windows_that_were_dropped_are_counted_and_not_read() -> None:
    slow = Slow()
    async with service(slow, queue_max=2) as calls, Line(calls, started()) as spoken:
        await spoken.hear(sample()[: 20 * SAMPLE_RATE])
        slow.go.set()
        summary = await spoken.end()
        counted = calls.context.metrics.registry.get_sample_value(
            "kanjo_windows_dropped_total", {"reason": "queue_full"}
        )
    assert summary.dropped == counted > 0
    assert summary.readings == len(spoken.readings) > 0
    assert [r.number for r in spoken.readings] == list(range(1, summary.readings + 1))


async def test_a_call_that_is_given_up_reads_no_more_and_leaves_nothing_open() -> None:
    slow = Slow()
    async with service(slow) as calls:
        async with Line(calls, started()) as spoken:
            await spoken.hear(speech(10))
            summary = spoken.stream.abandon("disconnected")
            slow.go.set()
            await until(lambda: len(calls.context.batcher) == 0)
        async with Line(calls, started("call-2")) as other:
            await other.hear(speech(4))
            assert (await other.end()).readings > 1
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    assert spoken.said == []
    assert summary.readings == 0
    assert summary.dropped > 5
    assert summary.duration_s == 10
    assert kept is not None
    assert (kept.state, kept.duration_s) == ("ended", 10)


async def test_an_open_alert_of_a_call_that_is_given_up_is_resolved() -> None:
    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        await spoken.hear(speech(6))
        await until(lambda: FIRING in spoken.steps)
        assert spoken.stream.abandon("disconnected").alerts == 1
    assert spoken.steps == [PENDING, FIRING, RESOLVED]


async def test_a_call_without_audio_ends_with_nothing() -> None:
    async with service(Loudness()) as calls, Line(calls, started()) as spoken:
        summary = await spoken.end()
    assert summary == CallSummary(0.0, 0.0, 0, 0, 0)


async def test_an_id_is_refused_while_a_call_has_it_and_free_after_its_end() -> None:
    async with service(Loudness()) as calls:
        async with Line(calls, started()) as spoken:
            with pytest.raises(CallExists, match="got call_id 'call-1'"):
                calls.open(started(), lambda _: None)
            assert len(calls) == 1
            await spoken.end()
        async with Line(calls, started()) as again:
            assert again.stream.call.session != spoken.stream.call.session
            await again.end()
        assert len(calls) == 0
        refused = calls.context.metrics.registry.get_sample_value(
            "kanjo_calls_refused_total", {"provider": "native", "reason": "CallExists"}
        )
    assert refused == 1


async def test_one_call_more_than_the_service_takes_is_refused_and_harms_none() -> None:
    async with service(Loudness(), max_calls=2) as calls:
        async with Line(calls, started("a")) as a, Line(calls, started("b")):
            with pytest.raises(Overloaded, match="all 2 calls"):
                calls.open(started("c"), lambda _: None)
            await a.hear(speech(4))
            assert (await a.end()).readings > 1
            metrics = calls.context.metrics.registry
            assert metrics.get_sample_value("kanjo_live_calls") == 1
            assert await calls.context.store.flush(ENOUGH_S)
            assert await calls.context.store.call("c") is None
        async with Line(calls, started("c")) as c:
            await c.end()
        assert metrics.get_sample_value("kanjo_live_calls") == 0


async def test_a_call_whose_window_the_network_cannot_read_goes_on() -> None:
    class Deaf(Loudness):
        asked = 0

        def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
            self.asked += 1
            if self.asked == 1:
                raise ArithmeticError("deaf")
            return super().score(windows)

    async with service(Deaf()) as calls, Line(calls, started()) as spoken:
        await spoken.hear(speech(2))
        await until(lambda: len(calls.context.batcher) == 0)
        await spoken.hear(speech(6))
        summary = await spoken.end()
    assert summary.dropped == 1
    assert summary.readings == len(spoken.readings) > 3


# Several connections of one call.


def side(track: Track, rate: int = SAMPLE_RATE, bridge: str = "asterisk") -> CallStarted:
    return CallStarted("call-1", bridge, (track,), rate, {track: str(rate)})


async def test_connections_of_other_tracks_join_into_one_call_each_at_its_own_rate() -> None:
    agent_rate = 16_000
    heard = {CALLER: sample("neutral", 0), AGENT: sample("neutral", 1)}
    wide = soxr.resample(heard[AGENT], SAMPLE_RATE, agent_rate, quality="VHQ")
    async with service(torch_scorer()) as calls:
        async with Line(calls, side(CALLER), joins=True) as caller:
            async with Line(calls, side(AGENT, agent_rate), joins=True) as agent:
                assert len(calls) == 1
                await asyncio.gather(
                    caller.hear(heard[CALLER]),
                    agent.hear(wide, AGENT, frame_samples=3200),
                )
                before = await agent.end()
                assert await calls.context.store.flush(ENOUGH_S)
                live = await calls.context.store.call("call-1")
            assert len(calls) == 1
            summary = await caller.end()
        assert len(calls) == 0
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
        counted = calls.context.metrics.registry.get_sample_value(
            "kanjo_calls_started_total", {"provider": "asterisk"}
        )
    assert counted == 1
    assert live is not None
    assert kept is not None
    assert (live.state, kept.state) == ("live", "ended")
    assert kept.tracks == [CALLER, AGENT]
    assert kept.metadata == {"caller": "8000", "agent": "16000"}
    readings = sorted(caller.readings + agent.readings, key=lambda reading: reading.number)
    assert [r.number for r in readings] == list(range(1, summary.readings + 1))
    assert [r.number for r in kept.readings] == [r.number for r in readings]
    for line_, track in ((caller, CALLER), (agent, AGENT)):
        assert {r.track for r in line_.readings} == {track}
        alone = cut(heard[track], META, FIRST_S, HOP_S).windows
        assert len(line_.readings) == pytest.approx(len(alone), abs=1)
    assert before.readings <= summary.readings
    assert summary.duration_s == pytest.approx(len(heard[CALLER]) / SAMPLE_RATE, abs=0.5)


class Noting(Loudness):
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.heard: list[ModelInput] = []

    def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
        self.heard += windows
        return super().score(windows)

    @property
    def utterances(self) -> list[int]:
        """Of each window, how many the caller was known by."""
        return [window.baseline_utterances for window in self.heard]


def told() -> Pcm:
    """Two stretches of speech of the same voice."""
    return np.concatenate((speech(3), line(1), speech(3), line(1)))


async def test_a_voice_is_known_by_what_it_said_before_in_the_call() -> None:
    noting = Noting()
    async with service(noting) as calls, Line(calls, started()) as spoken:
        await spoken.hear(told())
        await spoken.stream.hear(Gap(CALLER, SAMPLE_RATE))
        await spoken.hear(told())
        await spoken.end()
        assert set(noting.utterances) == {0, 1, 2, 3}
        alone = cut(np.concatenate((told(), line(1), told())), META, FIRST_S, HOP_S).windows
        assert noting.utterances == [window.model_input.baseline_utterances for window in alone]
        noting.heard.clear()
        async with Line(calls, started("call-2")) as other:
            await other.hear(speech(3))
            await other.end()
        assert set(noting.utterances) == {0}


async def test_each_track_has_a_voice_of_its_own() -> None:
    noting = Noting()
    async with service(noting) as calls, Line(calls, started()) as spoken:
        await spoken.hear(told())
        await until(lambda: set(noting.utterances) == {0, 1})
        noting.heard.clear()
        await spoken.hear(speech(3), AGENT)
        await until(lambda: bool(noting.heard))
        assert set(noting.utterances) == {0}
        await spoken.end()


@pytest.mark.parametrize("others", [True, False], ids=["a stream of a call", "a whole call"])
async def test_a_connection_that_comes_again_brings_a_voice_that_is_known(others: bool) -> None:
    noting = Noting()
    async with service(noting) as calls, contextlib.AsyncExitStack() as lines:
        if others:
            await lines.enter_async_context(Line(calls, side(AGENT), joins=True))
        async with Line(calls, side(CALLER), joins=others, replaces=True) as older:
            await older.hear(told())
            await until(lambda: set(noting.utterances) == {0, 1})
            noting.heard.clear()
            async with Line(calls, side(CALLER), joins=others, replaces=True) as newer:
                await newer.hear(told())
                await newer.end()
    assert set(noting.utterances) == {2, 3}


async def test_a_connection_that_follows_in_the_same_call_brings_a_voice_that_is_known() -> None:
    noting = Noting()
    async with service(noting) as calls, Line(calls, side(AGENT), joins=True):
        for utterances in ({0, 1}, {2, 3}):
            noting.heard.clear()
            async with Line(calls, side(CALLER), joins=True) as caller:
                await caller.hear(told())
                await caller.end()
            assert set(noting.utterances) == utterances


async def test_a_call_that_is_over_leaves_no_voice_behind() -> None:
    noting = Noting()
    async with service(noting) as calls:
        for _ in range(2):
            noting.heard.clear()
            async with Line(calls, side(CALLER)) as caller:
                await caller.hear(told())
                await caller.end()
            assert set(noting.utterances) == {0, 1}


async def test_a_part_that_comes_later_begins_where_the_call_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now_s, time=time.time)
    monkeypatch.setattr(module, "time", clock)
    pcm = sample("neutral")[: 12 * SAMPLE_RATE]
    async with service(Loudness()) as calls:
        async with Line(calls, side(CALLER), joins=True) as caller:
            now_s += 7  # silence on the wire: the call has not begun
            await caller.hear(pcm)
            now_s += 2.5
            async with Line(calls, side(AGENT), joins=True) as agent:
                await agent.hear(pcm, AGENT)
                await agent.end()
                await caller.end()
    assert len(caller.readings) > 3
    assert [r.end_s for r in agent.readings] == pytest.approx(
        [r.end_s + 2.5 for r in caller.readings]
    )


async def test_an_alert_of_one_part_survives_the_end_of_another_and_ends_with_the_call() -> None:
    async with service(Loudness()) as calls, Line(calls, side(CALLER), joins=True) as caller:
        async with Line(calls, side(AGENT), joins=True) as agent:
            await caller.hear(speech(6))
            await until(lambda: FIRING in caller.steps)
            await agent.end()
        assert caller.steps == [PENDING, FIRING]
        assert agent.steps == []
        await caller.end()
        assert caller.steps == [PENDING, FIRING, RESOLVED]


@pytest.mark.parametrize(
    ("first", "second", "bridge"),
    [(False, True, "asterisk"), (True, False, "asterisk"), (True, True, "audiosocket")],
)
async def test_what_cannot_join_is_refused(first: bool, second: bool, bridge: str) -> None:
    async with service(Loudness()) as calls, Line(calls, side(CALLER), joins=first):
        with pytest.raises(CallExists):
            Line(calls, side(AGENT, bridge=bridge), joins=second, replaces=True)
        assert len(calls) == 1


async def test_a_call_that_comes_again_replaces_the_live_one_and_ends_it() -> None:
    slow = Slow()
    async with service(slow) as calls:
        async with Line(calls, side(CALLER), replaces=True) as older:
            await older.hear(speech(4))
            async with Line(calls, side(CALLER), replaces=True) as newer:
                assert (older.replaced, newer.replaced) == (1, 0)
                assert len(calls) == 1
                assert newer.stream.call.session != older.stream.call.session
                summary = await older.end()  # nothing is left to be read
                await older.hear(speech(4))
                slow.go.set()
                await newer.hear(speech(4))
                assert (await newer.end()).readings > 1
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    assert older.said == []
    assert (summary.readings, summary.duration_s) == (0, 4)
    assert summary.dropped > 0
    assert kept is not None
    assert kept.session == newer.stream.call.session
    assert kept.reason == "hangup"
    assert kept.duration_s == 4


async def test_a_replaced_call_frees_its_place() -> None:
    async with service(Loudness(), max_calls=1) as calls:
        async with Line(calls, side(CALLER), replaces=True):
            Line(calls, side(CALLER), replaces=True).stream.abandon("left")
        assert len(calls) == 0


async def test_a_retry_must_be_of_the_same_dialect_and_voice() -> None:
    async with service(Loudness()) as calls, Line(calls, side(CALLER), replaces=True) as live:
        for other in (side(CALLER, bridge="twilio"), side(AGENT)):
            with pytest.raises(CallExists):
                Line(calls, other, replaces=True)
        assert live.replaced == 0


async def test_a_part_that_comes_again_replaces_that_part_alone() -> None:
    async with service(Loudness()) as calls, Line(calls, side(AGENT), joins=True) as agent:
        async with Line(calls, side(CALLER), joins=True) as older:
            await older.hear(speech(8))
            await until(lambda: len(older.readings) > 3)
            async with Line(calls, side(CALLER), joins=True, replaces=True) as newer:
                assert (older.replaced, agent.replaced) == (1, 0)
                assert newer.stream.call is agent.stream.call
                await newer.hear(speech(4))
                summary = await newer.end()
        assert newer.readings
        # It came in no time, but what was heard stays before what is.
        assert newer.readings[0].start_s >= 8
        assert summary.duration_s == pytest.approx(12)
        await agent.end()
    assert len(calls) == 0
