from service.store import keys
from tests.service.store.backend import Backend, delivered, running
from tests.service.store.facts import (
    FIRING,
    NOW,
    PENDING,
    RESOLVED,
    reading,
    started,
    transition,
    whole_call,
)


async def test_a_write_that_redis_can_never_apply_is_counted_and_delays_nothing(
    backend: Backend,
) -> None:
    await backend.redis.set(keys.alert_key("s1-caller-anger-1"), "of another type")
    async with running(backend.store()) as store:
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(1, PENDING, alert_id="s1-caller-anger-2"), NOW)
        await delivered(store)
        assert store.rejected_writes == 1
        assert await backend.transitions() == [("s1-caller-anger-2", "1", "pending")]


async def test_when_memory_is_full_readings_go_first_and_transitions_last(
    backend: Backend,
) -> None:
    store = backend.store("o", memory_limit=3)
    store.call_started("s1", started(), NOW)
    store.reading("s1", reading(1), NOW)
    store.reading("s1", reading(2), NOW)
    store.transition("s1", transition(1, PENDING), NOW)
    assert (store.pending_writes, store.dropped_readings, store.rejected_writes) == (3, 1, 0)
    store.transition("s1", transition(2, FIRING), NOW)
    store.transition("s1", transition(3, RESOLVED), NOW)
    store.reading("s1", reading(3), NOW)
    assert (store.pending_writes, store.dropped_readings, store.rejected_writes) == (3, 3, 1)
    await store.close()
    async with running(backend.store("o")) as store:
        await delivered(store)
        assert [state for _, _, state in await backend.transitions()] == ["pending", "firing"]


async def test_what_is_in_memory_at_the_end_is_on_disk_for_the_next_start(
    backend: Backend,
) -> None:
    store = backend.store("o")
    whole_call(store)
    await store.close()
    async with running(backend.store("o")) as store:
        assert store.pending_writes == 8
        await delivered(store)
    assert len(await backend.transitions()) == 3
