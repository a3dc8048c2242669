import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audio import mulaw_decode
from model.labels import EMOTIONS, Emotion
from service.errors import CallExists, Overloaded
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
from service.telephony.audiohook.bridge import (
    MAX_ENTITIES,
    MAX_FRAME_BYTES,
    MAX_INFO_CHARS,
    MAX_REPLIES,
    MAX_TEXT_BYTES,
    NIL,
    SIDES,
    AudioHookBridge,
)
from service.telephony.shared.bridge import Bridge, CloseCode

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
    """A client that keeps its numbers, and the edge behind the bridge."""

    def __init__(self, analyse: frozenset[Track] = CALLER, **options: Any) -> None:
        self.bridge = AudioHookBridge(SESSION, ORGANIZATION, analyse=analyse, **options)
        self.seq = self.serverseq = 0

    def text(self, kind: str, /, **changes: Any) -> str:
        """The next message; `parameters` are the changes that are no field of the envelope."""
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

    def say(self, kind: str, /, **changes: Any) -> list[Event]:
        return self.bridge.receive(self.text(kind, **changes))

    def replies(self) -> list[tuple[str, dict[str, Any]]]:
        """Types and parameters, their numbers checked."""
        told = []
        for message in map(json.loads, self.bridge.replies()):
            self.serverseq += 1
            assert (message["version"], message["id"]) == ("2", SESSION)
            assert message["seq"] == self.serverseq
            told.append((message["type"], message["parameters"]))
        return told

    def open(self, **changes: Any) -> list[Event]:
        return self.say("open", **opening(**changes))

    def live(self, **changes: Any) -> "Session":
        """Opened and taken."""
        assert any(isinstance(event, CallStarted) for event in self.open(**changes))
        self.bridge.started("s", "kanjo", "1", 1.0)
        assert [kind for kind, _ in self.replies()] == ["opened"]
        return self


def opening(**changes: Any) -> dict[str, Any]:
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
    """The types of all event entities."""
    return [e["type"] for kind, p in replies if kind == "event" for e in p["entities"]]


def heard(events: list[Event], track: Track) -> np.ndarray:
    """What one track plays, each lost sample as -1."""
    parts = [
        event.pcm if isinstance(event, Audio) else np.full(event.samples, -1, np.int16)
        for event in events
        if isinstance(event, Audio | Gap) and event.track is track
    ]
    return np.concatenate([np.zeros(0, np.int16), *parts])


def test_it_is_a_bridge() -> None:
    bridge: Bridge = AudioHookBridge(SESSION, None)
    assert bridge.close_code is None


# Media


@pytest.mark.parametrize(
    ("analyse", "offered", "chosen"),
    [
        (CALLER, OFFER, EXTERNAL),
        (CALLER, [STEREO, INTERNAL], STEREO),
        (CALLER, [media("internal", "external")], media("internal", "external")),
        (CALLER, [media("external", encoding="L16"), STEREO], media("external", encoding="L16")),
        (CALLER, [media("external", encoding="L16"), EXTERNAL], EXTERNAL),
        (BOTH, OFFER, STEREO),
        (BOTH, [EXTERNAL, media("internal", "external", encoding="L16"), STEREO], STEREO),
        (BOTH, [INTERNAL, EXTERNAL], INTERNAL),
        (CALLER, [media("external", rate=44_100), None, 7, {}], media("external", rate=44_100)),
    ],
)
def test_it_chooses_all_that_is_analysed_and_as_little_else_as_can_be(
    analyse: frozenset[Track], offered: list[Any], chosen: dict[str, Any]
) -> None:
    session = Session(analyse)
    call = started(session.open(media=offered))
    session.bridge.started("s", "kanjo", "1", 1.0)
    assert session.replies() == [("opened", {"media": [chosen], "startPaused": False})]
    assert call.tracks == tuple(SIDES[channel] for channel in chosen["channels"])
    assert call.sample_rate == chosen["rate"]


