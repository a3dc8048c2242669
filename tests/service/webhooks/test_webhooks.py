"""Deliveries to real receivers that are down, slow, refuse, redirect; and restarts in between."""

import asyncio
import contextlib
import shutil
import threading
from email.utils import formatdate
from pathlib import Path

import pytest

from service.metrics import Metrics
from service.webhooks.backoff import Backoff
from service.webhooks.errors import NoSuchDeadLetter, ReceiverStopped
from service.webhooks.spool import FILE
from tests.limits import ENOUGH_S
from tests.service.webhooks.harness import RESOLVED, fire, state_of, to, toml, until, webhooks
from tests.service.webhooks.http_receiver import Answer, Request, receiving


async def test_a_notice_arrives_at_once_and_never_touches_the_disk(tmp_path: Path) -> None:
    metrics = Metrics()
    with receiving() as receiver:
        async with webhooks(tmp_path, toml(one=to(receiver)), metrics, spool_after_s=0.5) as hooks:
            sent = fire(hooks)
            await until(lambda: state_of(hooks).delivered == 1)
            assert state_of(hooks).waiting == 0
    assert receiver.accepted == [sent]
    assert not (tmp_path / "state" / FILE).exists()
    labels = {"receiver": "one", "result": "delivered"}
    assert metrics.registry.get_sample_value("kanjo_webhook_deliveries_total", labels) == 1
    assert metrics.registry.get_sample_value("kanjo_webhooks_waiting") == 0


async def test_receivers_get_what_they_want_and_nothing_else(tmp_path: Path) -> None:
    with receiving() as receiver, receiving() as other:
        text = toml(one=to(receiver, queues=["support"]), two=to(other, queues=["sales"]))
        async with webhooks(tmp_path, text) as hooks:
            sent = [fire(hooks), fire(hooks, number=3, state=RESOLVED)]
            fire(hooks, number=1, state="pending")
            fire(hooks, emotion="happiness")
            await until(lambda: state_of(hooks).delivered == 2)
    assert receiver.accepted == sent
    assert other.requests == []


async def test_a_receiver_that_is_down_gets_everything_once_and_in_order(tmp_path: Path) -> None:
    with receiving() as receiver:
        port = receiver.port  # free again, and nothing listens there
    async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
        sent = {}
        for alert in range(20):
            name = f"s{alert}-caller-1"
            sent[name] = [fire(hooks, name), fire(hooks, name, number=3, state=RESOLVED)]
        await until(lambda: state_of(hooks).last_error)
        await until(lambda: (tmp_path / "state" / FILE).exists())
        assert state_of(hooks).state in ("waiting", "at work")
        with receiving(port) as back:
            await until(lambda: state_of(hooks).waiting == 0)
        assert hooks.dead_letters == []
    assert sorted(back.accepted) == sorted(id for ids in sent.values() for id in ids)
    for alert, ids in sent.items():
        assert [id for id in back.accepted if id.startswith(f"{alert}-")] == ids


async def test_a_slow_receiver_delays_only_itself(tmp_path: Path) -> None:
    with receiving() as slow, receiving() as receiver:
        release = threading.Event()
        slow.answer = lambda request: Answer(release=release)
        text = toml(slow=to(slow), one=to(receiver))
        async with webhooks(tmp_path, text, within_s=ENOUGH_S) as hooks:
            sent = [fire(hooks, f"s{alert}-caller-1") for alert in range(5)]
            await until(lambda: state_of(hooks).delivered == 5)
            assert state_of(hooks, "slow").waiting == 5
            release.set()
            await until(lambda: state_of(hooks, "slow").waiting == 0)
    assert receiver.accepted == slow.accepted == sent


