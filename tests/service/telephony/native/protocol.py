"""The native protocol's messages, checked against its schema, and a bridge whose call is live."""

import importlib.resources
import json
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator

from service.events import Audio, Event, Gap, Track
from service.telephony.native.bridge import NativeBridge

SCHEMA = json.loads(
    importlib.resources.files("service.telephony.native").joinpath("schema.json").read_text()
)
CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)


def valid(direction: str, message: str) -> dict[str, Any]:
    """Returns the message's content after the schema has accepted it."""
    content = json.loads(message)
    Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{direction}"}]}).validate(content)
    return content  # type: ignore[no-any-return]


def start(**changes: Any) -> str:
    return json.dumps(
        {
            "type": "start",
            "call_id": "c1",
            "encoding": "mulaw",
            "sample_rate": 8000,
            "tracks": ["caller"],
            **changes,
        }
    )


STOP = '{"type": "stop"}'


def live(analysed_tracks: frozenset[Track] = CALLER, **changes: Any) -> NativeBridge:
    bridge = NativeBridge(analysed_tracks)
    bridge.receive(valid("client", start(**changes)) and start(**changes))
    return bridge


def errors(bridge: NativeBridge) -> list[str]:
    """Returns the codes of all errors among the replies."""
    messages = [valid("server", message) for message in bridge.replies()]
    return [message["code"] for message in messages if message["type"] == "error"]


def samples(events: list[Event], track: Track) -> np.ndarray:
    """Returns the samples of one track, each lost one as -1."""
    pieces = [
        event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.empty(0, np.int16), *pieces])
