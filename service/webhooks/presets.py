"""The requests that receivers expect: CloudEvents, Slack, Microsoft Teams, PagerDuty. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from service.webhooks.notice import Notice
from service.webhooks.receivers import Receiver

TYPE = "kanjo.alert"  # of the CloudEvents, with the state behind it: `kanjo.alert.firing`
MAX_SHOWN = 100  # characters of a text that comes from a call


@dataclass(frozen=True, slots=True)
class Message:
    """The body and the headers of one request."""

    body: bytes
    headers: Mapping[str, str]


def message_for(receiver: Receiver, notice: Notice, page_url: str | None, now: float) -> Message:
    """Returns the request of a notice in the form of the receiver's preset.

    Args:
        receiver: whose preset and secret count.
        notice: what is told.
        page_url: address of the dashboard, which a message links; None: no link.
        now: epoch seconds, for the signature.
    """
    secret = receiver.secret.get_secret_value() if receiver.secret else ""
    match receiver.preset:
        case "slack":
            return _plain(_slack(notice, page_url))
        case "teams":
            return _plain(_teams(notice, page_url))
        case "pagerduty":
            return _plain(_pagerduty(notice, page_url, secret))
    body = _json(_cloud_event(notice, page_url))
    at = datetime.fromtimestamp(int(now), UTC)
    return Message(
        body,
        {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": Webhook(secret).sign(notice.id, at, body.decode()),
        },
    )


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(content: Mapping[str, Any]) -> Message:
    return Message(_json(content), {"Content-Type": "application/json"})


def _cloud_event(notice: Notice, page_url: str | None) -> Mapping[str, Any]:
    """Returns an event in the structured mode of CloudEvents 1.0."""
    data = notice.fields()
    del data["id"], data["at"]
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": page_url or "/kanjo",
        "type": f"{TYPE}.{notice.state}",
        "subject": notice.session,
        "time": notice.time,
        "datacontenttype": "application/json",
        "data": data,
    }


def _headline(notice: Notice) -> str:
    """Returns one sentence about a call: `Caller sounds angry (0.83)`."""
    return f"{notice.track.capitalize()} {notice.text}"


def _rows(notice: Notice) -> list[tuple[str, str]]:
    """Returns what is known of the call, as pairs of name and value."""
    rows = [
        ("Queue", notice.queue),
        ("Caller", notice.caller_number),
        ("Called", notice.called_number),
        ("Call", f"{notice.call_id} ({notice.bridge})"),
    ]
    return [(name, value[:MAX_SHOWN]) for name, value in rows if value]


def _slack(notice: Notice, page_url: str | None) -> Mapping[str, Any]:
    """Returns a message of Slack's incoming webhooks.

    What comes from the call is `plain_text`, so that it can be neither a link nor a mention.
    """
    rows = [
        {"type": "plain_text", "text": f"{name}: {value}", "emoji": False}
        for name, value in _rows(notice)
    ]
    blocks: list[Mapping[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": _headline(notice)}},
        {"type": "context", "elements": rows},
    ]
    if page_url:
        button = {"type": "plain_text", "text": "Open Kanjo"}
        action = {"type": "button", "text": button, "url": page_url, "action_id": "open"}
        blocks.append({"type": "actions", "elements": [action]})
    return {"text": _headline(notice), "blocks": blocks}


def _teams(notice: Notice, page_url: str | None) -> Mapping[str, Any]:
    """Returns a message with an adaptive card, for a workflow of Microsoft Teams."""
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock",
                "text": _headline(notice),
                "weight": "Bolder",
                "color": "Default" if notice.over or notice.emotion != "anger" else "Attention",
                "wrap": True,
            },
            {
                "type": "FactSet",
                "facts": [
                    {"title": name, "value": _no_markdown(value)} for name, value in _rows(notice)
                ],
            },
        ],
    }
    if page_url:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open Kanjo", "url": page_url}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _no_markdown(text: str) -> str:
    """Returns the text without what would make a link of it in an adaptive card."""
    return text.translate(str.maketrans("[]<>", "()()"))


def _pagerduty(notice: Notice, page_url: str | None, key: str) -> Mapping[str, Any]:
    """Returns an event of PagerDuty's Events API v2; an alert is one incident."""
    event: dict[str, Any] = {
        "routing_key": key,
        "event_action": "resolve" if notice.over else "trigger",
        "dedup_key": notice.alert_id,
        "client": "Kanjo",
    }
    if page_url:
        event["client_url"] = page_url
    event["payload"] = {
        "summary": " · ".join([_headline(notice), *(value for _, value in _rows(notice)[:2])]),
        "source": notice.bridge,
        "severity": "warning" if notice.emotion == "anger" else "info",
        "timestamp": notice.time,
        "component": notice.queue or "no queue",
        "class": notice.emotion,
        "custom_details": {
            name: value
            for name, value in notice.fields().items()
            if name not in ("id", "at") and value is not None
        },
    }
    return event
