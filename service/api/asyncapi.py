"""The description of what is sent without being asked for: the event stream and the webhooks.

It is an AsyncAPI 3.0 document, made of the models whose instances are sent.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from pydantic import TypeAdapter

from model.labels import ALERTED_EMOTIONS
from service.api.openapi import EVENTS
from service.events import AlertState, Track
from service.webhooks.notice import Notice
from service.webhooks.presets import TYPE

router = APIRouter()

Json = dict[str, Any]
SCHEMAS = "#/components/schemas/"

SUMMARIES = {
    "call_started": "A call begins.",
    "reading": "How one window of a call sounds.",
    "alert": "An alert changed: by the voice, or by what people did.",
    "mutes": "The mutes changed; these are all that have not ended.",
    "call_ended": "A call has ended.",
    "call_erased": "Every trace of a call was removed.",
    "heartbeat": "The service lives, and says how well it knows what happens in calls.",
    "resync": "Events are missing here: load everything again.",
}
STREAM = """Server-sent events of `GET /v1/events`: the name of a message is the event's `event`,
its payload the JSON of `data`. All but heartbeats have an `id`, after which a client goes on by the
header `Last-Event-ID` or the parameter `after`."""
WEBHOOK = """What a receiver with the preset `standard` is sent by POST: a CloudEvent 1.0 in
structured mode, signed as Standard Webhooks has it. A notice has the same `id` however often it is
sent."""


@router.get("/asyncapi.json", include_in_schema=False)
async def asyncapi() -> Json:
    """Returns the AsyncAPI document of the event stream and the webhooks."""
    return document()


@cache
def document() -> Json:
    """Returns the AsyncAPI 3.0 document."""
    schemas: Json = {"Resync": {"type": "object", "additionalProperties": False}}
    payloads = {name: _add(schemas, model.__name__, model) for name, model in EVENTS.items()}
    payloads["resync"] = {"$ref": f"{SCHEMAS}Resync"}
    schemas["AlertNotice"] = _cloud_event(schemas)
    messages = {
        name: {"name": name, "summary": SUMMARIES[name], "payload": payload}
        for name, payload in payloads.items()
    }
    messages["alert_notice"] = {
        "name": "alert_notice",
        "summary": "One step of an alert, as a receiver outside is told of it.",
        "contentType": "application/cloudevents+json",
        "headers": _signed(),
        "payload": {"$ref": f"{SCHEMAS}AlertNotice"},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kanjo",
            "version": version("kanjo"),
            "description": "What Kanjo sends while callers are talking. /openapi.json describes "
            "what it is asked.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": _channel("/v1/events", STREAM, payloads),
            "webhook": _channel(None, WEBHOOK, ["alert_notice"]),
        },
        "operations": {
            "send_events": {"action": "send", "channel": {"$ref": "#/channels/events"}},
            "send_alert_notice": {"action": "send", "channel": {"$ref": "#/channels/webhook"}},
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _channel(address: str | None, description: str, messages: Iterable[str]) -> Json:
    return {
        "address": address,
        "description": description.replace("\n", " "),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _add(schemas: Json, name: str, model: type[Any]) -> Json:
    """Adds the schema of a model and of all models in it; returns the reference to it."""
    schema = TypeAdapter(model).json_schema(mode="serialization", ref_template=SCHEMAS + "{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[name] = schema
    return {"$ref": f"{SCHEMAS}{name}"}


def _cloud_event(schemas: Json) -> Json:
    """Returns the schema of a notice as a CloudEvent; its `data` is added to the schemas."""
    _add(schemas, "Notice", Notice)
    data = schemas["Notice"]
    for name in ("id", "at"):  # which are the event's own `id` and `time`
        del data["properties"][name]
        data["required"].remove(name)
    for name, values in (("track", Track), ("emotion", ALERTED_EMOTIONS), ("state", AlertState)):
        data["properties"][name]["enum"] = [str(value) for value in values]
    text = {"type": "string"}
    properties = {
        "specversion": {"const": "1.0"},
        "id": text,
        "source": {"type": "string", "format": "uri-reference"},
        "type": {"enum": [f"{TYPE}.{state}" for state in AlertState]},
        "subject": text | {"description": "the session of the call"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": f"{SCHEMAS}Notice"},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _signed() -> Json:
    """Returns the schema of the headers of Standard Webhooks."""
    headers = {
        "webhook-id": "the `id` of the event",
        "webhook-timestamp": "when it was sent, in epoch seconds",
        "webhook-signature": "`v1,` and the signature of id, timestamp and body",
    }
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": what} for name, what in headers.items()
        },
        "required": list(headers),
    }
