import contextlib

import numpy as np
import pytest

from model.audio import SAMPLE_RATE
from service.classification import cut
from service.events import Gap
from tests.service.calls.harness import (
    AGENT,
    CALLER,
    FIRST_S,
    HOP_S,
    META,
    LiveStream,
    RecordingScorer,
    one_track,
    service,
    silence,
    speech,
    started,
    two_stretches,
    until,
)


def all_scored(scorer: RecordingScorer) -> bool:
    """Whether as many windows of the second of `two_stretches` are scored as of the first."""
    return scorer.utterances.count(1) == scorer.utterances.count(0) > 0


async def test_a_window_is_scored_against_the_speech_before_it_in_the_call() -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls, LiveStream(calls, started()) as live:
        await live.send(two_stretches())
        await live.stream.receive(Gap(CALLER, SAMPLE_RATE))
        await live.send(two_stretches())
        await live.end()
        assert set(scorer.utterances) == {0, 1, 2, 3}
        alone = cut(
            np.concatenate((two_stretches(), silence(1), two_stretches())), META, FIRST_S, HOP_S
        ).windows
        assert scorer.utterances == [window.model_input.baseline_utterances for window in alone]
        scorer.inputs.clear()
        async with LiveStream(calls, started("call-2")) as other:
            await other.send(speech(3))
            await other.end()
        assert set(scorer.utterances) == {0}


async def test_each_track_has_a_baseline_of_its_own() -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls, LiveStream(calls, started()) as live:
        await live.send(two_stretches())
        await until(lambda: all_scored(scorer))
        scorer.inputs.clear()
        await live.send(speech(3), AGENT)
        await until(lambda: bool(scorer.inputs))
        assert set(scorer.utterances) == {0}
        await live.end()


@pytest.mark.parametrize("others", [True, False], ids=["a stream of a call", "a whole call"])
async def test_a_retry_goes_on_with_the_baseline_of_what_it_replaces(
    others: bool,
) -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls, contextlib.AsyncExitStack() as stack:
        if others:
            await stack.enter_async_context(LiveStream(calls, one_track(AGENT), joins=True))
        async with LiveStream(calls, one_track(CALLER), joins=others, replaces=True) as older:
            await older.send(two_stretches())
            await until(lambda: all_scored(scorer))
            scorer.inputs.clear()
            async with LiveStream(calls, one_track(CALLER), joins=others, replaces=True) as newer:
                await newer.send(two_stretches())
                await newer.end()
    assert set(scorer.utterances) == {2, 3}


async def test_a_later_connection_of_the_same_call_goes_on_with_the_baseline() -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls, LiveStream(calls, one_track(AGENT), joins=True):
        for utterances in ({0, 1}, {2, 3}):
            scorer.inputs.clear()
            async with LiveStream(calls, one_track(CALLER), joins=True) as caller:
                await caller.send(two_stretches())
                await caller.end()
            assert set(scorer.utterances) == utterances


async def test_a_new_call_of_the_same_id_starts_without_a_baseline() -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls:
        for _ in range(2):
            scorer.inputs.clear()
            async with LiveStream(calls, one_track(CALLER)) as caller:
                await caller.send(two_stretches())
                await caller.end()
            assert set(scorer.utterances) == {0, 1}
