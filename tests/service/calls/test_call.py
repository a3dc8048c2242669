import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import structlog

from model.audio import SAMPLE_RATE
from model.speaker_baseline import ModelInput
from service.classification import cut
from service.events import Audio, CallSummary, Gap, Transition
from service.scoring.scorer import Posterior
from tests.service.calls.harness import (
    AGENT,
    CALLER,
    ENOUGH_S,
    FIRING,
    FIRST_S,
    HOP_S,
    META,
    PENDING,
    RESOLVED,
    BlockedScorer,
    LiveStream,
    LoudnessScorer,
    sample,
    service,
    silence,
    spans,
    speech,
    started,
    torch_scorer,
    until,
)


async def test_readings_are_numbered_in_order_and_each_track_is_scored_apart() -> None:
    voices = {CALLER: sample("neutral", 0), AGENT: sample("neutral", 1)}
    async with service(torch_scorer()) as calls:
        async with LiveStream(calls, started()) as live:
            for start in range(0, len(voices[CALLER]), 800):
                for track, pcm in voices.items():
                    await live.stream.receive(Audio(track, pcm[start : start + 800]))
                await asyncio.sleep(0)
            summary = await live.end()
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    readings = live.readings
    assert [r.number for r in readings] == list(range(1, len(readings) + 1))
    assert all(r.call_id == "call-1" for r in readings)
    speech_s = 0.0
    for track, pcm in voices.items():
        alone = cut(pcm, META, FIRST_S, HOP_S)
        mine = [r for r in readings if r.track is track]
        assert len(mine) > 3
        assert spans(mine) == [(w.start_s, w.end_s, w.heard_s) for w in alone.windows]
        for reading, window in zip(mine, alone.windows, strict=True):
            [expected] = torch_scorer().score([window.model_input])
            assert reading.probabilities == pytest.approx(expected.emotion, abs=1e-5)
        speech_s += alone.speech_s
    assert summary.duration_s == len(voices[CALLER]) / SAMPLE_RATE
    assert summary.speech_s == pytest.approx(speech_s)
    assert summary.readings == len(readings)
    assert summary.dropped == 0
    assert kept is not None
    assert [r.number for r in kept.readings] == [r.number for r in readings]
    assert kept.state == "ended"
    assert kept.duration_s == summary.duration_s


async def test_an_alert_fires_once_and_is_resolved_by_the_end_of_the_call() -> None:
    async with service(LoudnessScorer()) as calls:
        async with LiveStream(calls, started()) as live:
            await live.send(speech(4, loudness=0.1))
            assert live.states == []
            await live.send(speech(12))
            await until(lambda: FIRING in live.states)
            summary = await live.end()
        assert await calls.context.store.flush(ENOUGH_S)
        page = await calls.context.store.reader.alerts(None, 10)
    assert live.states == [PENDING, FIRING, RESOLVED]
    assert summary.alerts == 1
    last = live.results[-1]
    assert isinstance(last, Transition)
    assert last.at_s == pytest.approx(16)
    assert 0.6 <= last.peak <= 0.9
    [alert] = page.alerts
    assert alert.state == "resolved"
    assert alert.call_id == "call-1"


@pytest.mark.parametrize("kind", ["audio", "gap"])
async def test_an_alert_that_has_cleared_is_resolved_in_the_silence_after(kind: str) -> None:
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        await live.send(np.concatenate((speech(6), speech(8, loudness=0.1))))
        assert live.states == [PENDING, FIRING]
        for _ in range(8):
            if kind == "audio":
                await live.send(silence(1))
            else:
                await live.stream.receive(Gap(CALLER, SAMPLE_RATE))
            await until(lambda: len(calls.context.batcher) == 0)
            await asyncio.sleep(0.01)
        assert live.states == [PENDING, FIRING, RESOLVED]
        summary = await live.end()
    assert live.states == [PENDING, FIRING, RESOLVED]
    assert summary.duration_s == 22


async def test_an_abandoned_call_publishes_no_more_and_leaves_nothing_open() -> None:
    blocked = BlockedScorer()
    async with service(blocked) as calls:
        async with LiveStream(calls, started()) as live:
            await live.send(speech(10))
            summary = live.stream.abandon("disconnected")
            blocked.go.set()
            await until(lambda: len(calls.context.batcher) == 0)
        async with LiveStream(calls, started("call-2")) as other:
            await other.send(speech(4))
            assert (await other.end()).readings > 1
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    assert live.results == []
    assert summary.readings == 0
    assert summary.dropped > 5
    assert summary.duration_s == 10
    assert kept is not None
    assert (kept.state, kept.duration_s) == ("ended", 10)


async def test_an_open_alert_of_an_abandoned_call_is_resolved() -> None:
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        await live.send(speech(6))
        await until(lambda: FIRING in live.states)
        assert live.stream.abandon("disconnected").alerts == 1
    assert live.states == [PENDING, FIRING, RESOLVED]


async def test_a_call_without_audio_ends_with_an_empty_summary() -> None:
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        summary = await live.end()
    assert summary == CallSummary(0.0, 0.0, 0, 0, 0)


async def test_a_call_goes_on_after_a_window_that_cannot_be_scored() -> None:
    class FailingOnce(LoudnessScorer):
        scored = 0

        def score(self, windows: Sequence[ModelInput]) -> list[Posterior]:
            self.scored += 1
            if self.scored == 1:
                raise ArithmeticError("the first fails")
            return super().score(windows)

    async with service(FailingOnce()) as calls, LiveStream(calls, started()) as live:
        await live.send(speech(2))
        await until(lambda: len(calls.context.batcher) == 0)
        await live.send(speech(6))
        summary = await live.end()
    assert summary.dropped == 1
    assert summary.readings == len(live.readings) > 3


async def test_log_entries_name_the_session_and_no_numbers() -> None:
    number = "+81312345678"
    with structlog.testing.capture_logs() as entries:
        async with service(LoudnessScorer()) as calls:
            begin = replace(started(number), metadata={"from": number})
            async with LiveStream(calls, begin) as live:
                await live.send(speech(6))
                session = live.stream.session
                await asyncio.wait_for(live.stream.end(f"call of {number}"), ENOUGH_S)
    by_name = {entry["event"]: entry for entry in entries}
    assert {"call_started", "alert", "call_ended"} <= set(by_name)
    assert {entry["session"] for entry in by_name.values() if "session" in entry} == {session}
    assert by_name["call_started"]["bridge"] == "native"
    assert by_name["call_started"]["tracks"] == "caller agent"
    assert by_name["alert"]["emotion"] == "anger"
    assert by_name["call_ended"]["reason"] == "other"
    assert by_name["call_ended"]["readings"] > 0
    assert number not in str(entries)
