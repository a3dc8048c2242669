import asyncio

import numpy as np
import pytest
import soxr

from model.audio import SAMPLE_RATE
from model.speaker_baseline import SpeakerBaseline
from service.calls.track import PIECE_SAMPLES
from service.classification import cut
from service.events import Audio, Gap
from tests.service.calls.harness import (
    CALLER,
    ENOUGH_S,
    FIRST_S,
    HOP_S,
    MAX_IN_FLIGHT,
    META,
    BlockedScorer,
    LiveStream,
    LoudnessScorer,
    sample,
    service,
    silence,
    speech,
    started,
    until,
)


async def test_after_a_gap_call_time_has_gone_on() -> None:
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        await live.send(sample()[: 8 * SAMPLE_RATE])
        before = len(cut(sample()[: 8 * SAMPLE_RATE], META, FIRST_S, HOP_S).windows)
        await live.stream.receive(Gap(CALLER, 100 * SAMPLE_RATE))
        await live.send(sample())
        summary = await live.end()
    after = live.readings[before:]
    alone = cut(sample(), META, FIRST_S, HOP_S).windows
    assert [r.end_s for r in after] == pytest.approx([w.end_s + 108 for w in alone])
    assert summary.duration_s == pytest.approx(108 + len(sample()) / SAMPLE_RATE)


async def test_one_packet_in_ten_may_be_lost_without_ending_a_sentence() -> None:
    frames = np.split(sample()[: 20 * SAMPLE_RATE], 1000)  # of 20 ms
    lost = set(np.random.default_rng(0).choice(np.arange(1, 1000), 100, replace=False).tolist())
    whole = cut(np.concatenate(frames), META, FIRST_S, HOP_S).windows
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        for number, frame in enumerate(frames):
            if number in lost:
                await live.stream.receive(Gap(CALLER, len(frame)))
            else:
                await live.stream.receive(Audio(CALLER, frame))
        summary = await live.end()
        concealed = calls.context.metrics.registry.get_sample_value(
            "kanjo_concealed_audio_seconds_total"
        )
    assert concealed == pytest.approx(2)
    assert summary.duration_s == pytest.approx(20)
    assert abs(len(live.readings) - len(whole)) <= 1
    heard_s = sum(reading.heard_s for reading in live.readings)
    assert heard_s == pytest.approx(sum(window.heard_s for window in whole), abs=0.5)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_other_sample_rates_are_cut_as_8_khz_is(rate: int) -> None:
    pcm = sample("neutral")[: 20 * SAMPLE_RATE]
    wide = soxr.resample(pcm, SAMPLE_RATE, rate, quality="VHQ")
    expected = cut(pcm, META, FIRST_S, HOP_S).windows
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started(rate=rate)) as live:
        await live.send(wide, frame_samples=rate // 10)
        summary = await live.end()
    assert len(live.readings) == len(expected) > 5
    assert [r.end_s for r in live.readings] == pytest.approx([w.end_s for w in expected], abs=0.05)
    assert summary.duration_s == pytest.approx(20, abs=0.001)


async def test_a_gap_at_another_sample_rate_lasts_as_long() -> None:
    rate = 44_100
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started(rate=rate)) as live:
        await live.stream.receive(Gap(CALLER, 2 * rate))
        await live.stream.receive(Audio(CALLER, np.zeros(rate, np.int16)))
        await live.stream.receive(Gap(CALLER, rate))
        assert (await live.end()).duration_s == pytest.approx(4, abs=0.001)


async def test_audio_faster_than_real_time_lets_other_tasks_run_every_second() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        counting = asyncio.create_task(count())
        await live.stream.receive(Audio(CALLER, sample()[: 30 * SAMPLE_RATE]))
        counting.cancel()
        await live.end()
    assert turns >= 28  # the task that counts may miss the first and the last


