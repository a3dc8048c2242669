import pytest

from service.errors import CallExists, Overloaded
from tests.service.calls.harness import (
    AGENT,
    CALLER,
    ENOUGH_S,
    BlockedScorer,
    LiveStream,
    LoudnessScorer,
    one_track,
    service,
    speech,
    started,
)


async def test_an_id_is_refused_while_a_call_has_it_and_free_after_its_end() -> None:
    async with service(LoudnessScorer()) as calls:
        async with LiveStream(calls, started()) as live:
            with pytest.raises(CallExists, match="got call_id 'call-1'"):
                calls.open(started(), lambda _: None)
            assert len(calls) == 1
            await live.end()
        async with LiveStream(calls, started()) as again:
            assert again.stream.session != live.stream.session
            await again.end()
        assert len(calls) == 0
        refused = calls.context.metrics.registry.get_sample_value(
            "kanjo_calls_refused_total", {"provider": "native", "reason": "CallExists"}
        )
    assert refused == 1


async def test_one_call_more_than_the_service_admits_is_refused_and_affects_no_other() -> None:
    async with service(LoudnessScorer(), max_calls=2) as calls:
        async with LiveStream(calls, started("a")) as a, LiveStream(calls, started("b")):
            with pytest.raises(Overloaded, match="all 2 calls"):
                calls.open(started("c"), lambda _: None)
            await a.send(speech(4))
            assert (await a.end()).readings > 1
            metrics = calls.context.metrics.registry
            assert metrics.get_sample_value("kanjo_live_calls") == 1
            assert await calls.context.store.flush(ENOUGH_S)
            assert await calls.context.store.call("c") is None
        async with LiveStream(calls, started("c")) as c:
            await c.end()
        assert metrics.get_sample_value("kanjo_live_calls") == 0


async def test_a_retry_replaces_the_live_call_and_ends_it() -> None:
    blocked = BlockedScorer()
    async with service(blocked) as calls:
        async with LiveStream(calls, one_track(CALLER), replaces=True) as older:
            await older.send(speech(4))
            async with LiveStream(calls, one_track(CALLER), replaces=True) as newer:
                assert (older.replaced, newer.replaced) == (1, 0)
                assert len(calls) == 1
                assert newer.stream.session != older.stream.session
                summary = await older.end()  # no window is left
                await older.send(speech(4))
                blocked.go.set()
                await newer.send(speech(4))
                assert (await newer.end()).readings > 1
        assert await calls.context.store.flush(ENOUGH_S)
        kept = await calls.context.store.call("call-1")
    assert older.results == []
    assert (summary.readings, summary.duration_s) == (0, 4)
    assert summary.dropped > 0
    assert kept is not None
    assert kept.session == newer.stream.session
    assert kept.reason == "hangup"
    assert kept.duration_s == 4


async def test_a_replaced_call_frees_its_place() -> None:
    async with service(LoudnessScorer(), max_calls=1) as calls:
        async with LiveStream(calls, one_track(CALLER), replaces=True):
            LiveStream(calls, one_track(CALLER), replaces=True).stream.abandon("left")
        assert len(calls) == 0


async def test_a_retry_must_be_of_the_same_bridge_and_track() -> None:
    async with (
        service(LoudnessScorer()) as calls,
        LiveStream(calls, one_track(CALLER), replaces=True) as live,
    ):
        for other in (one_track(CALLER, bridge="twilio"), one_track(AGENT)):
            with pytest.raises(CallExists):
                LiveStream(calls, other, replaces=True)
        assert live.replaced == 0
