"""Erasure: nothing that names the call is left in Redis, in the outbox or in memory."""

import asyncio
import json
from dataclasses import replace

import pytest

from service.alerts.lifecycle import Action, ActionKind
from service.events import CallFacts, Consent
from service.store import keys
from service.store.audit import AuditLog
from service.store.entries import CallStartedEntry, RefusedEntry, serialize
from service.store.erasure import Eraser
from service.store.errors import StoreUnavailable
from service.store.outbox import Outbox
from service.store.store import Store
from tests.limits import ENOUGH_S
from tests.service.store.backend import Backend, delivered, events_of, running, take, until
from tests.service.store.facts import FIRING, NOW, PENDING, reading, started, transition, whole_call

CALL, SECRET = "call-secret", "+4930secret"


def secret_call(store: Store, session: str) -> None:
    whole_call(store, session, CALL)


def live_call(store: Store, session: str = "s3") -> None:
    facts = CallFacts(caller_number=SECRET, agent="Ann Lee")
    store.call_started(session, replace(started(CALL), facts=facts), NOW)
    store.reading(session, reading(1, CALL), NOW)
    for number, state in enumerate((PENDING, FIRING), 1):
        step = transition(number, state, alert_id=f"{session}-caller-anger-1", call_id=CALL)
        store.transition(session, step, NOW)


async def traces(backend: Backend) -> str:
    """Returns all that Redis holds but for the marks of erased sessions and the audit."""
    found = await backend.everything()
    return json.dumps(
        {
            key: value
            for key, value in found.items()
            if key != keys.AUDIT and not key.startswith(keys.erased_key(""))
        }
    )


async def test_all_sessions_of_a_call_leave_no_trace_and_others_stay(backend: Backend) -> None:
    async with running(backend.store()) as store:
        whole_call(store, "other", "call-2")
        await delivered(store)
        before = json.loads(await traces(backend))
        secret_call(store, "s1")
        secret_call(store, "s2")
        live_call(store)
        await delivered(store)
        sessions = await store.sessions(CALL)
        assert sessions[0] == "s3"
        assert set(sessions) == {"s1", "s2", "s3"}
        await store.erase(CALL, sessions, "Ada", "purged")
        left = json.loads(await traces(backend))
        erased = [fields for _, fields in left[keys.EVENTS] if fields["kind"] == "call_erased"]
        assert {fields["session"] for fields in erased} == set(sessions)
        left[keys.EVENTS] = [one for one in left[keys.EVENTS] if one[1]["kind"] != "call_erased"]
        assert left == before
        (entry,) = (await AuditLog(backend.redis).page(None, 10)).entries
        assert (entry.name, entry.action, entry.session) == ("Ada", "purged", "s3")
        assert await store.sessions(CALL) == []
        assert await store.call(CALL) is None
        assert [alert.call_id for alert in (await store.reader.alerts(None, 10)).alerts] == [
            "call-2"
        ]


async def test_late_writes_of_an_erased_session_change_nothing(backend: Backend) -> None:
    async with running(backend.store()) as ours, running(backend.store()) as another:
        live_call(another)
        await delivered(another)
        await ours.erase(CALL, ["s3"], "Ada", "purged")
        clean = await backend.everything()
        step = transition(3, PENDING, alert_id="s3-caller-happiness-1", call_id=CALL)
        another.transition("s3", step, NOW)
        another.reading("s3", reading(2, CALL), NOW)
        another.call_joined("s3", started(CALL, more="1"), NOW)
        another.consent("s3", CALL, Consent.GIVEN)
        another.call_ended("s3", CALL, "hangup", 1.0, NOW)
        result = await ours._script.apply([serialize(CallStartedEntry("s3", started(CALL), NOW))])
        assert result.problem == ""
        await delivered(another)
        assert await backend.everything() == clean


async def test_another_process_learns_that_its_live_session_was_erased(backend: Backend) -> None:
    async with (
        running(backend.store()) as ours,
        running(backend.store(heartbeat_s=0.05)) as another,
    ):
        told: list[str] = []
        another.writer.on_erased = told.append
        live_call(another)
        await delivered(another)
        await ours.erase(CALL, ["s3"], "Ada", "purged")
        await until(lambda: "s3" in told)


