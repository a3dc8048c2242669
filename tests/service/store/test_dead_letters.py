"""Entries that can never be applied: they hold nothing up, and are kept, told of and bounded."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.store import keys
from service.store.entries import TransitionEntry, serialize
from service.store.outbox import Outbox
from tests.service.store.backend import Backend, delivered, running, until
from tests.service.store.facts import FIRING, NOW, PENDING, started, transition

NUMBER = "+49301234567"  # a phone number, as providers' metadata have them


def good(number: int) -> TransitionEntry:
    step = transition(1, PENDING, alert_id=f"a{number}", call_id=NUMBER)
    return TransitionEntry("s1", step, NOW)


GOOD = serialize(good(1)).arguments
BAD: dict[str, tuple[object, object]] = {
    "no JSON": ("transition", f"{NUMBER} and no JSON"),
    "cut off": ("transition", json.dumps(GOOD)[:-20]),
    "another form": ("transition", json.dumps({"alert_id": NUMBER})),
    "no pairs": ("transition", json.dumps(GOOD[:-1])),
    "no texts": ("transition", json.dumps([*GOOD[:-1], 7])),
    "not UTF-8": ("transition", b"\xff\xfe" + NUMBER.encode()),
    "nested deeply": ("transition", "[" * 100_000),
    "unknown kind": (f"of-{NUMBER}", json.dumps(GOOD)),
    "kind not UTF-8": (b"\xff", json.dumps(GOOD)),
    "an argument is missing": ("transition", json.dumps(GOOD[2:])),
    "a number is none": ("reading", json.dumps(
        ["session", "s1", "call_id", NUMBER, "number", "x", "track", "caller", "end_s", "1",
         "data", "{}"])),
    "a time is none": ("call_started", json.dumps(
        ["session", "s9", "call_id", NUMBER, "bridge", "b", "tracks", "[]", "metadata", "{}",
         "started_at", "noon"])),
    "data is no JSON": ("reading", json.dumps(
        ["session", "s1", "call_id", NUMBER, "number", "1", "track", "caller", "end_s", "1",
         "data", NUMBER])),
}  # fmt: skip


def put_in_the_middle(path: Path, kind: object, body: object) -> None:
    """Writes an outbox of three entries, the second of them with this kind and body."""
    outbox = Outbox(path, 100)
    outbox.append([good(1), good(2), good(3)])
    outbox.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "UPDATE entries SET kind = CAST(? AS TEXT), body = CAST(? AS TEXT) WHERE id = 2",
            (kind, body),
        )


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_entry_becomes_a_dead_letter_and_holds_nothing_up(
    real: Backend, bad: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put_in_the_middle(real.folder / "o", *BAD[bad])
    async with running(real.store("o")) as store:
        await delivered(store)
        assert [alert_id for alert_id, _, _ in await real.transitions()] == ["a1", "a3"]
        assert (await store.calls(None, 10)).calls == []
        [letter] = store.dead_letters
        assert store.rejected_writes == 1
    assert letter.kind in ("transition", "reading", "call_started", "unknown")
    assert "got " in letter.problem
    told = "".join(capfd.readouterr()) + caplog.text + letter.problem + letter.kind
    assert "write_rejected" in told
    assert NUMBER not in told
    # It is still there after a restart, with its body.
    again = Outbox(real.folder / "o", 100)
    assert again.dead_letters == (letter,)
    again.close()


async def test_a_dead_letter_can_be_retried_once_its_cause_is_gone(real: Backend) -> None:
    await real.redis.set(keys.alert_key("s1-caller-anger-1"), "of another program")
    async with running(real.store("o")) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        store.transition("s1", transition(2, FIRING), NOW)
        await delivered(store)
        ids = [letter.id for letter in store.dead_letters]
        assert len(ids) == 2
    await real.redis.delete(keys.alert_key("s1-caller-anger-1"))
    outbox = Outbox(real.folder / "o", 100)
    assert outbox.retry_dead_letters([*ids, 99]) == 2
    assert (len(outbox), outbox.dead_letters) == (2, ())
    outbox.close()
    async with running(real.store("o")) as store:
        await delivered(store)
        assert [state for _, _, state in await real.transitions()] == ["pending", "firing"]
        assert store.dead_letters == ()


@pytest.mark.parametrize("foreign", [keys.call_key("call-1"), keys.ALERTS])
async def test_what_redis_can_never_apply_is_a_dead_letter_once_however_long_the_call_lasts(
    real: Backend, foreign: str
) -> None:
    await real.redis.set(foreign, "of another program")
    async with running(real.store(heartbeat_s=0.02)) as store:
        store.call_started("s1", started(), NOW)
        store.transition("s1", transition(1, PENDING), NOW)
        await delivered(store)
        letters = store.dead_letters
        assert letters
        store.call_started("s2", started("call-2"), NOW)
        for _ in range(3):  # heartbeats that look for what Redis lacks
            await delivered(store)
            await real.redis.delete(keys.session_key("s2"))
            await until(lambda: real.redis.exists(keys.session_key("s2")))
        assert store.dead_letters == letters


def test_dead_letters_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o", 100, dead_letters_limit=3)
    outbox.append([good(n) for n in range(10)])
    for id, _ in outbox.peek(10)[:5]:
        outbox.bury(id, "of no use")
    assert [letter.id for letter in outbox.dead_letters] == [3, 4, 5]
    assert (len(outbox), outbox.rejected) == (5, 5)
    assert outbox.drop_dead_letters([3, 5, 99]) == 2
    assert [letter.id for letter in outbox.dead_letters] == [4]
    outbox.close()


def test_an_outbox_of_bad_entries_alone_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "o"
    outbox = Outbox(path, 1000)
    outbox.append([good(n) for n in range(200)])
    outbox.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE entries SET body = '' WHERE id < 200")
    outbox = Outbox(path, 1000)
    assert [id for id, _ in outbox.peek(32)] == [200]
    assert (len(outbox), len(outbox.dead_letters)) == (1, 199)
    outbox.close()
