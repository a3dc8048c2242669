"""Consent: nothing is analysed before it where it is required, and nothing is left of a refusal."""

import asyncio
from dataclasses import replace

from service.calls.registry import CallRegistry
from service.events import CallFacts, Consent
from service.store.audit import AuditEntry
from tests.service.calls.harness import (
    CALLER,
    ENOUGH_S,
    BlockedScorer,
    LiveStream,
    LoudnessScorer,
    RecordingScorer,
    one_track,
    service,
    speech,
    started,
    until,
)

FACTS = CallFacts(caller_number="+49301234567")


async def kept(calls: CallRegistry) -> list[str]:
    """Returns the consent of each call that is kept."""
    assert await calls.context.store.flush(ENOUGH_S)
    return [call.consent for call in (await calls.context.store.calls(None, 10)).calls]


async def test_where_it_is_required_nothing_is_scored_until_it_is_given() -> None:
    scorer = RecordingScorer()
    async with service(scorer, consent_required=True) as calls:
        async with LiveStream(calls, started()) as live:
            await live.send(speech(4), frame_samples=160)
            assert scorer.inputs == []
            assert await kept(calls) == ["unknown"]
            assert calls.give_consent(live.stream.session)
            await live.send(speech(4))
            await live.end()
        assert await kept(calls) == ["given"]
    assert live.readings
    assert all(reading.start_s >= 4.0 - 1e-6 for reading in live.readings)
    assert 7.5 < live.readings[-1].end_s <= 8.0 + 1e-6


async def test_consent_of_the_bridge_counts_from_the_start() -> None:
    async with service(LoudnessScorer(), consent_required=True) as calls:
        async with LiveStream(calls, replace(started(), consent=Consent.GIVEN)) as live:
            await live.send(speech(3))
            await live.end()
        assert await kept(calls) == ["given"]
    assert live.readings


async def test_consent_of_another_stream_counts_for_the_call() -> None:
    async with service(LoudnessScorer(), consent_required=True) as calls:
        async with LiveStream(calls, one_track(CALLER), joins=True) as live:
            other = replace(started(), bridge="asterisk", tracks=(), consent=Consent.GIVEN)
            async with LiveStream(calls, other, joins=True):
                await live.send(speech(3))
                await live.end()
    assert live.readings


async def test_without_the_setting_unknown_consent_stops_nothing() -> None:
    async with service(LoudnessScorer()) as calls, LiveStream(calls, started()) as live:
        await live.send(speech(3))
        await live.end()
    assert live.readings


async def test_a_refusal_stops_the_analysis_at_once_and_leaves_nothing() -> None:
    scorer = BlockedScorer()
    async with service(scorer) as calls:
        async with LiveStream(calls, replace(started(), facts=FACTS)) as live:
            scorer.go.set()
            await live.send(speech(3))
            await until(lambda: len(live.readings) > 0)
            scorer.go.clear()
            await live.send(speech(3))
            session, told = live.stream.session, len(live.results)
            calls.refuse(session)
            calls.context.store.refused(session, "call-1", "Ada")
            scorer.go.set()
            await live.send(speech(3))
            summary = await live.end()
            assert len(live.results) == told
            assert (summary.readings, summary.alerts) == (0, 0)
        page = await audited(calls)
        assert [(entry.name, entry.action) for entry in page] == [("Ada", "refused")]
        assert await kept(calls) == []
        assert await calls.context.store.call("call-1") is None
        assert (await calls.context.store.reader.alerts(None, 10)).alerts == []
    assert len(calls) == 0


async def test_a_call_that_is_refused_from_its_start_is_never_kept() -> None:
    scorer = RecordingScorer()
    async with service(scorer) as calls:
        refused = replace(started(), facts=FACTS, consent=Consent.REFUSED)
        async with LiveStream(calls, refused) as live:
            live.stream.report("got noise")
            await live.send(speech(3))
            calls.give_consent(live.stream.session)
            await live.send(speech(3))
            await live.end()
        assert [entry.name for entry in await audited(calls)] == ["native"]
        assert await kept(calls) == []
    assert (live.results, scorer.inputs) == ([], [])


async def test_another_process_may_erase_or_consent_to_a_call_that_is_live_here() -> None:
    async with service(LoudnessScorer(), consent_required=True) as calls:
        calls.context.store.feed.listener = calls.on_event
        async with LiveStream(calls, started()) as live:
            session = live.stream.session
            await until(lambda: calls.context.store.feed.following)
            calls.on_event("call_started", {"session": session, "consent": "given"})
            await live.send(speech(3))
            await until(lambda: len(live.readings) > 0)
            assert await kept(calls) == ["given"]
            await calls.context.store.erase("call-1", [session], "Ada", "purged")
            await until(lambda: live.stream._call.refused)
            told = len(live.results)
            await live.send(speech(3))
            await live.end()
            assert len(live.results) == told
        assert await kept(calls) == []
    assert not calls.give_consent("nobody's")


async def audited(calls: CallRegistry) -> list[AuditEntry]:
    """Waits until the audit has an entry, and returns all of them."""
    async with asyncio.timeout(ENOUGH_S):
        while not (page := await calls.context.store.audit.page(None, 10)).entries:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return page.entries
