from service.events import CallStarted, Track
from service.store.entries import (
    CallEndedEntry,
    CallJoinedEntry,
    CallStartedEntry,
    SweepEntry,
    TransitionEntry,
    serialize,
)
from tests.service.store.facts import FIRING, transition

STARTED = CallStarted("c", "twilio", (Track.CALLER, Track.AGENT), 8000, {"queue": "b"})


def test_an_entry_is_serialised_to_names_and_text() -> None:
    assert serialize(CallEndedEntry("s1", "c", "hangup", 42.5, 1700000000.25)) == (
        "call_ended",
        [
            *("session", "s1"),
            *("call_id", "c"),
            *("reason", "hangup"),
            *("duration_s", "42.5"),
            *("ended_at", "1700000000.25"),
        ],
    )
    assert serialize(SweepEntry(30.0)) == ("sweep", ["lost_after_s", "30.0"])


def test_tracks_and_metadata_are_json() -> None:
    started = dict(CallStartedEntry("s1", STARTED, 1.5).arguments())
    assert started["tracks"] == '["caller", "agent"]'
    assert started["metadata"] == '{"queue": "b"}'
    joined = CallJoinedEntry("s1", STARTED).arguments()
    both = ("session", "call_id", "tracks", "metadata", "facts")
    assert joined == {name: started[name] for name in both}


def test_a_transition_has_all_fields_of_the_event() -> None:
    kind, arguments = serialize(TransitionEntry("s1", transition(2, FIRING), 7.5))
    assert kind == "transition"
    assert dict(zip(arguments[::2], arguments[1::2], strict=True)) == {
        "session": "s1",
        "at": "7.5",
        "alert_id": "s1-caller-anger-1",
        "number": "2",
        "call_id": "call-1",
        "track": "caller",
        "emotion": "anger",
        "state": "firing",
        "since_s": "10.0",
        "at_s": "12.0",
        "probability": "0.7",
        "peak": "0.825",
    }