@pytest.mark.parametrize(
    "offered",
    [
        [INTERNAL],
        [media("external", encoding="OPUS")],
        [media("external", rate=4000)],
        [media("external", rate="8000")],
        [media("external", "external")],
        [media("external", "internal", "internal")],
        [media()],
        [{**EXTERNAL, "type": "video"}],
        ["external"],
    ],
)
def test_media_it_can_not_hear_end_the_session_with_1003(offered: list[Any]) -> None:
    session = Session()
    assert session.open(media=offered) == []
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert "got media" in parameters["info"]
    assert "expected audio in PCMU or L16" in parameters["info"]
    session.bridge.overdue()
    assert session.bridge.close_code == CloseCode.UNSUPPORTED


def test_who_is_on_a_channel_is_configuration() -> None:
    session = Session(sides={"external": Track.AGENT, "internal": Track.CALLER})
    assert started(session.open(media=[INTERNAL, EXTERNAL])).tracks == (Track.CALLER,)


# Audio


@given(data=st.data())
@settings(max_examples=40)
def test_pieces_of_any_size_give_the_same_samples(data: st.DataObject) -> None:
    channels = data.draw(st.permutations(["external", "internal"]))
    encoding = data.draw(st.sampled_from(["PCMU", "L16"]))
    codes = np.random.default_rng(7).integers(0, 256, 800, np.uint8).tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, 800), max_size=8)))
    session = Session(BOTH).live(media=[media(*channels, encoding=encoding)])
    events: list[Event] = []
    for begin, end in zip([0, *cuts], [*cuts, 800], strict=True):
        events += session.bridge.receive(codes[begin:end])
    pcm = mulaw_decode(codes) if encoding == "PCMU" else np.frombuffer(codes, "<i2")
    for lane, channel in enumerate(channels):
        np.testing.assert_array_equal(heard(events, SIDES[channel]), pcm[lane::2])
    assert session.bridge.position_s == Decimal(len(pcm) // 2) / 8000
    assert session.bridge.problems == {}


def test_the_agent_is_not_decoded() -> None:
    session = Session().live(media=[STEREO])
    (audio,) = session.bridge.receive(bytes(320))
    assert isinstance(audio, Audio)
    assert audio.track is Track.CALLER


def test_catch_up_of_20_s_in_one_frame_is_heard() -> None:
    session = Session(BOTH).live(media=[media("external", "internal", encoding="L16")])
    events = session.bridge.receive(bytes(MAX_FRAME_BYTES))
    assert len(heard(events, Track.CALLER)) == 20 * 8000


def test_a_frame_beyond_all_measure_is_a_gap() -> None:
    session = Session().live()
    events = session.bridge.receive(bytes(MAX_FRAME_BYTES + 1))
    assert events == [Gap(Track.CALLER, MAX_FRAME_BYTES + 1)]
    assert session.bridge.problems == {"frame_too_large": 1}
    assert session.replies() == []


@pytest.mark.parametrize("before", ["nothing", "open", "a probe"])
def test_audio_that_nobody_can_know_ends_the_session(before: str) -> None:
    session = Session()
    if before != "nothing":
        session.open(**({"media": []} if before == "a probe" else {}))
    events = session.bridge.receive(bytes(160))
    assert events == ([CallStopped("protocol_error")] if before == "open" else [])
    kind, parameters = session.replies()[-1]
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert session.bridge.problems == {"audio_unexpected": 1}


def test_what_was_discarded_is_a_gap_of_all_its_samples() -> None:
    session = Session(BOTH).live()
    events = session.bridge.receive(bytes(320))
    for _ in range(3):  # a third of a sample too much each, one together
        events += session.say("discarded", start="PT0.02S", discarded="PT0.1250416667S")
    assert len(heard(events, Track.CALLER)) == len(heard(events, Track.AGENT)) == 160 + 3001
    assert session.bridge.position_s == Decimal("0.02") + 3 * Decimal("0.1250416667")


@pytest.mark.parametrize(
    "duration", ["1.5", "PT1,5S", "PT-1S", "PTS", "PT.S", "PT1e3S", "PT٣S", "PT86401S", 3, None]
)
def test_an_impossible_duration_ends_the_session(duration: Any) -> None:
    session = Session().live()
    assert session.say("discarded", start="PT0S", discarded=duration) == [
        CallStopped("protocol_error")
    ]
    assert "discarded: got" in session.replies()[0][1]["info"]


def test_nothing_is_heard_while_the_client_pauses() -> None:
    session = Session().live()
    assert session.say("paused") == []
    assert session.bridge.receive(bytes(160)) == [Gap(Track.CALLER, 160)]
    assert session.say("resumed", start="PT0S", discarded="PT1S") == [Gap(Track.CALLER, 8000)]
    assert len(heard(session.bridge.receive(bytes(160)), Track.CALLER)) == 160
    assert session.bridge.problems == {"audio_while_paused": 1}


def test_the_service_can_pause_before_and_after_it_takes_the_call() -> None:
    session = Session()
    session.open()
    session.bridge.pause()
    session.bridge.started("s", "kanjo", "1", 1.0)
    session.bridge.resume()
    session.bridge.pause()
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["opened", "resume", "pause"]
    assert replies[0][1]["startPaused"] is True


# What a session is about


def test_the_call_is_the_conversation_and_the_rest_is_metadata() -> None:
    call = started(
        Session().open(
            language="en-US",
            customConfig={"queue": "billing", "nested": {"a": [1, "ü"]}, "empty": None},
            inputVariables={"x": "1"},
            continuedSessions=[{"id": "old", "serverseq": 3, "clientseq": 4}],
        )
    )
    assert call.call_id == "bbb1e875-9e0c-4a36-8d8c-0b4a2a3a5d6f"
    assert call.bridge == "audiohook"
    assert call.metadata == {
        "sessionId": SESSION,
        "organizationId": ORGANIZATION,
        "participantId": "9bdb42f2",
        "ani": "+1",
        "dnis": "+2",
        "language": "en-US",
        "continuedSessions": "old",
        "customConfig.queue": "billing",
        "customConfig.nested": json.dumps({"a": [1, "ü"]}),
        "inputVariables.x": "1",
    }


def test_metadata_are_cut_to_32_entries_of_1024_characters() -> None:
    config = {f"{number}" + "k" * 200: "v" * 1_020 + "ü" * 10 for number in range(40)}
    metadata = started(Session().open(customConfig=config)).metadata
    assert len(metadata) == 32
    assert max(map(len, metadata)) == 128
    assert max(map(len, metadata.values())) == 1_024


@pytest.mark.parametrize("call_id", ["", "a\nb", "x" * 129, 7, None])
def test_a_conversation_without_a_name_is_refused(call_id: Any) -> None:
    session = Session()
    assert session.open(conversationId=call_id) == []
    assert "conversationId: got" in session.replies()[0][1]["info"]
    assert session.bridge.problems == {"bad_open": 1}


def test_a_probe_is_answered_and_is_no_call() -> None:
    for changes in ({"conversationId": NIL}, {"media": []}):
        session = Session()
        assert session.open(**changes) == []
        assert session.replies() == [("opened", {"media": [], "startPaused": False})]
        assert session.say("close", reason="end") == []
        assert session.replies() == [("closed", {})]


def test_supported_languages_are_answered_when_asked_for() -> None:
    session = Session()
    session.open(supportedLanguages=True)
    session.bridge.started("s", "kanjo", "1", 1.0)
    assert session.replies()[0][1]["supportedLanguages"] == []


def test_another_organization_than_the_handshakes_is_unauthorized() -> None:
    session = Session()
    assert session.open(organizationId="other") == []
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "unauthorized")
    free = AudioHookBridge(SESSION, None)
    assert started(free.receive(Session().text("open", **opening(organizationId="other"))))


