import asyncio
import json
import time

import pytest

from service.store import keys
from service.store.errors import BadCursor
from service.store.event_batch import EventBatch
from tests.limits import ENOUGH_S
from tests.service.store.backend import Backend, delivered, events_of, running, take, until
from tests.service.store.facts import NOW, reading, started, whole_call


async def test_every_subscriber_gets_every_event_as_the_views_that_are_read(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        await until(lambda: store.feed.following)
        both = [events_of(store, None), events_of(store, None)]
        taking = [asyncio.create_task(take(events, 8)) for events in both]
        await asyncio.sleep(0)
        whole_call(store)
        one, other = await asyncio.gather(*taking)
        assert one == other
        assert [event.kind for event in one] == await backend.event_kinds()
        call = await store.call("call-1")
        assert call is not None
        bodies = [json.loads(event.data) for event in one]
        assert bodies[0]["call_id"] == "call-1"
        assert bodies[0]["state"] == "live"
        assert bodies[1] == call.readings[0].model_dump(mode="json")
        assert bodies[6] == call.alerts[0].model_dump(mode="json")
        assert bodies[6]["text"] == "sounds angry (0.82)"
        assert bodies[7].items() <= call.model_dump(mode="json").items()
        for events in both:
            await events.aclose()
        assert store.feed.subscribers == 0


async def test_a_cursor_joins_reads_and_events_without_gap_or_duplicate(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()
        for n in range(1, 601):
            store.reading("s1", reading(n), NOW)
            if n == 300:
                events = events_of(store, cursor)
                first = await take(events, 1)
        rest = await take(events, 599)
        numbers = [json.loads(event.data)["number"] for event in [*first, *rest]]
        assert numbers == list(range(1, 601))
        again = await take(events_of(store, rest[-3].id), 2)
        assert again == rest[-2:]


async def test_subscribers_that_join_amid_many_events_get_each_event_once(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()

        async def write() -> None:
            for n in range(1, 401):
                store.reading("s1", reading(n), NOW)
                await asyncio.sleep(0.001)

        async def join(after_s: float) -> list[int]:
            await asyncio.sleep(after_s)
            got = await take(events_of(store, cursor), 400)
            return [json.loads(event.data)["number"] for event in got]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            joined = [tasks.create_task(join(n / 50)) for n in range(20)]
        for got in joined:
            assert got.result() == list(range(1, 401))


async def test_a_slow_subscriber_gets_one_resync_and_then_continues(backend: Backend) -> None:
    async with running(backend.store(subscriber_limit=256)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        slow = events_of(store, await store.cursor())
        store.reading("s1", reading(1), NOW)
        assert (await take(slow, 1))[0].kind == "reading"
        for n in range(2, 302):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        last = await store.cursor()
        await until(lambda: store.feed.position == last)
        assert [event.kind for event in await take(slow, 1)] == ["resync"]
        store.reading("s1", reading(302), NOW)
        numbers = [0]
        while numbers[-1] != 302:
            [event] = await take(slow, 1)
            numbers.append(json.loads(event.data)["number"])
        # The 257th event emptied the full queue; those after it were queued again.
        assert numbers[1:] == list(range(numbers[1], 303))
        assert len(numbers) - 1 < 60


async def test_a_subscriber_that_resumes_too_late_gets_a_resync(
    backend: Backend,
) -> None:
    async with running(backend.store(events_limit=10)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()
        for n in range(1, 301):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        events = events_of(store, cursor)
        assert [event.kind for event in await take(events, 1)] == ["resync"]
        store.reading("s1", reading(301), NOW)
        assert json.loads((await take(events, 1))[0].data)["number"] == 301


async def test_a_cursor_of_an_empty_redis_catches_up_or_gets_a_resync(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: store.feed.following)
        assert await store.cursor() == "0-0"
        events = events_of(store, "0-0")
        first = asyncio.create_task(take(events, 1))
        await until(lambda: store.feed.subscribers == 1)
        store.call_started("s1", started(), NOW)
        assert [event.kind for event in await first] == ["call_started"]
        assert [event.kind for event in await take(events_of(store, "0-0"), 1)] == ["call_started"]
        await backend.redis.xtrim(keys.EVENTS, maxlen=0)
        store.call_started("s2", started(), NOW)
        await delivered(store)
        assert [event.kind for event in await take(events_of(store, "0-0"), 1)] == ["resync"]


async def test_what_an_empty_redis_gets_after_an_outage_is_no_gap(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        await until(lambda: store.feed.following)
        events = events_of(store, "0-0")
        first = asyncio.create_task(take(events, 1))
        real.server.stop()
        store.call_started("s1", started(), NOW)
        await until(lambda: not store.redis_up)
        real.server.start()
        assert [event.kind for event in await first] == ["call_started"]


async def test_subscribers_outlive_an_outage_and_miss_nothing(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        events = events_of(store, await store.cursor())
        store.reading("s1", reading(1), NOW)
        got = await take(events, 1)
        real.server.stop()
        store.reading("s1", reading(2), NOW)
        await until(lambda: not store.redis_up)
        real.server.start()
        store.reading("s1", reading(3), NOW)
        got += await take(events, 2)
        assert [json.loads(event.data)["number"] for event in got] == [1, 2, 3]


@pytest.mark.parametrize("empty", [True, False], ids=["while it is empty", "once it is not"])
async def test_subscribers_of_a_redis_that_lost_its_data_get_a_resync(
    real: Backend, empty: bool
) -> None:
    assert real.server is not None
    async with running(real.store(heartbeat_s=60.0)) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        events = events_of(store, await store.cursor())
        taking = asyncio.create_task(take(events, 1))
        await until(lambda: store.feed.subscribers == 1)
        await real.redis.flushall()
        real.server.stop()
        await until(lambda: not store.redis_up)
        if not empty:
            store.call_started("s2", started("call-2"), NOW)
        real.server.start()
        assert [event.kind for event in await taking] == ["resync"]


async def test_events_end_when_the_store_stops(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: store.feed.following)
        ended = asyncio.create_task(anext(events_of(store, None), None))
        await until(lambda: store.feed.subscribers == 1)
    assert await ended is None


async def test_a_cursor_that_is_not_an_event_id_is_refused(backend: Backend) -> None:
    store = backend.store()
    for wrong in ("", "yesterday", "1-2-3", "1", f"{2**64}-0", "١-٠"):
        with pytest.raises(BadCursor, match="expected the id of an event"):
            events_of(store, wrong)
    await store.close()


async def test_foreign_entries_in_the_stream_are_skipped(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await until(lambda: store.feed.following)
        await backend.redis.xadd(keys.EVENTS, {"kind": "call_started", "call_id": "half"})
        await backend.redis.xadd(keys.EVENTS, {"hello": "world"})
        events = events_of(store, (await backend.redis.xrange(keys.EVENTS))[0][0])
        store.call_started("s1", started(), NOW)
        assert json.loads((await take(events, 1))[0].data)["call_id"] == "call-1"


async def test_an_event_that_cannot_be_read_is_logged_without_its_content(
    backend: Backend, capfd: pytest.CaptureFixture[str]
) -> None:
    number = "+49301234567"
    async with running(backend.store()) as store:
        events = events_of(store, None)
        following = asyncio.create_task(anext(events))
        await until(lambda: store.feed.following)
        for fields in (
            {"kind": "call_started", "call_id": number, "tracks": "[]", "metadata": number},
            {"kind": "call_started", "call_id": number, "tracks": "[7]", "metadata": "{}"},
            {"kind": "alert", "call_id": number, "state": number},
            {"kind": number},
        ):
            await backend.redis.xadd(keys.EVENTS, fields)
        store.call_started("s1", started(), NOW)
        assert (await following).kind == "call_started"
        await events.aclose()
    told = "".join(capfd.readouterr())
    assert told.count("event_unreadable") == 4
    assert number not in told


async def test_a_subscriber_gets_heartbeats_while_redis_is_away_and_then_what_it_missed(
    real: Backend,
) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        cursor = await store.cursor()
        store.reading("s1", reading(1), NOW)
        await delivered(store)
        real.server.stop()
        await until(lambda: not store.feed.following)
        events = events_of(store, cursor)
        for number in range(2):
            told = asyncio.create_task(take(events, 1))
            await until(lambda: store.feed.subscribers == 1)
            store.feed.beat(f"beat {number}")
            [event] = await told
            assert (event.id, event.kind, event.data) == ("", "heartbeat", f"beat {number}")
        real.server.start()
        store.reading("s1", reading(2), NOW)
        got = await take(events, 2)
        assert [json.loads(event.data)["number"] for event in got] == [1, 2]
        await events.aclose()


async def test_a_heartbeat_takes_no_room_from_events(backend: Backend) -> None:
    async with running(backend.store(subscriber_limit=2)) as store:
        await until(lambda: store.feed.following)
        events = events_of(store, None)
        first = asyncio.create_task(take(events, 1))
        await until(lambda: store.feed.subscribers == 1)
        for _ in range(5):
            store.feed.beat("{}")
        await first
        assert [event.kind for event in await take(events, 1)] == ["heartbeat"]
        store.call_started("s1", started(), NOW)
        assert [event.kind for event in await take(events, 1)] == ["call_started"]


async def test_live_calls_without_a_sign_of_their_service_are_unconfirmed(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        store.call_started("s2", started("call-2"), NOW)
        await delivered(store)
        await backend.redis.zadd(keys.CALLS_LIVE, {"s1": time.time() - 20})
        assert await store.reader.unconfirmed(8.0) == ["s1"]


async def test_events_of_one_read_are_one_batch_that_all_subscribers_share(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        for n in range(1, 601):
            store.reading("s1", reading(n), NOW)
        await delivered(store)
        first = (await backend.redis.xrange(keys.EVENTS, count=1))[0][0]
        caught_up = [store.events(first) for _ in range(2)]
        for batches in caught_up:
            assert [len(await anext(batches)) for _ in range(2)] == [500, 100]
        last = await store.cursor()
        await until(lambda: store.feed.position == last)
        live = [asyncio.create_task(anext(batches)) for batches in caught_up]
        await asyncio.sleep(0)
        store.reading("s1", reading(601), NOW)
        async with asyncio.timeout(ENOUGH_S):
            one, other = await asyncio.gather(*live)
        assert one is other
        for batches in caught_up:
            await batches.aclose()


async def test_what_is_offered_and_what_is_yielded_are_all_events_once_and_in_order(
    backend: Backend,
) -> None:
    got: list[int] = []
    offers: list[int] = []

    def take_in(batch: EventBatch) -> None:
        got.extend(json.loads(event.data)["number"] for event in batch.events)

    def offer(batch: EventBatch) -> bool:
        offers.append(len(batch))
        if len(offers) % 2 == 0:
            return False
        take_in(batch)
        return True

    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        await delivered(store)
        batches = store.events(await store.cursor(), offer)

        async def read() -> None:
            async for batch in batches:
                take_in(batch)

        reading_all = asyncio.create_task(read())
        for n in range(1, 9):
            store.reading("s1", reading(n), NOW)
            await until(lambda last=n: got[-1:] == [last])
        reading_all.cancel()
        await asyncio.wait([reading_all])
    assert got == list(range(1, 9))
    assert len(offers) > 2, "it never waited"
