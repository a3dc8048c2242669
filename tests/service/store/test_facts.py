"""The facts of calls in Redis: kept with the call, but the agent's name no longer than it lasts."""

import asyncio
from dataclasses import replace

from service.events import CallFacts, Consent
from service.store import keys
from service.store.entries import CallStartedEntry, Command, serialize
from service.store.views import CallView
from tests.service.store.backend import Backend, delivered, events_of, running, take, until
from tests.service.store.facts import NOW, started

FACTS = CallFacts("+49301234567", "+4930999", "billing", "Ann Lee", "de", "https://pbx.example/1")
WITH_FACTS = replace(started(), facts=FACTS, consent=Consent.GIVEN)


async def test_a_call_has_its_facts_and_without_the_agent_when_it_has_ended(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        events = events_of(store, None)
        first = asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await until(lambda: store.feed.subscribers == 1 and store.feed.following)
        store.call_started("s1", WITH_FACTS, NOW)
        told = CallView.model_validate_json((await first).data)
        assert (told.facts, told.consent) == (FACTS, Consent.GIVEN)
        await delivered(store)
        assert [call.facts for call in (await store.calls(None, 1)).calls] == [FACTS]
        store.call_ended("s1", "call-1", "hangup", 1.0, NOW + 1)
        await delivered(store)
        (ended,) = (await store.calls(None, 1)).calls
        assert ended.facts == replace(FACTS, agent=None)
        (told_end,) = await take(events, 1)
        assert CallView.model_validate_json(told_end.data).facts == ended.facts
        assert "Ann Lee" not in str(await backend.everything())
        assert await backend.event_kinds() == ["call_ended"]


async def test_an_agent_of_a_call_that_was_lost_or_replaced_is_forgotten(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", WITH_FACTS, NOW)
        store.call_started("s2", started(), NOW + 1)
        await delivered(store)
        assert "Ann Lee" not in str(await backend.everything())
        store.call_started("s3", replace(WITH_FACTS, call_id="call-3"), NOW)
        await delivered(store)
        await backend.redis.zadd(keys.CALLS_LIVE, {"s3": 0})
        result = await store._script.apply([Command("sweep", ["lost_after_s", "30"])])
        assert result.problem == ""
        assert "Ann Lee" not in str(await backend.everything())


async def test_a_joined_stream_adds_facts_and_an_agent(backend: Backend) -> None:
    async with running(backend.store()) as store:
        few = replace(started(), facts=CallFacts(queue="billing"))
        store.call_started("s1", few, NOW)
        store.call_joined("s1", replace(few, facts=FACTS), NOW)
        store.call_joined("s1", few, NOW)  # late: adds nothing
        await delivered(store)
        (call,) = (await store.calls(None, 1)).calls
        assert call.facts == FACTS


async def test_what_an_earlier_version_wrote_stays_readable(backend: Backend) -> None:
    async with running(backend.store()) as store:
        old = serialize(CallStartedEntry("s1", started(queue="billing"), NOW))
        arguments = [
            text
            for name, value in zip(old.arguments[::2], old.arguments[1::2], strict=True)
            if name not in ("facts", "consent")
            for text in (name, value)
        ]
        result = await store._script.apply([Command(old.kind, arguments)])
        assert result.applied == 1
        await backend.redis.hdel(keys.call_key("call-1"), "facts", "consent")
        (call,) = (await store.calls(None, 1)).calls
        assert (call.facts, call.consent) == (CallFacts(), Consent.UNKNOWN)
        assert call.metadata == {"queue": "billing"}
        joined = [*arguments[:4], "tracks", '["caller", "agent", "x"]', "metadata", "{}"]
        assert (await store._script.apply([Command("call_joined", joined)])).problem == ""
