import json
from typing import Any

import pytest

from model.labels import Emotion
from service.events import AlertState, Track, Transition
from service.telephony.freeswitch.bridge import MAX_REPLIES
from tests.service.telephony.freeswitch.forks import fork


def transition(**changes: Any) -> Transition:
    fields = {
        "alert_id": "a-1",
        "number": 2,
        "call_id": "c1",
        "track": Track.CALLER,
        "emotion": Emotion.ANGER,
        "state": AlertState.FIRING,
        "since_s": 3.0,
        "at_s": 5.25,
        "probability": 0.83,
        "peak": 0.9,
    }
    return Transition(**{**fields, **changes})


def test_alerts_are_sent_only_if_enabled() -> None:
    disabled, enabled = fork(), fork(alerts=True)
    for bridge in (disabled, enabled):
        bridge.alert(transition())
    assert disabled.replies() == []
    (reply,) = enabled.replies()
    assert json.loads(reply)["type"] == "json"
    assert json.loads(reply)["data"]["text"] == "sounds angry (0.83)"
    assert enabled.replies() == []


def test_a_resolved_alert_has_its_own_text() -> None:
    bridge = fork(alerts=True)
    bridge.alert(transition(state=AlertState.RESOLVED, probability=0.2))
    assert json.loads(bridge.replies()[0])["data"]["text"] == "no longer sounds angry (0.20)"


@pytest.mark.parametrize("state", [AlertState.PENDING, AlertState.LAPSED])
def test_an_alert_that_did_not_fire_is_not_sent(state: AlertState) -> None:
    bridge = fork(alerts=True)
    bridge.alert(transition(state=state))
    assert bridge.replies() == []


def test_unsent_alerts_are_bounded_and_the_newest_stay() -> None:
    bridge = fork(alerts=True)
    for number in range(MAX_REPLIES + 9):
        bridge.alert(transition(number=number))
    replies = bridge.replies()
    assert len(replies) == MAX_REPLIES
    assert json.loads(replies[-1])["data"]["number"] == MAX_REPLIES + 8