async def test_audio_faster_than_the_scorer_is_slowed_down_and_nothing_is_lost() -> None:
    pcm = np.tile(sample(), 4)
    blocked = BlockedScorer()
    async with service(blocked) as calls, LiveStream(calls, started()) as live:
        sending = asyncio.create_task(live.stream.receive(Audio(CALLER, pcm)))
        batcher = calls.context.batcher
        await until(lambda: len(batcher) >= MAX_IN_FLIGHT - 8)  # a batch is with the scorer
        await asyncio.sleep(0.1)
        assert not sending.done()
        assert len(batcher) <= MAX_IN_FLIGHT
        blocked.go.set()
        await asyncio.wait_for(sending, ENOUGH_S)
        summary = await live.end()
    assert summary.dropped == 0
    assert summary.readings == len(cut(pcm, META, FIRST_S, HOP_S).windows) > MAX_IN_FLIGHT


@pytest.mark.parametrize(("queued", "windows"), [(0, 19), (1900, 19), (5000, 8), (8000, 5)])
async def test_the_hop_grows_under_pressure(queued: int, windows: int) -> None:
    empty = SpeakerBaseline(META.features).features(
        np.zeros((1, META.features.n_features), np.float32)
    )
    async with service(LoudnessScorer(), gate=False, queue_max=8000, scoring=False) as calls:
        for other in range(queued):
            calls.context.batcher.submit(empty, other)
        stream = calls.open(started(), lambda _: None)
        await stream.receive(Audio(CALLER, silence(20)))
        assert stream.abandon("hung up").dropped == windows


async def test_the_hop_does_not_grow_because_of_one_other_call() -> None:
    empty = SpeakerBaseline(META.features).features(
        np.zeros((1, META.features.n_features), np.float32)
    )
    async with service(LoudnessScorer(), gate=False, queue_max=8000, scoring=False) as calls:
        for _ in range(8000):
            calls.context.batcher.submit(empty, "greedy")
        stream = calls.open(started(), lambda _: None)
        await stream.receive(Audio(CALLER, silence(20)))
        assert stream.abandon("hung up").dropped == 19


async def test_dropped_windows_are_counted_and_give_no_reading() -> None:
    blocked = BlockedScorer()
    async with service(blocked, queue_max=2) as calls, LiveStream(calls, started()) as live:
        await live.send(sample()[: 20 * SAMPLE_RATE])
        blocked.go.set()
        summary = await live.end()
        counted = calls.context.metrics.registry.get_sample_value(
            "kanjo_windows_dropped_total", {"reason": "queue_full"}
        )
    assert summary.dropped == counted > 0
    assert summary.readings == len(live.readings) > 0
    assert [r.number for r in live.readings] == list(range(1, summary.readings + 1))


@pytest.mark.parametrize("frame_samples", [80, 1600, 40 * SAMPLE_RATE])
async def test_speech_lateness_contains_the_pause_that_ends_a_stretch(frame_samples: int) -> None:
    """On a clock that stands still, lateness is the audio that came after the window's end."""
    pcm = np.concatenate((speech(1.2), silence(2)))
    windows = cut(pcm, META, FIRST_S, HOP_S).windows
    async with service(LoudnessScorer(), clock=lambda: 100.0) as calls:
        async with LiveStream(calls, started()) as live:
            await live.send(pcm, frame_samples=frame_samples)
            await live.end()
        found = calls.context.metrics.registry.get_sample_value
    assert len(live.readings) == len(windows) == 1  # shorter than a first window: it ends by pause
    late_s = found("kanjo_speech_lateness_seconds_sum")
    if frame_samples < len(pcm):
        expected_s, within_s = 0.6, (frame_samples + PIECE_SAMPLES) / SAMPLE_RATE
    else:  # all of it came at once, so that the pause was over long before
        expected_s, within_s = len(pcm) / SAMPLE_RATE - windows[0].end_s, 0.001
    assert late_s == pytest.approx(expected_s, abs=within_s)
    assert found("kanjo_reading_lateness_seconds_sum") == 0
