"""Mutes: which alerts they are of, from when and until when."""

import time

import pytest

from model.labels import Emotion
from service.store.act_script import ActScript
from service.store.errors import StoreUnavailable, TooManyMutes
from service.store.mutes import Mutes
from service.store.store import Store
from service.store.views import AlertView, MuteView
from tests.service.store.backend import Backend, delivered, events_of, running, take, until
from tests.service.store.facts import FIRING, NOW, PENDING, started, transition

ANGER, HAPPINESS = "s1-caller-anger-1", "s1-caller-happiness-1"


def mute(mute_id: str = "m1", ends_in_s: float = 600, **of: str) -> MuteView:
    now = time.time()
    return MuteView(mute_id=mute_id, until=now + ends_in_s, by="Ada", at=now, **of)  # type: ignore[arg-type]


def fire(store: Store, emotion: Emotion = Emotion.ANGER) -> None:
    for number, state in enumerate((PENDING, FIRING), 1):
        step = transition(number, state, alert_id=f"s1-caller-{emotion}-1", emotion=emotion)
        store.transition("s1", step, NOW + number, queue="billing")


async def is_muted(store: Store, alert_id: str = ANGER) -> bool:
    alert = await store.reader.alert(alert_id)
    assert alert is not None
    return alert.muted_until is not None and alert.muted_until > time.time()


@pytest.mark.parametrize(
    ("of", "angry", "happy"),
    [
        ({"session": "s1"}, True, True),
        ({"session": "s2"}, False, False),
        ({"queue": "billing"}, True, True),
        ({"queue": "sales"}, False, False),
        ({"emotion": "happiness"}, False, True),
        ({"emotion": "happiness", "queue": "billing"}, False, True),
        ({"emotion": "happiness", "queue": "sales"}, False, False),
    ],
)
async def test_a_mute_is_of_alerts_that_fire_under_it_and_of_those_that_are_firing(
    backend: Backend, of: dict[str, str], angry: bool, happy: bool
) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        fire(store)
        await delivered(store)
        events = events_of(store, await store.cursor())
        await store.mutes.add(mute(**of))
        fire(store, Emotion.HAPPINESS)
        await delivered(store)
        assert await is_muted(store, ANGER) is angry
        assert await is_muted(store, HAPPINESS) is happy
        told = await take(events, 4 if angry else 3)
        assert [event.kind for event in told] == ["alert"] * angry + ["mutes", "alert", "alert"]
        page = await store.mutes.all()
        assert [(m.mute_id, m.by) for m in page.mutes] == [("m1", "Ada")]
        assert page.model_dump_json() in [event.data for event in told]


async def test_a_mute_that_is_taken_back_makes_its_alerts_alarms_again(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        fire(store)
        await delivered(store)
        await store.mutes.add(mute("m1", session="s1"))
        await store.mutes.add(mute("m2", queue="billing"))
        await store.mutes.remove("m1", "Ben")
        assert await is_muted(store)
        await store.mutes.remove("m2", "Ben")
        assert not await is_muted(store)
        alert = await store.reader.alert(ANGER)
        assert isinstance(alert, AlertView)
        assert alert.muted_until is not None, "that it was muted stays recorded"
        entries = (await store.audit.page(None, 10)).entries
        assert [(e.name, e.action, e.detail) for e in entries] == [
            ("Ben", "unmuted", None),
            ("Ben", "unmuted", None),
            ("Ada", "muted", "queue"),
            ("Ada", "muted", "session"),
        ]


async def test_a_repeated_mute_changes_nothing(backend: Backend) -> None:
    async with running(backend.store()) as store:
        one = mute(session="s1")
        await store.mutes.add(one)
        once = await backend.everything()
        await store.mutes.add(one)
        await store.mutes.remove("another", "Ada")
        assert await backend.everything() == once


async def test_a_mute_ends_by_itself_and_makes_room(backend: Backend) -> None:
    async with running(backend.store()) as store:
        mutes = Mutes(backend.redis, ActScript(backend.redis), limit=1)
        await mutes.add(mute("short", 0.3, session="s1"))
        with pytest.raises(TooManyMutes):
            await mutes.add(mute("other", session="s1"))

        async def ended() -> bool:
            return (await store.mutes.all()).mutes == []

        await until(ended)
        store.call_started("s1", started(), NOW)
        fire(store)
        await delivered(store)
        assert not await is_muted(store)
        await mutes.add(mute("other", session="s1"))
        assert [m.mute_id for m in (await store.mutes.all()).mutes] == ["other"]


async def test_a_policys_mute_is_flagged_and_goes_on_where_others_end(backend: Backend) -> None:
    async with running(backend.store()) as store:
        store.call_started("s1", started(), NOW)
        step = transition(1, PENDING)
        store.transition("s1", step, NOW + 1, policy_until=time.time() + 60)
        await delivered(store)
        assert await is_muted(store)
        await store.mutes.add(mute(ends_in_s=600, session="s1"))
        await store.mutes.remove("m1", "Ada")
        assert await is_muted(store)


async def test_without_redis_nothing_is_muted(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        real.server.stop()
        with pytest.raises(StoreUnavailable):
            await store.mutes.add(mute(session="s1"))
        with pytest.raises(StoreUnavailable):
            await store.mutes.all()