def test_a_second_open_changes_nothing() -> None:
    session = Session().live()
    assert session.open(conversationId="other") == []
    assert session.replies() == []
    assert session.bridge.problems == {"second_open": 1}


# Numbers


def test_a_pong_says_which_ping_it_answers_even_if_both_wait() -> None:
    session = Session().live()
    session.say("ping")
    session.say("ping", rtt="PT0.0028S")
    pongs = [json.loads(message) for message in session.bridge.replies()]
    assert [(pong["seq"], pong["clientseq"]) for pong in pongs] == [(2, 2), (3, 3)]


@pytest.mark.parametrize(
    ("changes", "problem", "words"),
    [
        ({"seq": 3}, "bad_seq", "got seq 3, expected 2"),
        ({"seq": 1}, "bad_seq", "got seq 1, expected 2"),
        ({"serverseq": 2}, "bad_serverseq", "got serverseq 2, expected at most 1"),
        ({"id": "other"}, "wrong_id", "got id 'other'"),
        ({"version": "3"}, "malformed", "version: got '3', expected '2'"),
        ({"seq": "2"}, "malformed", "seq: got '2'"),
        ({"seq": 2.5}, "malformed", "seq: got 2.5"),
        ({"seq": -1}, "malformed", "seq: got -1"),
        ({"position": "1.2"}, "malformed", "position: got '1.2', expected a duration"),
    ],
)
def test_a_wrong_envelope_ends_the_session(
    changes: dict[str, Any], problem: str, words: str
) -> None:
    session = Session().live()
    assert session.say("ping", **changes) == [CallStopped("protocol_error")]
    ((kind, parameters),) = session.replies()
    assert (kind, parameters["reason"]) == ("disconnect", "error")
    assert words in parameters["info"]
    assert session.bridge.problems == {problem: 1}


