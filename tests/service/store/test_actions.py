"""What people do with alerts: each action once, whole or not at all, by one of those who press."""

import asyncio
import json

import pytest

from service.alerts.lifecycle import Action, ActionKind, Reason, Why
from service.store import keys
from service.store.act_script import ActScript
from service.store.actions import ActionRefused, Actions, IdInUse
from service.store.errors import StoreUnavailable
from service.store.store import Store
from service.store.views import AlertView
from tests.service.store.backend import Backend, delivered, events_of, running, take
from tests.service.store.facts import FIRING, NOW, PENDING, started, transition, whole_call

ALERT = "s1-caller-anger-1"


def a_take(by: str, id: str = "") -> Action:
    return Action(id or f"take-{by}", ActionKind.TAKE, by)


async def fired(store: Store) -> None:
    store.call_started("s1", started(), NOW)
    store.transition("s1", transition(1, PENDING), NOW + 1, queue="billing")
    store.transition("s1", transition(2, FIRING), NOW + 2, queue="billing")
    await delivered(store)


async def test_of_many_who_press_at_once_one_wins_and_the_others_learn_who(
    backend: Backend,
) -> None:
    async with running(backend.store()) as one, running(backend.store()) as other:
        await fired(one)
        names = [f"person {n}" for n in range(12)]
        answers = await asyncio.gather(
            *((one, other)[n % 2].actions.act(ALERT, a_take(name)) for n, name in enumerate(names))
        )
        winners = [answer for answer in answers if isinstance(answer, AlertView)]
        assert len(winners) == 1
        assert winners[0].taken is not None
        losers = [answer for answer in answers if isinstance(answer, ActionRefused)]
        assert len(losers) == 11
        assert {loser.refusal.by for loser in losers} == {winners[0].taken.by}
        assert {loser.refusal.reason for loser in losers} == {Reason.TAKEN}
        steps = [fields for _, fields in await backend.redis.xrange(keys.ALERTS)]
        assert [step.get("by") for step in steps] == [None, None, winners[0].taken.by]
        audit = await one.audit.page(None, 10)
        assert [(entry.name, entry.action) for entry in audit.entries] == [
            (winners[0].taken.by, "took")
        ]


async def test_an_action_is_in_stream_audit_and_events_with_the_whole_alert(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        events = events_of(store, await store.cursor())
        view = await store.actions.act(ALERT, a_take("Ada"))
        assert isinstance(view, AlertView)
        dismissal = Action("d", ActionKind.DISMISS, "Ada", why=Why.NOT_ANGRY)
        dismissed = await store.actions.act(ALERT, dismissal)
        assert isinstance(dismissed, AlertView)
        first, second = [json.loads(event.data) for event in await take(events, 2)]
        assert first == view.model_dump(mode="json")
        assert second == dismissed.model_dump(mode="json")
        assert (first["state"], first["taken"]["by"], first["queue"]) == (
            "firing",
            "Ada",
            "billing",
        )
        assert second["version"] == first["version"] + 1 == 4
        assert second["dismissed"]["why"] == "not_angry"
        assert (await store.reader.alerts(None, 10)).alerts == [dismissed]
        [step] = [s for _, s in await backend.redis.xrange(keys.ALERTS) if s.get("why")]
        assert (step["action"], step["number"], step["state"]) == ("dismiss", "2", "firing")
        entry = (await store.audit.page(None, 1)).entries[0]
        assert (entry.name, entry.action, entry.session, entry.alert_id, entry.detail) == (
            *("Ada", "dismissed", "s1", ALERT, "not_angry"),
        )


async def test_a_repeated_action_changes_nothing_even_after_it_was_undone(
    backend: Backend,
) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        await store.actions.act(ALERT, a_take("Ada", "t"))
        once = await backend.everything()
        again = await store.actions.act(ALERT, a_take("Ada", "t"))
        assert await backend.everything() == once
        assert isinstance(again, AlertView)
        undo = Action("u", ActionKind.UNDO, "Ada", undoes="t")
        for _ in range(2):
            undone = await store.actions.act(ALERT, undo)
            assert isinstance(undone, AlertView)
            assert undone.taken is None
        late = await store.actions.act(ALERT, a_take("Ada", "t"))
        assert isinstance(late, AlertView)
        assert late.taken is None
        other = await store.actions.act(ALERT, a_take("Ben", "t"))
        assert isinstance(other, IdInUse)


async def test_an_undo_after_its_time_is_refused(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        script = ActScript(backend.redis)
        hasty = Actions(backend.redis, script, undo_within_s=-1.0)
        await hasty.act(ALERT, a_take("Ada", "t"))
        undo = Action("u", ActionKind.UNDO, "Ada", undoes="t")
        refused = await hasty.act(ALERT, undo)
        assert isinstance(refused, ActionRefused)
        assert refused.refusal.reason is Reason.TOO_LATE
        assert refused.alert.taken is not None


async def test_many_notes_at_once_are_all_kept(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        notes = [Action(f"n{n}", ActionKind.NOTE, f"p{n}", text=f"note {n}") for n in range(8)]
        answers = await asyncio.gather(*(store.actions.act(ALERT, note) for note in notes))
        assert all(isinstance(answer, AlertView) for answer in answers)
        kept = await backend.redis.hgetall(keys.actions_key(ALERT))
        assert {json.loads(text)["text"] for text in kept.values()} == {n.text for n in notes}


async def test_what_people_did_stays_while_the_voice_goes_on(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        await store.actions.act(ALERT, a_take("Ada"))
        store.call_ended("s1", "call-1", "hangup", 42.5, NOW + 60)
        await delivered(store)
        alert = await store.reader.alert(ALERT)
        assert alert is not None
        assert (alert.state, alert.taken and alert.taken.by) == ("resolved", "Ada")
        left_ms = await backend.redis.pttl(keys.actions_key(ALERT))
        assert 0 < left_ms <= 3_600_000, "the actions expire with their alert"


async def test_an_alert_has_room_for_so_many_actions(backend: Backend) -> None:
    async with running(backend.store()) as store:
        await fired(store)
        script = ActScript(backend.redis)
        actions = Actions(backend.redis, script, actions_limit=2)
        for n in range(2):
            await actions.act(ALERT, Action(f"n{n}", ActionKind.NOTE, "Ada", text="x"))
        full = await actions.act(ALERT, Action("n3", ActionKind.NOTE, "Ada", text="x"))
        assert isinstance(full, IdInUse)
        assert full.alert.version == 4


async def test_an_unknown_alert_is_none(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store)
        await delivered(store)
        before = await backend.everything()
        assert await store.actions.act("nobody", a_take("Ada")) is None
        assert await backend.everything() == before


async def test_without_redis_an_action_fails_at_once_and_is_not_kept(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        await fired(store)
        real.server.stop()
        with pytest.raises(StoreUnavailable):
            await store.actions.act(ALERT, a_take("Ada"))
        real.server.start()
        alert = await store.reader.alert(ALERT)
        assert alert is not None
        assert alert.taken is None
        assert store.pending_writes == 0
