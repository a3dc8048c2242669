import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model.labels import Emotion
from service.alerts.policy_file import parse_policy
from service.api.numbers import hidden
from service.store.errors import StoreUnavailable
from service.store.views import MutesView, MuteView
from service.webhooks.muted import Muted
from service.webhooks.notice import Notice
from tests.service.webhooks.harness import RESOLVED, fire, state_of, to, toml, until, webhooks
from tests.service.webhooks.http_receiver import FACTS, receiving, transition

HOUR_S = 3600.0


class Mutes:
    """The mutes that people set, as Redis would have them."""

    def __init__(self, *mutes: MuteView) -> None:
        self.mutes = list(mutes)
        self.away = False
        self.asked = 0

    async def all(self) -> MutesView:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        return MutesView(mutes=self.mutes)


def mute(**what: str) -> MuteView:
    now = time.time()
    return MuteView.model_validate(
        {"mute_id": "m1", "until": now + HOUR_S, "by": "Bea", "at": now, **what}
    )


def muted(mutes: Mutes) -> Muted:
    return Muted(mutes.all, lambda: None, poll_s=0.01)


@pytest.mark.parametrize("what", [{"session": "s1"}, {"queue": "support"}, {"emotion": "anger"}])
async def test_a_muted_alert_is_told_of_when_the_mute_ends(
    tmp_path: Path, what: dict[str, str]
) -> None:
    mutes = Mutes(mute(**what))
    with receiving() as receiver:
        async with webhooks(tmp_path, toml(one=to(receiver)), muted=muted(mutes)) as hooks:
            await until(lambda: mutes.asked)
            fired = fire(hooks)
            fire(hooks, "s1-caller-7")
            fire(hooks, "s1-caller-7", number=3, state=RESOLVED)
            await hooks.flush(5)
            assert state_of(hooks).waiting == 1  # the one that ended is not worth telling
            assert receiver.requests == []
            mutes.mutes = []
            await until(lambda: state_of(hooks).delivered == 1)
    assert receiver.accepted == [fired]


async def test_the_end_of_an_alert_that_was_told_of_is_told_although_it_is_muted(
    tmp_path: Path,
) -> None:
    mutes = Mutes()
    with receiving() as receiver:
        async with webhooks(tmp_path, toml(one=to(receiver)), muted=muted(mutes)) as hooks:
            sent = [fire(hooks)]
            await until(lambda: state_of(hooks).delivered == 1)
            mutes.mutes = [mute(session="s1")]
            asked = mutes.asked
            await until(lambda: mutes.asked > asked + 1)
            sent.append(fire(hooks, number=3, state=RESOLVED))
            await until(lambda: state_of(hooks).delivered == 2)
    assert receiver.accepted == sent


async def test_mutes_hold_while_redis_is_away(tmp_path: Path) -> None:
    mutes = Mutes(mute(queue="support"))
    with receiving() as receiver:
        async with webhooks(tmp_path, toml(one=to(receiver)), muted=muted(mutes)) as hooks:
            await until(lambda: mutes.asked)
            mutes.away = True
            asked = mutes.asked
            await until(lambda: mutes.asked > asked + 1)
            fire(hooks)
            await hooks.flush(5)
            assert receiver.requests == []


def test_the_policy_file_mutes_too() -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    text = f'[[mutes]]\nqueue = "support"\nemotion = "anger"\nuntil = {end.isoformat()}\n'
    policy = parse_policy(text, "policy.toml")
    known = Muted(Mutes().all, lambda: policy)
    assert known.until(notice()) == end.timestamp()
    assert known.until(notice(Emotion.HAPPINESS)) is None


def notice(emotion: Emotion = Emotion.ANGER) -> Notice:
    return Notice.of("s1", "twilio", FACTS, transition(emotion=emotion), time.time(), hidden)