@pytest.mark.parametrize("text", ["", "no json", "[]", "null", "[" * 60_000, '{"seq": "\\ud800"}'])
def test_what_is_no_message_ends_the_session(text: str) -> None:
    session = Session().live()
    assert session.bridge.receive(text) == [CallStopped("protocol_error")]
    assert len(session.replies()[0][1]["info"]) <= MAX_INFO_CHARS
    assert session.bridge.problems == {"malformed": 1}


def test_a_text_may_have_64000_bytes() -> None:
    session = Session().live()
    spare = MAX_TEXT_BYTES - len(session.text("ping", pad=""))
    session.seq -= 1
    assert session.say("ping", pad="x" * spare) == []
    assert [kind for kind, _ in session.replies()] == ["pong"]
    assert session.bridge.receive("ü" * (MAX_TEXT_BYTES // 2 + 1)) == [
        CallStopped("protocol_error")
    ]
    assert session.bridge.problems == {"text_too_large": 1}


def test_unknown_types_keep_their_number_and_disturb_nothing() -> None:
    session = Session().live()
    for kind in ("dtmf", "playback_started", "playback_completed", "novelty"):
        assert session.say(kind, digit="5") == []
    session.say("error", code=429, message="too many", retryAfter="PT5S")
    session.say("ping")
    assert [kind for kind, _ in session.replies()] == ["pong"]
    assert session.bridge.problems == {"unknown_type": 1, "client_error": 1}


def test_replies_that_nobody_fetches_are_bounded_and_leave_no_gap() -> None:
    session = Session().live()
    for _ in range(MAX_REPLIES + 5):
        session.say("ping")
    assert len(session.replies()) == MAX_REPLIES
    assert session.bridge.problems == {"replies_dropped": 5}


# Alerts and summaries


def test_an_alert_is_told_in_words_at_once() -> None:
    session = Session().live()
    session.bridge.alert(transition())
    ((_, parameters),) = session.replies()
    assert parameters == {
        "entities": [
            {
                "type": "kanjo.alert",
                "data": {
                    "alert_id": "a",
                    "number": 2,
                    "emotion": "anger",
                    "state": "firing",
                    "track": "caller",
                    "since_s": 1.0,
                    "at_s": 2.5,
                    "probability": 0.8312,
                    "peak": 0.9,
                    "text": "sounds angry (0.83)",
                },
            }
        ]
    }


def test_only_firing_and_resolved_alerts_are_told() -> None:
    session = Session().live()
    for number, state in enumerate(AlertState, 1):
        session.bridge.alert(transition(state, number))
    session.bridge.receive(bytes(8000))
    told = [e["data"]["state"] for _, p in session.replies() for e in p["entities"]]
    assert told == ["firing", "resolved"]


def test_events_are_a_second_of_call_time_apart_and_come_with_a_pong_too() -> None:
    session = Session().live()
    for _ in range(3):
        session.bridge.alert(transition())
    assert len(entities(session.replies())) == 1
    session.bridge.receive(bytes(7999))
    assert session.replies() == []
    session.bridge.receive(bytes(1))
    assert len(entities(session.replies())) == 2
    session.bridge.alert(transition())
    assert session.replies() == []
    session.say("ping")
    assert [kind for kind, _ in session.replies()] == ["pong", "event"]


def test_entities_that_wait_are_bounded_the_oldest_go() -> None:
    session = Session().live()
    for number in range(MAX_ENTITIES + 4):
        session.bridge.alert(transition(number=number))
    session.bridge.receive(bytes(8000))
    _, (_, parameters) = session.replies()
    assert [e["data"]["number"] for e in parameters["entities"]] == [*range(4, MAX_ENTITIES + 4)]
    assert session.bridge.problems == {"entities_dropped": 3}


def test_summaries_come_once_in_summary_every_s() -> None:
    session = Session(BOTH, summary_every_s=10.0).live()
    for second in range(1, 36):
        session.bridge.receive(bytes(16_000))
        session.bridge.reading(reading(float(second)))
        session.bridge.reading(reading(float(second), Track.AGENT))
    summaries = [e["data"] for _, p in session.replies() for e in p["entities"]]
    assert [summary["at_s"] for summary in summaries] == [10.0, 20.0, 30.0]
    assert [summary["readings"] for summary in summaries] == [19, 39, 59]
    assert set(summaries[-1]["latest"]) == {"caller", "agent"}
    assert summaries[-1]["latest"]["caller"] == {
        "start_s": 29.0,
        "end_s": 30.0,
        "probabilities": dict.fromkeys(("anger", "happiness", "sadness", "neutral"), 0.25),
    }


# The end


def test_close_is_answered_after_the_last_words() -> None:
    session = Session().live()
    assert session.say("close", reason="end") == [CallStopped("end")]
    assert session.replies() == []
    session.bridge.alert(transition(AlertState.RESOLVED))
    session.bridge.alert(transition(AlertState.RESOLVED))
    session.bridge.stopped("end", SUMMARY)
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["event", "event", "closed"]
    assert entities(replies) == ["kanjo.alert", "kanjo.alert", "kanjo.stopped"]
    assert replies[1][1]["entities"][-1]["data"]["duration_s"] == 12.346
    assert session.say("ping") == []
    assert session.bridge.receive(b"late") == []
    assert session.replies() == []
    assert session.bridge.disconnected() == []


def test_close_that_comes_too_late_for_the_last_words_is_answered_in_time() -> None:
    session = Session().live()
    session.say("close", reason="end")
    assert session.bridge.deadline_s is not None
    assert session.bridge.deadline_s < 10
    assert session.bridge.overdue() == []
    assert session.replies() == [("closed", {})]
    session.bridge.stopped("end", SUMMARY)
    assert session.replies() == []


@pytest.mark.parametrize("reason", ["nonsense", ["end"], None])
def test_an_unknown_reason_to_close_is_an_end(reason: Any) -> None:
    assert Session().live().say("close", reason=reason) == [CallStopped("end")]


def test_the_server_never_leaves_first() -> None:
    session = Session().live()
    session.bridge.stopped("quiet", SUMMARY)
    replies = session.replies()
    assert [kind for kind, _ in replies] == ["event", "disconnect"]
    assert replies[1][1] == {"reason": "completed", "info": "quiet"}
    assert session.bridge.receive(bytes(160)) == []
    session.bridge.alert(transition())
    assert session.say("close", reason="disconnect") == []
    assert session.replies() == [("closed", {})]
    assert session.bridge.close_code is None


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda bridge: bridge.stopped("quiet", SUMMARY), CloseCode.NORMAL),
        (lambda bridge: bridge.failed(), CloseCode.INTERNAL),
        (lambda bridge: bridge.refused(Overloaded(3)), CloseCode.TRY_AGAIN_LATER),
        (lambda bridge: bridge.refused(CallExists("c")), CloseCode.POLICY),
        (lambda bridge: bridge.receive("?"), CloseCode.POLICY),
    ],
)
@pytest.mark.parametrize("closes", [True, False])
def test_a_client_that_does_not_leave_is_left(end: Any, code: CloseCode, closes: bool) -> None:
    session = Session()
    session.open()
    end(session.bridge)
    assert [kind for kind, _ in session.replies()][-1] == "disconnect"
    if closes:
        session.say("close", reason="disconnect")
        session.bridge.stopped("protocol_error", SUMMARY)  # at the latest now
        assert session.replies()[-1] == ("closed", {})
    assert session.bridge.close_code is None
    assert session.bridge.deadline_s is not None
    session.bridge.overdue()
    assert session.bridge.close_code == code


