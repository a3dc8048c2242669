"""Connections as providers make them, line by line in tests/transcripts/<provider>-<what>.jsonl.

The first line names the provider and the options of its bridge's constructor; "class" names the
bridge if a module has two, and with "refuse" the service refuses the call:

    {"bridge": "twilio", "options": {"analysed_tracks": ["caller"]}, "refuse": false}

The other lines follow in order:

    {"from": "client", "text": ...}      a message; "base64" instead of "text" if it is binary, and
                                         an object under "json" is sent as JSON text
    {"from": "client", "gone": true}     the connection is lost
    {"edge": "alert", "arguments": {}}   the service calls this method of the bridge
    {"from": "server", "text": ...}      the next reply; "base64" or "json" as above
    {"events": [...]}                    all events since the last such line
    {"close_code": 1003}                 the bridge's close code at this point
    {"problems": {"bad_seq": 1}}         the bridge's message errors at this point

An event is {"started": {...}}, {"track": "caller", "samples": 160}, {"track": "caller", "gap": 80}
or {"stopped": "end"}; audio that follows audio of the same track is added to it. The service
accepts or refuses a call as soon as it starts, and has its summary as soon as it stops. A
transcript must list every reply and every event.
"""

import base64
import dataclasses
import importlib
import inspect
import json
from collections import deque
from pathlib import Path
from typing import Any, cast

import pytest

from model.labels import Emotion
from service.errors import Overloaded
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Event,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.shared.bridge import Bridge
from tests.paths import TRANSCRIPTS as TRANSCRIPTS_FOLDER

TRANSCRIPTS = sorted(TRANSCRIPTS_FOLDER.glob("*.jsonl"))
SUMMARY = CallSummary(duration_s=2.0, speech_s=1.5, readings=1, alerts=0, dropped=0)


def bridge_class(module_name: str, name: str | None) -> type[Bridge]:
    module = importlib.import_module(f"service.telephony.{module_name}.bridge")
    bridges = {
        found: kind
        for found, kind in vars(module).items()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and found.endswith("Bridge")
    }
    if name is None:
        (name,) = bridges
    return cast(type[Bridge], bridges[name])


def option(name: str, value: Any) -> Any:
    match name:
        case "analysed_tracks":
            return frozenset(map(Track, value))
        case "tracks":
            return {name: Track(track) for name, track in value.items()}
        case "channels":
            return tuple(track and Track(track) for track in value)
    return value


def argument(name: str, value: Any) -> Any:
    """Returns what the service would pass; fields that the transcript omits have defaults."""
    match name:
        case "transition":
            fields = {"call_id": "c", "track": Track.CALLER, **value}
            return Transition(
                **{
                    **fields,
                    "track": Track(fields["track"]),
                    "emotion": Emotion(value["emotion"]),
                    "state": AlertState(value["state"]),
                }
            )
        case "reading":
            fields = {"call_id": "c", "number": 1, "track": Track.CALLER, "heard_s": 1.0, **value}
            emotions = {Emotion(e): p for e, p in value["probabilities"].items()}
            return Reading(**{**fields, "track": Track(fields["track"]), "probabilities": emotions})
    return value


def message(line: dict[str, Any]) -> str | bytes:
    if "base64" in line:
        return base64.b64decode(line["base64"], validate=True)
    return json.dumps(line["json"]) if "json" in line else str(line["text"])


def readable(message: str | bytes) -> Any:
    """Returns the content of JSON, and anything else unchanged."""
    if isinstance(message, bytes):
        return message
    try:
        return json.loads(message)
    except ValueError:
        return message


def described(events: list[Event]) -> list[dict[str, Any]]:
    """Returns events in the form that transcripts list them in."""
    lines: list[dict[str, Any]] = []
    for event in events:
        match event:
            case CallStarted():
                fields = dataclasses.asdict(event)
                del fields["facts"], fields["consent"]  # read from the metadata, by test_facts.py
                lines.append({"started": json.loads(json.dumps(fields))})
            case Audio(track, pcm):
                last = next((one for one in lines[::-1] if one.get("track") == track), {})
                if "samples" in last:
                    last["samples"] += len(pcm)
                else:
                    lines.append({"track": str(track), "samples": len(pcm)})
            case Gap(track, samples):
                lines.append({"track": str(track), "gap": samples})
            case CallStopped(reason):
                lines.append({"stopped": reason})
    return lines


class Edge:
    """A bridge, and the part of the service that calls it."""

    def __init__(self, header: dict[str, Any]) -> None:
        kind = bridge_class(header["bridge"], header.get("class"))
        options = {name: option(name, value) for name, value in header["options"].items()}
        self.bridge = kind(**options)
        self.refuse = header.get("refuse", False)
        self.events: list[Event] = []
        self.replies: deque[str | bytes] = deque()

    def accept(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, CallStarted) and self.refuse:
                self.bridge.refused(Overloaded(1))
            elif isinstance(event, CallStarted):
                self.bridge.started(session="s", model="kanjo", version="1", hop_s=1.0)
            elif isinstance(event, CallStopped):
                self.bridge.stopped(event.reason, SUMMARY)

    def play(self, line: dict[str, Any]) -> None:
        match line:
            case {"from": "client", "gone": True}:
                self.accept(self.bridge.disconnected())
            case {"from": "client"}:
                self.accept(self.bridge.receive(message(line)))
            case {"edge": method}:
                arguments = line.get("arguments", {})
                events = getattr(self.bridge, method)(
                    **{name: argument(name, value) for name, value in arguments.items()}
                )
                self.accept(events or [])
            case {"from": "server"}:
                assert self.replies, f"no reply, expected {line}"
                assert readable(self.replies.popleft()) == readable(message(line))
            case {"events": events}:
                found, self.events = described(self.events), []
                assert found == events
            case {"close_code": code}:
                assert self.bridge.close_code == code
            case {"problems": problems}:
                assert dict(self.bridge.message_errors) == problems
            case _:
                pytest.fail(f"got {line}, expected a line of a transcript")
        self.replies.extend(self.bridge.replies())


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_gives_its_events_and_replies(path: Path) -> None:
    header, *lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    edge = Edge(header)
    for number, line in enumerate(lines, 2):
        try:
            edge.play(line)
        except Exception as error:
            error.add_note(f"{path.name}:{number}")
            raise
    assert not edge.replies, f"{path.name} does not list {list(edge.replies)}"
    assert not edge.events, f"{path.name} does not list {described(edge.events)}"


def test_there_are_transcripts() -> None:
    assert TRANSCRIPTS