async def test_what_waits_in_memory_and_on_disk_is_erased_with_its_dead_letters(
    real: Backend,
) -> None:
    assert real.server is not None
    path = real.folder / "outbox.sqlite"
    async with running(real.store("outbox.sqlite")) as store:
        whole_call(store, "other", "call-2")
        await delivered(store)
        real.server.stop()
        live_call(store)
        store.reading("other", reading(4, "call-2"), NOW)
        await until(lambda: len(store.disk) >= 5 and not store.writer.in_memory)
        dead = serialize(CallStartedEntry("s3", started(CALL), NOW))
        await store.disk.write(lambda outbox: outbox.add_dead_letter(dead, False, "no room"))
        assert CALL.encode() in b"".join(file.read_bytes() for file in real.folder.glob("outbox*"))
        with pytest.raises(StoreUnavailable):
            await store.erase(CALL, ["s3"], "Ada", "purged")
        live_call(store)  # late
        assert store.dead_letters == ()
        assert store.pending_writes == 1
        files = b"".join(file.read_bytes() for file in real.folder.glob("outbox*"))
        assert CALL.encode() not in files
        assert SECRET.encode() not in files
        assert len(store.disk) == 1  # the other call's
        real.server.start()
        await delivered(store)
    assert path.exists()


def test_only_the_named_session_leaves_the_outbox() -> None:
    outbox = Outbox(None, 100)
    outbox.append([CallStartedEntry(session, started(CALL), NOW) for session in ("s1", "s11")])
    outbox.delete_session("s1")
    ((_, command),) = outbox.peek(10)
    assert command.arguments[1] == "s11"
    assert len(outbox) == 1


async def test_a_refusal_is_erased_once_redis_is_there(real: Backend) -> None:
    assert real.server is not None
    async with running(real.store()) as store:
        live_call(store)
        await delivered(store)
        real.server.stop()
        store.refused("s3", CALL, "twilio")
        real.server.start()

        async def erased() -> bool:
            return (await real.redis.exists(keys.AUDIT)) == 1

        await until(erased)
        assert CALL not in await traces(real)


async def test_a_refusal_outlives_its_process_and_any_service_erases_the_session(
    real: Backend,
) -> None:
    assert real.server is not None
    async with running(real.store("outbox.sqlite")) as store:
        live_call(store)
        await delivered(store)
        real.server.stop()
        store.refused("s3", CALL, "twilio")
        store.reading("s3", reading(2, CALL), NOW)  # late
        await until(lambda: len(store.disk) == 1 and not store.writer.in_memory)
    real.server.start()
    assert CALL in await traces(real)
    async with running(real.store("outbox.sqlite")) as store:
        await delivered(store)
        await until(lambda: not store.pending_writes)
        assert await store.flush(ENOUGH_S)
        assert CALL not in await traces(real)
        assert await store.sessions(CALL) == []
        (entry,) = (await AuditLog(real.redis).page(None, 10)).entries
        assert (entry.name, entry.action, entry.session) == ("twilio", "refused", "s3")
    async with running(real.store()) as another:  # nothing is left for it
        assert await another.flush(ENOUGH_S)
        assert len((await AuditLog(real.redis).page(None, 10)).entries) == 1


async def test_a_refusal_that_a_killed_service_left_in_redis_is_finished(real: Backend) -> None:
    async with running(real.store()) as store:
        live_call(store)
        await delivered(store)
        refused = serialize(RefusedEntry("s3", CALL, "twilio"))
        for _ in range(2):  # to apply it again changes nothing
            assert (await store._script.apply([refused])).problem == ""
        assert await store.flush(ENOUGH_S)
        assert CALL not in await traces(real)


async def test_subscribers_are_told_by_the_session_alone(backend: Backend) -> None:
    async with running(backend.store()) as store:
        live_call(store)
        await delivered(store)
        events = events_of(store, None)
        first = asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await until(lambda: store.feed.subscribers == 1 and store.feed.following)
        await store.erase(CALL, ["s3"], "Ada", "purged")
        told = await first
        while told.kind != "call_erased":
            (told,) = await take(events, 1)
        assert json.loads(told.data) == {"session": "s3"}


async def test_what_people_did_is_erased_too_and_nothing_comes_after_it(backend: Backend) -> None:
    async with running(backend.store()) as store:
        live_call(store, "s1")
        await delivered(store)
        note = Action("note-1", ActionKind.NOTE, "Ada", text=f"asked for {SECRET}")
        assert await store.actions.act("s1-caller-anger-1", note) is not None
        assert SECRET in await traces(backend)
        await Eraser(backend.redis, 60.0).mark(["s1"])
        late = Action("note-2", ActionKind.NOTE, "Ada", text=SECRET)
        assert await store.actions.act("s1-caller-anger-1", late) is None
        await store.erase(CALL, ["s1"], "Ada", "purged")
        left = await traces(backend)
        assert SECRET not in left
        assert "note-1" not in left