def test_a_client_that_never_opens_is_told_and_left() -> None:
    session = Session()
    assert session.bridge.deadline_s is not None
    assert session.bridge.overdue() == []
    assert session.replies()[0][1]["info"] == "got no open, expected one"
    session.bridge.overdue()
    assert session.bridge.close_code == CloseCode.POLICY


def test_a_broken_session_is_closed_whatever_its_numbers_are_by_then() -> None:
    session = Session().live()
    session.say("ping", seq=99)
    session.bridge.stopped("protocol_error", SUMMARY)
    session.say("close", reason="disconnect", seq=77, serverseq=1_000)
    assert [kind for kind, _ in session.replies()] == ["disconnect", "closed"]


def test_a_client_that_is_gone_ends_its_call_once() -> None:
    session = Session().live()
    assert session.bridge.disconnected() == [CallStopped("disconnected")]
    assert session.bridge.disconnected() == []
    session.bridge.stopped("disconnected", SUMMARY)
    assert session.replies() == []


def test_a_server_that_is_to_stop_asks_for_another_connection() -> None:
    session = Session().live()
    session.bridge.reconnect("maintenance")
    assert session.replies() == [("reconnect", {"info": "maintenance"})]
    assert session.say("close", reason="reconnect") == [CallStopped("reconnect")]


