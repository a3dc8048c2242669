"""The AsyncAPI document describes what the service really sends."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.api.openapi import EVENTS
from tests.service.api.conftest import Running, call
from tests.service.api.test_alerts import do, fired
from tests.service.api.test_events import Event, cursor, subscribed
from tests.service.webhooks.test_presets import notice, sent

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document(service: Running) -> Json:
    found: Json = service.get("/asyncapi.json").json()
    return found


def problems(document: Json, message: str, payload: object) -> list[str]:
    """Returns where a payload is not what the document says of a message."""
    payload_of = document["components"]["messages"][message]["payload"]
    # Within the document's components, so that references lead there.
    validator = Draft202012Validator({**payload_of, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(payload)]


def undescribed(document: Json, schema: Json, value: object) -> Iterator[str]:
    """Yields the fields of a value that its schema does not name."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null" and value is not None:
            yield from undescribed(document, choice, value)
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from undescribed(document, schema["items"], item)
    if isinstance(value, dict):
        others = schema.get("additionalProperties", schema.get("anyOf"))
        for name, field in value.items():
            of_field = schema.get("properties", {}).get(name, others)
            if of_field is None:
                yield name
            elif isinstance(of_field, dict):
                yield from undescribed(document, of_field, field)


def happenings(service: Running) -> list[Event]:
    """Makes a call, a mute and an erasure, and returns all events of them."""
    with subscribed(service, after=cursor(service)) as events:
        alert = fired(service, "described")
        do(service, alert, "take")
        do(service, alert, "note", text="calls back")
        with service.client() as client:
            mute = {"id": "of-asyncapi", "emotion": "happiness", "until": time.time() + 300}
            assert client.post("/v1/mutes", json=mute).status_code == 200
            assert client.delete("/v1/mutes/of-asyncapi").status_code == 200
            # An erasure takes the events of its call out of the stream, so they are read before.
            found = upto(events, "mutes", 2)
            assert client.delete("/v1/calls/described").status_code in (200, 204)
        return found + upto(events, "call_erased", 1)


def upto(events: Iterator[Event], kind: str, count: int) -> list[Event]:
    """Returns the next events up to the last of so many of a kind."""
    found: list[Event] = []
    for event in events:
        found.append(event)
        count -= event.kind == kind
        if not count:
            return found
    raise AssertionError(f"the stream ended before {kind}")


def test_every_event_is_as_described(service: Running, document: Json) -> None:
    events = happenings(service)
    assert {event.kind for event in events} | {"heartbeat"} == EVENTS.keys()
    for event in events:
        assert problems(document, event.kind, event.data) == []
        payload = document["components"]["messages"][event.kind]["payload"]
        assert list(undescribed(document, payload, event.data)) == []
        schema = document["components"]["schemas"][payload["$ref"].rsplit("/", 1)[1]]
        assert event.data.keys() == schema["properties"].keys(), "what may be null is sent too"


def test_heartbeat_and_resync_are_as_described(service: Running, document: Json) -> None:
    assert problems(document, "resync", {}) == []
    assert problems(document, "resync", {"why": 1}) != []
    beat = json.loads(service.services.heartbeat.now().model_dump_json())
    assert problems(document, "heartbeat", beat) == []
    assert problems(document, "heartbeat", {**beat, "redis": "perhaps"}) != []


def test_a_webhook_is_as_described(document: Json) -> None:
    event = sent("standard", notice())
    assert problems(document, "alert_notice", event) == []
    assert problems(document, "alert_notice", {**event, "type": "kanjo.alert.over"}) != []
    data = {"$ref": "#/components/schemas/Notice"}
    assert list(undescribed(document, data, event["data"])) == []
    assert event["data"].keys() == document["components"]["schemas"]["Notice"]["properties"].keys()


def test_every_reference_leads_somewhere(document: Json) -> None:
    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name == "$ref":
                    yield inner
                else:
                    yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in set(references(document)):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target
    assert set(document["channels"]["events"]["messages"]) == {*EVENTS, "resync"}


def test_a_reading_that_lacks_a_field_is_not_as_described(service: Running, document: Json) -> None:
    with subscribed(service, after=cursor(service)) as events:
        call(service, "short of a field")
        reading = next(event.data for event in events if event.kind == "reading")
    assert problems(document, "reading", reading) == []
    del reading["probabilities"]
    assert problems(document, "reading", reading) == ["$: 'probabilities' is a required property"]
