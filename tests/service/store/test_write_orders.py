"""write.lua in every order in which it may get the writes of several sessions.

The writes of one session are delivered in their order, at least once: each may come again at any
time after it came first, because Redis and the outbox get it side by side.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from model.labels import Emotion
from service.store import keys
from service.store.entries import (
    CallEndedEntry,
    CallJoinedEntry,
    CallStartedEntry,
    Entry,
    ReadingEntry,
    TransitionEntry,
    serialize,
)
from service.store.live import LiveCalls
from service.store.views import ReadingView
from service.store.write_script import WriteScript
from tests.redis_server import RedisServer
from tests.service.store.facts import FIRING, NOW, PENDING, RESOLVED, reading, started, transition


def written(session: str, call_id: str) -> list[Entry]:
    """Returns all writes of a session: one alert is resolved, one is still open at the end."""
    angry, happy = f"{session}-anger-1", f"{session}-happiness-1"

    def step(number: int, state: Any, alert_id: str, emotion: Emotion) -> TransitionEntry:
        found = transition(number, state, alert_id=alert_id, call_id=call_id, emotion=emotion)
        return TransitionEntry(session, found, NOW + number)

    def read(number: int) -> ReadingEntry:
        found = reading(number, call_id)
        return ReadingEntry(
            session,
            ReadingView(
                call_id=call_id,
                number=number,
                track=found.track,
                start_s=found.start_s,
                end_s=found.end_s,
                heard_s=found.heard_s,
                probabilities=dict(found.probabilities),
                at=NOW,
            ),
        )

    return [
        CallStartedEntry(session, started(call_id, of=session), NOW),
        read(1),
        step(1, PENDING, angry, Emotion.ANGER),
        CallJoinedEntry(session, started(call_id, of=session, more="yes")),
        step(2, FIRING, angry, Emotion.ANGER),
        read(2),
        step(1, PENDING, happy, Emotion.HAPPINESS),
        step(3, RESOLVED, angry, Emotion.ANGER),
        read(3),
        CallEndedEntry(session, call_id, "hangup", 9.0, NOW + 9),
    ]


ONE_CALL = {session: written(session, "call-1") for session in ("s1", "s2")}
TWO_CALLS = {"s1": written("s1", "call-1"), "s3": written("s3", "call-3")}


@st.composite
def interleaved(draw: st.DrawFn, sessions: Mapping[str, Sequence[Entry]]) -> list[Entry]:
    """Draws an order of all writes in which those of each session keep theirs."""
    turns = draw(st.permutations([name for name, own in sessions.items() for _ in own]))
    left = {name: iter(own) for name, own in sessions.items()}
    return [next(left[name]) for name in turns]


@st.composite
def repeated(draw: st.DrawFn, once: Sequence[Entry]) -> list[Entry]:
    """Draws a delivery in which writes come again after they came first."""
    index = st.integers(0, len(once) - 1)
    again = draw(st.lists(st.tuples(index, index), max_size=30))
    delivered: list[Entry] = []
    for position, entry in enumerate(once):
        delivered.append(entry)
        delivered += [once[which] for which, at in again if max(which, at) == position]
    return delivered


async def state_after(url: str, entries: Sequence[Entry], batch: int) -> dict[str, Any]:
    """Returns all that an empty Redis holds after these writes, but for its own times and ids."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        await redis.flushall()
        script = WriteScript(redis, LiveCalls(), retention_s=3600, wall_clock=lambda: NOW + 10)
        commands = [serialize(entry) for entry in entries]
        for start in range(0, len(commands), batch):
            part = commands[start : start + batch]
            result = await script.apply(part)
            assert (result.applied, result.problem) == (len(part), "")
        return await contents(redis)


async def contents(redis: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in await redis.keys("*"):
        match await redis.type(key):
            case "hash":
                found[key] = await redis.hgetall(key)
            case "stream":
                found[key] = [fields for _, fields in await redis.xrange(key)]
            case "zset":
                found[key] = set(await redis.zrange(key, 0, -1))
            case "set":
                found[key] = await redis.smembers(key)
            case "string" if key != keys.DATA:
                found[key] = await redis.get(key)
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("redis")
    server = RedisServer(folder)
    server.start()
    with SyncRedis.from_url(server.url) as redis:
        redis.config_set("appendonly", "no")  # nothing is kept from one example to the next
    yield server.url
    server.stop()


usual = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@usual
@given(data=st.data())
@pytest.mark.parametrize("sessions", [ONE_CALL, TWO_CALLS], ids=["one call id", "two calls"])
def test_writes_that_come_again_change_nothing(
    url: str, sessions: Mapping[str, Sequence[Entry]], data: st.DataObject
) -> None:
    once = data.draw(interleaved(sessions))
    delivered = data.draw(repeated(once))
    batch = data.draw(st.integers(1, 8))
    expected = asyncio.run(state_after(url, once, len(once)))
    assert asyncio.run(state_after(url, delivered, batch)) == expected


@usual
@given(data=st.data())
def test_calls_are_the_same_in_whatever_order_their_writes_mingle(
    url: str, data: st.DataObject
) -> None:
    mingled = data.draw(interleaved(TWO_CALLS))
    apart = [entry for own in TWO_CALLS.values() for entry in own]
    found, expected = (asyncio.run(state_after(url, order, 8)) for order in (mingled, apart))
    for one in (found, expected):
        # Streams of all calls: the steps of each alert, and the events of each call, in order.
        alerts, events = one.pop(keys.ALERTS), one.pop(keys.EVENTS)
        for alert_id in {fields["alert_id"] for fields in alerts}:
            one[alert_id] = [fields for fields in alerts if fields["alert_id"] == alert_id]
        for session in TWO_CALLS:
            call = f'"{TWO_CALLS[session][0].arguments()["call_id"]}"'
            one[session] = [
                fields
                for fields in events
                if fields.get("session") == session or call in fields.get("data", "")
            ]
    assert found == expected


@usual
@given(data=st.data())
def test_each_call_id_belongs_to_the_session_that_began_last(url: str, data: st.DataObject) -> None:
    once = data.draw(interleaved(ONE_CALL))
    delivered = data.draw(repeated(once))
    state = asyncio.run(state_after(url, delivered, 8))
    starts = [entry.session for entry in once if isinstance(entry, CallStartedEntry)]
    call = state[keys.call_key("call-1")]
    assert (call["session"], call["state"]) == (starts[-1], "ended")
    readings = [json.loads(fields["data"]) for fields in state[keys.readings_key("call-1")]]
    assert [one["number"] for one in readings] == [1, 2, 3]
    for session in ONE_CALL:
        for emotion, last in (("anger", "resolved"), ("happiness", "lapsed")):
            assert state[keys.alert_key(f"{session}-{emotion}-1")]["state"] == last
    steps = [(fields["alert_id"], fields["number"]) for fields in state[keys.ALERTS]]
    assert len(steps) == len(set(steps)) == 10
    assert state.get(keys.CALLS_LIVE) is None
    assert state.get(keys.CALLS_LIVE_BY_TIME) is None