# Whatever comes


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["open", "ping", "paused", "resumed", "discarded", "update", "error", "close", "dtmf", "other"]
)
PARAMETERS = st.one_of(
    st.just(opening()),
    st.just(opening(media=[STEREO])),
    st.builds(lambda value: opening(media=value), VALUES),
    st.just({"start": "PT1S", "discarded": "PT0.5S"}),
    st.just({"reason": "end"}),
    st.dictionaries(st.text(max_size=10), VALUES, max_size=3),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), KINDS, PARAMETERS),
        st.tuples(st.just("audio"), st.binary(max_size=400), st.none()),
        st.tuples(st.just("text"), st.text(max_size=200), st.none()),
        st.tuples(st.just("again"), st.integers(0, 20), st.none()),
        st.tuples(st.just("cut"), st.integers(0, 20), st.none()),
        st.tuples(
            st.just("edge"),
            st.sampled_from(["pause", "resume", "failed", "overdue", "disconnected", "alert"]),
            st.none(),
        ),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_answered_or_counted_and_never_raises(steps: list[Any]) -> None:
    session = Session(BOTH)
    bridge = session.bridge
    said: list[str] = []
    events: list[Event] = []
    sent: list[str] = []

    def hear(new: list[Event]) -> None:
        events.extend(new)
        for event in new:
            if isinstance(event, CallStarted):
                bridge.started("s", "kanjo", "1", 1.0)
            elif isinstance(event, CallStopped):
                bridge.stopped(event.reason, SUMMARY)
        sent.extend(kind for kind, _ in session.replies())

    for step, what, parameters in steps:
        match step:
            case "say":
                said.append(session.text(what, parameters=parameters))
                message = json.loads(said[-1])
                message["parameters"] = parameters
                said[-1] = json.dumps(message)
                hear(bridge.receive(said[-1]))
            case "audio" | "text":
                hear(bridge.receive(what))
            case "again" | "cut" if said:
                text = said[what % len(said)]
                hear(bridge.receive(text[: len(text) // 2] if step == "cut" else text))
            case "edge" if what == "alert":
                bridge.alert(transition())
                hear([])
            case "edge":
                hear(getattr(bridge, what)() or [])

    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) <= 1
    assert kinds.count(CallStopped) <= kinds.count(CallStarted)
    if CallStarted in kinds:
        assert kinds[0] is CallStarted
    if CallStopped in kinds:
        assert kinds[-1] is CallStopped
    assert sent.count("opened") <= 1
    assert sent.count("disconnect") <= 1
    assert sent.count("closed") <= 1
    if "closed" in sent:
        assert sent[-1] == "closed"
    if "event" in sent:
        assert "opened" in sent[: sent.index("event")]
    assert len(bridge.problems) <= 20