async def test_an_answer_that_does_not_come_is_a_failure(tmp_path: Path) -> None:
    with receiving() as receiver:
        release = threading.Event()
        receiver.answer = lambda request: Answer(
            release=None if len(receiver.requests) else release
        )
        async with webhooks(tmp_path, toml(one=to(receiver)), within_s=0.2) as hooks:
            fire(hooks)
            await until(lambda: state_of(hooks).delivered == 1)
            error = state_of(hooks).last_error
            assert error is not None
            assert error.problem == "got no answer within 0.2 s"
        release.set()
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_a_failing_alert_does_not_hold_back_others(tmp_path: Path) -> None:
    with receiving() as receiver:

        def answer(request: Request) -> Answer:
            return Answer(500 if "bad" in request.headers["webhook-id"] else 204)

        receiver.answer = answer
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            fire(hooks, "bad")
            good = [fire(hooks, f"s{alert}-caller-1") for alert in range(3)]
            await until(lambda: state_of(hooks).delivered == 3)
            assert state_of(hooks).waiting == 1
            assert receiver.accepted == good


async def test_what_fails_for_too_long_is_a_dead_letter_that_can_be_sent_again(
    tmp_path: Path,
) -> None:
    metrics = Metrics()
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(500)
        backoff = Backoff(0.01, 0.02, give_up_s=0.2)
        text = toml(one=to(receiver))
        async with webhooks(tmp_path, text, metrics, backoff=backoff) as hooks:
            sent = fire(hooks)
            await until(lambda: hooks.dead_letters)
            (dead,) = hooks.dead_letters
            assert (dead.message, dead.receiver, dead.attempts > 1) == (sent, "one", True)
            assert "got HTTP 500, expected 2xx" in dead.problem
            assert metrics.registry.get_sample_value("kanjo_webhook_dead_letters") == 1
        receiver.answer = lambda request: Answer()
        async with webhooks(tmp_path, None) as hooks:  # dead letters outlast a restart
            assert [each.message for each in hooks.dead_letters] == [sent]
            hooks.retry(hooks.dead_letters[0].id)
            await until(lambda: state_of(hooks).delivered == 1)
            assert hooks.dead_letters == []
            with pytest.raises(NoSuchDeadLetter, match="expected one of GET /v1/webhooks"):
                hooks.retry(dead.id)
    assert receiver.accepted == [sent]


@pytest.mark.parametrize("status", [400, 413, 415, 422, 302, 307])
async def test_what_the_receiver_refuses_is_a_dead_letter_at_once(
    tmp_path: Path, status: int
) -> None:
    with receiving() as private, receiving() as receiver:
        receiver.answer = lambda request: Answer(status, {"Location": private.url})
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            fire(hooks)
            await until(lambda: hooks.dead_letters)
            assert f"got HTTP {status}" in hooks.dead_letters[0].problem
            assert state_of(hooks).waiting == 0
    assert len(receiver.requests) == 1
    assert private.requests == []  # where the redirect points


