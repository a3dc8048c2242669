"""An AudioHook client with correct numbers, and the messages and results that tests send."""

import json
from typing import Any

import numpy as np

from model.labels import EMOTIONS, Emotion
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallSummary,
    Event,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.audiohook.bridge import AudioHookBridge

SESSION = "60150626-39e5-424f-b4c3-97dd458c3ce8"
ORGANIZATION = "c9b8f804-1f2a-4f0e-9c39-0f3f8f6a7d11"
CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)
SUMMARY = CallSummary(duration_s=12.3456, speech_s=5.0, readings=4, alerts=1, dropped=0)


def media(*channels: str, encoding: str = "PCMU", rate: Any = 8000) -> dict[str, Any]:
    return {"type": "audio", "format": encoding, "channels": [*channels], "rate": rate}


STEREO, EXTERNAL, INTERNAL = media("external", "internal"), media("external"), media("internal")
OFFER = [STEREO, EXTERNAL, INTERNAL]


class Session:
    """A bridge with a client that numbers its messages and checks the numbers of replies."""

    def __init__(self, analysed_tracks: frozenset[Track] = CALLER, **options: Any) -> None:
        self.bridge = AudioHookBridge(
            SESSION, ORGANIZATION, analysed_tracks=analysed_tracks, **options
        )
        self.seq = self.serverseq = 0

    def text(self, kind: str, /, **changes: Any) -> str:
        """Returns the next message; `changes` that are not of the envelope are its parameters."""
        self.seq += 1
        envelope = {
            "version": "2",
            "type": kind,
            "id": SESSION,
            "seq": self.seq,
            "serverseq": self.serverseq,
            "position": "PT0S",
        }
        parameters = {k: v for k, v in changes.items() if k not in envelope}
        fields = {k: v for k, v in changes.items() if k in envelope}
        return json.dumps({**envelope, "parameters": parameters, **fields})

    def send(self, kind: str, /, **changes: Any) -> list[Event]:
        return self.bridge.receive(self.text(kind, **changes))

    def replies(self) -> list[tuple[str, dict[str, Any]]]:
        """Returns the types and parameters of the replies, whose numbers are checked."""
        replies = []
        for message in map(json.loads, self.bridge.replies()):
            self.serverseq += 1
            assert (message["version"], message["id"]) == ("2", SESSION)
            assert message["seq"] == self.serverseq
            replies.append((message["type"], message["parameters"]))
        return replies

    def open(self, **changes: Any) -> list[Event]:
        return self.send("open", **open_parameters(**changes))

    def live(self, **changes: Any) -> "Session":
        """Opens the session and accepts its call."""
        assert any(isinstance(event, CallStarted) for event in self.open(**changes))
        self.bridge.started("s", "kanjo", "1", 1.0)
        assert [kind for kind, _ in self.replies()] == ["opened"]
        return self


def open_parameters(**changes: Any) -> dict[str, Any]:
    return {
        "organizationId": ORGANIZATION,
        "conversationId": "bbb1e875-9e0c-4a36-8d8c-0b4a2a3a5d6f",
        "participant": {"id": "9bdb42f2", "ani": "+1", "aniName": "", "dnis": "+2"},
        "media": OFFER,
        **changes,
    }


def started(events: list[Event]) -> CallStarted:
    (event,) = events
    assert isinstance(event, CallStarted)
    return event


def reading(end_s: float, track: Track = Track.CALLER) -> Reading:
    probabilities = dict.fromkeys(EMOTIONS, 0.25)
    return Reading("c", 1, track, end_s - 1, end_s, 1.0, probabilities)


def transition(state: AlertState = AlertState.FIRING, number: int = 2) -> Transition:
    args = {"since_s": 1.0, "at_s": 2.5, "probability": 0.8312, "peak": 0.9}
    return Transition("a", number, "c", Track.CALLER, Emotion.ANGER, state, **args)


def entities(replies: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Returns the types of all event entities."""
    return [e["type"] for kind, p in replies if kind == "event" for e in p["entities"]]


def samples(events: list[Event], track: Track) -> np.ndarray:
    """Returns the samples of one track, each lost one as -1."""
    pieces = [
        event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.zeros(0, np.int16), *pieces])
