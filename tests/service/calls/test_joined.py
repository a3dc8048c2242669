import asyncio

import pytest
import soxr

from model.audio import SAMPLE_RATE
from service.classification import cut
from service.errors import CallExists
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
    LiveStream,
    LoudnessScorer,
    one_track,
    sample,
    service,
    speech,
    torch_scorer,
    until,
)


async def test_connections_of_other_tracks_join_into_one_call_each_at_its_own_rate() -> None:
    agent_rate = 16_000
    voices = {CALLER: sample("neutral", 0), AGENT: sample("neutral", 1)}
    wide = soxr.resample(voices[AGENT], SAMPLE_RATE, agent_rate, quality="VHQ")
    async with service(torch_scorer()) as calls:
        async with LiveStream(calls, one_track(CALLER), joins=True) as caller:
            async with LiveStream(calls, one_track(AGENT, agent_rate), joins=True) as agent:
                assert len(calls) == 1
                await asyncio.gather(
                    caller.send(voices[CALLER]),
                    agent.send(wide, AGENT, frame_samples=3200),
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
    for stream, track in ((caller, CALLER), (agent, AGENT)):
        assert {r.track for r in stream.readings} == {track}
        alone = cut(voices[track], META, FIRST_S, HOP_S).windows
        assert len(stream.readings) == pytest.approx(len(alone), abs=1)
    assert before.readings <= summary.readings
    assert summary.duration_s == pytest.approx(len(voices[CALLER]) / SAMPLE_RATE, abs=0.5)


async def test_a_stream_that_joins_later_begins_at_that_moment_of_the_call() -> None:
    now_s = 1000.0
    pcm = sample("neutral")[: 12 * SAMPLE_RATE]
    async with service(LoudnessScorer(), clock=lambda: now_s) as calls:
        async with LiveStream(calls, one_track(CALLER), joins=True) as caller:
            now_s += 7  # no audio yet: call time has not begun
            await caller.send(pcm)
            now_s += 2.5
            async with LiveStream(calls, one_track(AGENT), joins=True) as agent:
                await agent.send(pcm, AGENT)
                await agent.end()
                await caller.end()
    assert len(caller.readings) > 3
    assert [r.end_s for r in agent.readings] == pytest.approx(
        [r.end_s + 2.5 for r in caller.readings]
    )


async def test_an_alert_of_one_stream_outlasts_another_stream_and_ends_with_the_call() -> None:
    async with (
        service(LoudnessScorer()) as calls,
        LiveStream(calls, one_track(CALLER), joins=True) as caller,
    ):
        async with LiveStream(calls, one_track(AGENT), joins=True) as agent:
            await caller.send(speech(6))
            await until(lambda: FIRING in caller.states)
            await agent.end()
        assert caller.states == [PENDING, FIRING]
        assert agent.states == []
        await caller.end()
        assert caller.states == [PENDING, FIRING, RESOLVED]


@pytest.mark.parametrize(
    ("first", "second", "bridge"),
    [(False, True, "asterisk"), (True, False, "asterisk"), (True, True, "audiosocket")],
)
async def test_a_stream_that_cannot_join_is_refused(first: bool, second: bool, bridge: str) -> None:
    async with (
        service(LoudnessScorer()) as calls,
        LiveStream(calls, one_track(CALLER), joins=first),
    ):
        with pytest.raises(CallExists):
            LiveStream(calls, one_track(AGENT, bridge=bridge), joins=second, replaces=True)
        assert len(calls) == 1


async def test_a_retry_of_one_stream_replaces_that_stream_alone() -> None:
    async with (
        service(LoudnessScorer()) as calls,
        LiveStream(calls, one_track(AGENT), joins=True) as agent,
    ):
        async with LiveStream(calls, one_track(CALLER), joins=True) as older:
            await older.send(speech(8))
            await until(lambda: len(older.readings) > 3)
            async with LiveStream(calls, one_track(CALLER), joins=True, replaces=True) as newer:
                assert (older.replaced, agent.replaced) == (1, 0)
                assert newer.stream.session == agent.stream.session
                await newer.send(speech(4))
                summary = await newer.end()
        assert newer.readings
        # It was sent faster than real time, but comes after the audio of the older connection.
        assert newer.readings[0].start_s >= 8
        assert summary.duration_s == pytest.approx(12)
        await agent.end()
    assert len(calls) == 0