async def test_410_stops_the_receiver_until_its_file_changes(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(410)
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            sent = fire(hooks)
            await until(lambda: state_of(hooks).state == "stopped")
            fire(hooks, "s2-caller-1")
            assert len(hooks.dead_letters) == 2
            with pytest.raises(ReceiverStopped, match="answered 410"):
                hooks.retry(hooks.dead_letters[0].id)
            receiver.answer = lambda request: Answer()
            (tmp_path / "webhooks.toml").write_text("# again\n" + toml(one=to(receiver)))
            await until(lambda: state_of(hooks).state == "at work")
            hooks.retry(hooks.dead_letters[0].id)
            await until(lambda: state_of(hooks).delivered == 1)
    assert receiver.accepted == [sent]
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("dated", [False, True])
async def test_retry_after_is_honoured(tmp_path: Path, dated: bool) -> None:
    with receiving() as receiver:
        now = 1_800_000_000.0
        after = formatdate(now + 3000, usegmt=True) if dated else "3000"

        def answer(request: Request) -> Answer:
            return Answer() if receiver.requests else Answer(429, {"Retry-After": after})

        receiver.answer = answer
        clock = Clock(now)
        async with webhooks(tmp_path, toml(one=to(receiver)), clocks=clock) as hooks:
            fire(hooks)
            await until(lambda: state_of(hooks).state == "waiting")
            clock.ahead = 2990
            fire(hooks, "s2-caller-1")  # wakes the worker
            await hooks.flush(5)
            assert len(receiver.requests) == 1
            clock.ahead = 3001
            fire(hooks, "s3-caller-1")
            await until(lambda: state_of(hooks).delivered == 3)


class Clock:
    """A clock that a test moves on."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.ahead = 0.0

    def __call__(self) -> float:
        return self.at + self.ahead


async def test_a_restart_in_between_loses_none_and_doubles_none(tmp_path: Path) -> None:
    with receiving() as receiver:
        text = toml(one=to(receiver))
        down = False
        receiver.answer = lambda request: Answer(503 if down else 204)
        sent = []
        for life in range(4):
            async with webhooks(tmp_path, text) as hooks:
                down = False
                for alert in range(5):
                    sent.append(fire(hooks, f"life{life}-{alert}"))
                await asyncio.sleep(0.01)
                down = True
                sent.extend(fire(hooks, f"life{life}-{alert}") for alert in range(5, 10))
        async with webhooks(tmp_path, text) as hooks:
            down = False
            await until(lambda: state_of(hooks).waiting == 0)
            assert hooks.dead_letters == []
    assert sorted(receiver.accepted) == sorted(sent)


async def test_a_service_that_is_killed_delivers_after_its_start_what_was_on_disk(
    tmp_path: Path,
) -> None:
    crashed = tmp_path / "crashed"
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(503)
        once = Backoff(first_s=60)  # so that nothing is written while the copy is made
        async with webhooks(tmp_path, toml(one=to(receiver)), backoff=once) as hooks:
            sent = [fire(hooks, f"s{alert}-caller-1") for alert in range(3)]
            await until(lambda: state_of(hooks).last_error)
            await until(lambda: all(id.encode() in file(tmp_path) for id in sent))
            await asyncio.sleep(0.1)
            # As a kill leaves it: nothing is closed, the WAL is not merged.
            shutil.copytree(tmp_path / "state", crashed / "state")
        receiver.answer = lambda request: Answer()
        async with webhooks(crashed, toml(one=to(receiver))) as hooks:
            await until(lambda: state_of(hooks).delivered == 3)
        async with webhooks(crashed, None) as hooks:
            await hooks.flush(5)
    assert sorted(receiver.accepted) == sent


async def test_a_change_of_the_file_does_not_disturb_the_other_receivers(tmp_path: Path) -> None:
    with receiving() as receiver, receiving() as other:
        release = threading.Event()
        receiver.answer = lambda request: Answer(release=release)
        text = toml(one=to(receiver), two=to(other))
        async with webhooks(tmp_path, text, within_s=ENOUGH_S) as hooks:
            sent = fire(hooks)
            await until(lambda: receiver.requests)
            changed = toml(one=to(receiver), two=to(other, queues=["sales"]), three=to(other))
            (tmp_path / "webhooks.toml").write_text(changed)
            await until(lambda: len(hooks.receivers) == 3)
            release.set()
            await until(lambda: state_of(hooks).delivered == 1)
    assert receiver.accepted == [sent]


async def test_a_call_is_told_of_once_a_minute_if_wanted(tmp_path: Path) -> None:
    with receiving() as receiver:
        clock = Clock(1_800_000_000.0)
        text = toml(one=to(receiver, most_per_call_s=60))
        async with webhooks(tmp_path, text, clocks=clock) as hooks:
            first = fire(hooks, "s1-a-1")
            fire(hooks, "s1-a-2")  # resolves before its turn: nobody needs to know
            fire(hooks, "s1-a-2", number=3, state=RESOLVED)
            end = fire(hooks, "s1-a-1", number=3, state=RESOLVED)  # waits for its turn
            other = fire(hooks, "s2-a-1", session="s2")
            await until(lambda: state_of(hooks).delivered == 2)
            await hooks.flush(5)
            assert receiver.accepted == [first, other]
            clock.ahead = 60
            fire(hooks, "s3-a-1", session="s3")
            await until(lambda: state_of(hooks).delivered == 4)
            assert end in receiver.accepted


async def test_the_end_of_an_alert_that_was_told_of_is_told_although_a_step_was_held_back(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        clock = Clock(1_800_000_000.0)
        states = ["pending", "firing", "resolved"]
        text = toml(one=to(receiver, most_per_call_s=60, states=states))
        async with webhooks(tmp_path, text, clocks=clock) as hooks:
            sent = [fire(hooks, number=1, state="pending")]
            await until(lambda: state_of(hooks).delivered == 1)
            sent.append(fire(hooks, number=2))
            sent.append(fire(hooks, number=3, state=RESOLVED))
            await hooks.flush(5)
            for delivered in (2, 3):
                clock.ahead += 60
                fire(hooks, f"wakes-{delivered}", session=f"s{delivered}")
                await until(lambda: [*sent[:delivered]] == of_alert(receiver.accepted))  # noqa: B023
    assert of_alert(receiver.accepted) == sent


def of_alert(ids: list[str]) -> list[str]:
    return [id for id in ids if id.startswith("s1-caller-1-")]


async def test_of_too_many_that_wait_the_oldest_are_dead_letters(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(500)
        text = toml(one=to(receiver))
        async with webhooks(tmp_path, text, most_waiting=3, most_dead=2) as hooks:
            sent = [fire(hooks, f"s{alert}-caller-1") for alert in range(6)]
            assert state_of(hooks).waiting == 3
            assert [each.message for each in hooks.dead_letters] == sent[1:3]
            assert "no room" in hooks.dead_letters[0].problem


async def test_an_erased_session_leaves_nothing_behind(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(400 if "s1-a" in str(request.body) else 500)
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            fire(hooks, "s1-a")
            fire(hooks, "s1-b")
            fire(hooks, "s2-a", session="s2")
            await until(lambda: hooks.dead_letters)
            await until(lambda: b"s1-b" in file(tmp_path))
            hooks.forget("s1")
            assert hooks.dead_letters == []
            assert state_of(hooks).waiting == 1
            await until(lambda: b"s1-" not in file(tmp_path))
            assert b"s2-a" in file(tmp_path)


def file(folder: Path) -> bytes:
    """Returns all that the disk has of undelivered notices."""
    content = b""
    for path in sorted((folder / "state").glob(f"{FILE}*")):
        with contextlib.suppress(FileNotFoundError):  # SQLite makes and removes companions
            content += path.read_bytes()
    return content


async def test_what_waits_for_a_removed_receiver_is_a_dead_letter(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.answer = lambda request: Answer(500)
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            fire(hooks)
            await until(lambda: state_of(hooks).last_error)
            (tmp_path / "webhooks.toml").write_text(toml(other=to(receiver)))
            await until(lambda: hooks.dead_letters)
            assert hooks.dead_letters[0].problem == "its receiver is no longer in the file"
            assert [each.name for each in hooks.receivers] == ["other"]


async def test_a_file_that_became_unusable_changes_nothing(
    tmp_path: Path,
) -> None:
    with receiving() as receiver:
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            (tmp_path / "webhooks.toml").write_text("[receivers")
            await until(lambda: hooks.unusable)
            fire(hooks)
            await until(lambda: state_of(hooks).delivered == 1)


async def test_an_address_in_the_private_network_is_refused(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = f"https://localhost:{receiver.port}/hook"
        text = toml(one={"url": url, "secret": "whsec_" + "A" * 32})
        async with webhooks(tmp_path, text) as hooks:
            fire(hooks)
            await until(lambda: hooks.dead_letters)
            assert "private, loopback or link-local" in hooks.dead_letters[0].problem
    assert receiver.requests == []


async def test_deliveries_go_on_while_the_disk_fails(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder would be")
    with receiving() as receiver:
        down = True
        receiver.answer = lambda request: Answer(500 if down else 204)
        async with webhooks(tmp_path, toml(one=to(receiver))) as hooks:
            sent = fire(hooks)
            await until(lambda: hooks.failing)
            down = False
            await until(lambda: state_of(hooks).delivered == 1)
            (tmp_path / "state").unlink()
            await until(lambda: not hooks.failing)
    assert receiver.accepted == [sent]
