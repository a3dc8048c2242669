"""Calls whose alerts people judged, read back from Redis and run through the policy again."""

from typing import Any

from model.artifact import Thresholds
from model.labels import Emotion
from service.alerts.lifecycle import Action, ActionKind, Why
from service.replay.judged import fired_spans, is_real, judged_calls
from tests.redis_server import RedisServer
from tests.service.cli.command import invoke
from tests.service.store.backend import Backend, delivered, running
from tests.service.store.facts import whole_call


async def judge(store: Any, session: str, **fields: Any) -> None:
    await store.actions.act(f"{session}-caller-anger-1", Action("id", by="Ada", **fields))


async def test_dismissals_come_back_with_the_readings_that_caused_the_alerts(
    redis_server: RedisServer, tmp_path: Any
) -> None:
    backend = Backend(tmp_path, redis_server)
    async with running(backend.store()) as store:
        for number in range(5):
            whole_call(store, f"s{number}", f"call-{number}")
        await delivered(store)
        await judge(store, "s0", kind=ActionKind.TAKE)
        await judge(store, "s1", kind=ActionKind.DISMISS, why=Why.NOT_ANGRY)
        await judge(store, "s2", kind=ActionKind.DISMISS, why=Why.OTHER)
        await judge(store, "s3", kind=ActionKind.TAKE)
        whole_call(store, "s5", "call-3")  # replaces the readings of s3
        await delivered(store)
        calls, without_readings = await judged_calls(redis_server.url)
    await backend.redis.aclose()
    assert without_readings == 1
    assert sorted(is_real(call.alerts[0]) is True for call in calls) == [False, True]
    for call in calls:
        assert [reading.number for reading in call.readings] == [1, 2, 3]
        rules = {"hold_s": 0.0, "release_s": 4.0, "smooth_s": 0.75}
        low = fired_spans(call.readings, {Emotion.ANGER: Thresholds(0.5, 0.4)}, **rules)
        assert [end_s for _, end_s in low[Emotion.ANGER]] == [call.readings[-1].end_s]
        high = fired_spans(call.readings, {Emotion.ANGER: Thresholds(0.9, 0.8)}, **rules)
        assert high == {Emotion.ANGER: []}


def test_the_command_prints_what_each_threshold_would_have_done(redis_server: RedisServer) -> None:
    result = invoke("evaluate-alerts", "--from-redis", redis_server.url, KANJO_CORPORA="")
    assert result.exit_code == 0, result.output
    assert "0 calls with judged alerts" in result.output
    away = invoke("evaluate-alerts", "--from-redis", "redis://127.0.0.1:1/0", KANJO_CORPORA="")
    assert away.exit_code == 1
    assert "got no answer from Redis" in " ".join(away.stderr.split())
