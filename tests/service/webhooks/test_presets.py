import json
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import Webhook

from service.api.numbers import hidden
from service.events import AlertState, CallFacts
from service.webhooks.notice import Notice
from service.webhooks.presets import message_for
from service.webhooks.receivers import Receiver
from tests.service.webhooks.http_receiver import FACTS, KEY, SECRET, transition

PAGE = "https://kanjo.example"
RECEIVERS = {
    "standard": {"url": "https://example.org/hook", "secret": SECRET},
    "slack": {"preset": "slack", "url": "https://hooks.slack.com/services/T/B/x"},
    "teams": {"preset": "teams", "url": "https://example.logic.azure.com/workflows/x"},
    "pagerduty": {"preset": "pagerduty", "secret": KEY},
}


def notice(facts: CallFacts = FACTS, **more: Any) -> Notice:
    return Notice.of("s1", "twilio", facts, transition(**more), 1_800_000_000.12, hidden)


def sent(preset: str, of: Notice, page: str | None = PAGE, now: float = 1.0) -> Any:
    receiver = Receiver.model_validate(RECEIVERS[preset])
    return json.loads(message_for(receiver, of, page, now).body)


def test_a_standard_message_is_a_cloud_event_that_the_library_verifies() -> None:
    import time

    receiver = Receiver.model_validate(RECEIVERS["standard"])
    message = message_for(receiver, notice(), PAGE, time.time())
    event = Webhook(SECRET).verify(message.body, dict(message.headers))
    assert message.headers["Content-Type"].startswith("application/cloudevents+json")
    assert message.headers["webhook-id"] == event["id"] == "s1-caller-1-2"
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "s1-caller-1-2",
        "source": PAGE,
        "type": "kanjo.alert.firing",
        "subject": "s1",
        "time": "2027-01-15T08:00:00.120+00:00",
        "datacontenttype": "application/json",
    }
    assert data == {
        "alert_id": "s1-caller-1",
        "session": "s1",
        "call_id": "CA17",
        "bridge": "twilio",
        "track": "caller",
        "emotion": "anger",
        "state": "firing",
        "probability": 0.83,
        "peak": 0.91,
        "since_s": 1.0,
        "at_s": 4.5,
        "text": "sounds angry (0.83)",
        "queue": "support",
        "language": None,
        "caller_number": "+49 … 89",
        "called_number": "+49 … 67",
    }


@pytest.mark.parametrize("preset", RECEIVERS)
def test_no_message_has_whole_numbers_or_the_agent(preset: str) -> None:
    text = json.dumps(sent(preset, notice(call_id="+4930123456789-17")), ensure_ascii=False)
    assert "Zoltan" not in text
    for number in ("30123456789", "8001234567"):
        assert number not in text
    assert "sounds angry (0.83)" in text
    assert "is angry" not in text


def test_slack_gets_blocks_in_which_nothing_of_the_call_is_a_link_or_mention() -> None:
    hostile = replace(FACTS, queue="<!channel> <https://evil.example|click>")
    message = sent("slack", notice(hostile))
    assert message["text"] == "Caller sounds angry (0.83)"
    section, context, actions = message["blocks"]
    assert section["text"] == {"type": "plain_text", "text": "Caller sounds angry (0.83)"}
    assert {element["type"] for element in context["elements"]} == {"plain_text"}
    assert context["elements"][0]["text"].startswith("Queue: <!channel>")
    assert actions["elements"][0]["url"] == PAGE
    assert len(sent("slack", notice(), None)["blocks"]) == 2


def test_teams_gets_an_adaptive_card_without_markdown_of_the_call() -> None:
    message = sent("teams", notice(replace(FACTS, queue="[click](https://evil.example)")))
    (attachment,) = message["attachments"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["text"] == "Caller sounds angry (0.83)"
    assert card["body"][1]["facts"][0] == {
        "title": "Queue",
        "value": "(click)(https://evil.example)",
    }
    assert card["actions"][0]["url"] == PAGE


@pytest.mark.parametrize(
    ("state", "action"), [("firing", "trigger"), ("resolved", "resolve"), ("lapsed", "resolve")]
)
def test_pagerduty_gets_one_incident_an_alert(state: str, action: str) -> None:
    event = sent("pagerduty", notice(state=AlertState(state)))
    assert event["routing_key"] == KEY
    assert event["event_action"] == action
    assert event["dedup_key"] == "s1-caller-1"
    payload = event["payload"]
    assert payload["summary"].startswith("Caller ")
    assert "support" in payload["summary"]
    assert payload["severity"] == "warning"
    assert payload["source"] == "twilio"
    assert payload["custom_details"]["state"] == state
