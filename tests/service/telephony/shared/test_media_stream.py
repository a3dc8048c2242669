import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import Emotion
from service.errors import CallExists, Overloaded
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    CallSummary,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.shared.media_stream import (
    MAX_PRE_START_CHARS,
    MAX_STREAM_MS,
    MAX_TEXT_CHARS,
    MediaStream,
)
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    STREAMING_PROVIDERS,
    StreamingProvider,
    feed,
    media_call,
)
from tests.service.telephony.media_streams import samples as pcm

SUMMARY = CallSummary(duration_s=2.0, speech_s=1.5, readings=1, alerts=0, dropped=0)

every_provider = pytest.mark.parametrize(
    "provider", STREAMING_PROVIDERS.values(), ids=STREAMING_PROVIDERS
)


def changed(text: str, **changes: Any) -> str:
    """Returns the message with other fields inside its `start` or `media`."""
    message = json.loads(text)
    message[message["event"]].update(changes)
    return json.dumps(message)


@every_provider
def test_a_call_gives_the_samples_of_its_tracks(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    events = feed(bridge, call.before + call.media)
    started = events[0]
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.bridge) == ("CA1", provider.name)
    assert started.tracks == provider.tracks
    assert started.sample_rate == 8000
    assert "take.wav" in " ".join(started.metadata.values())
    for track in provider.tracks:
        np.testing.assert_array_equal(pcm(events, track), call.pcm[track])
    assert not any(isinstance(event, Gap) for event in events)
    assert not bridge.message_errors


@every_provider
def test_the_end_is_a_stop_or_a_plain_close(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    feed(bridge, call.before + call.media)
    if call.after:
        assert feed(bridge, call.after)[-1] == CallStopped("stop")
        assert feed(bridge, call.media[:2]) == []
        assert bridge.message_errors == {MessageProblem.AFTER_STOP: 2}
        assert bridge.disconnected() == []
    else:
        assert bridge.disconnected() == [CallStopped("disconnected")]
        assert bridge.disconnected() == []
    abrupt = provider.bridge(BOTH)
    feed(abrupt, call.before + call.media)
    assert abrupt.disconnected() == [CallStopped("disconnected")]
    assert provider.bridge(BOTH).disconnected() == []


@every_provider
def test_a_track_that_is_not_analysed_is_not_even_decoded(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(frozenset({Track.AGENT}))
    broken = [
        text
        if "outbound" in text
        else changed(text, payload="no base64", chunk="no number", timestamp=None)
        for text in call.media
    ]
    events = feed(bridge, call.before + broken)
    assert pcm(events, Track.CALLER).size == 0
    assert pcm(events, Track.AGENT).size == call.pcm.get(Track.AGENT, np.empty(0)).size
    assert not bridge.message_errors


@every_provider
def test_media_before_start_is_decoded_after_it(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    assert feed(bridge, call.media[:4]) == []
    events = feed(bridge, call.before + call.media[4:])
    assert isinstance(events[0], CallStarted)
    for track in provider.tracks:
        np.testing.assert_array_equal(pcm(events, track), call.pcm[track])


@every_provider
def test_media_before_start_is_kept_up_to_a_limit_and_the_rest_is_a_gap(
    provider: StreamingProvider,
) -> None:
    call = media_call(provider, frames=1000)
    bridge = provider.bridge(CALLER)
    *early, late = [text for text in call.media if "outbound" not in text]
    assert feed(bridge, early) == []
    assert bridge.pre_start_chars <= MAX_PRE_START_CHARS
    dropped = bridge.message_errors[MessageProblem.HELD_TOO_MUCH]
    assert 0 < dropped < len(early)
    events = feed(bridge, [*call.before, late]) + bridge.disconnected()
    assert bridge.pre_start_chars == 0
    assert sum(event.samples for event in events if isinstance(event, Gap)) == (
        dropped * provider.frame
    )
    assert pcm(events, Track.CALLER).size == call.pcm[Track.CALLER].size


@every_provider
@pytest.mark.parametrize("call_id", ["", "x" * 129, "a\nb", 5, None, {"a": 1}], ids=repr)
def test_a_call_without_a_usable_id_is_refused(
    provider: StreamingProvider, call_id: object
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    *before, start = call.before
    assert feed(bridge, [*before, changed(start, **{provider.call_id: call_id})]) == []
    assert bridge.close_code == 1008
    assert bridge.message_errors == {MessageProblem.BAD_START: 1}
    assert provider.call_id in bridge.close_reason
    assert feed(bridge, call.media) == []


@every_provider
@pytest.mark.parametrize("encoding", ["OPUS", "", "audio/x-", "mulaw", "é" * 99])
def test_an_unknown_encoding_is_refused_and_not_guessed(
    provider: StreamingProvider, encoding: str
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], "encoding": encoding}
    assert feed(bridge, [changed(call.before[-1], **{key: media_format})]) == []
    assert bridge.close_code == 1003
    assert bridge.message_errors == {MessageProblem.UNSUPPORTED_AUDIO: 1}
    assert "expected" in bridge.close_reason or len(bridge.close_reason) == 123
    assert bridge.close_reason.isascii()


@every_provider
@pytest.mark.parametrize("rate", [7_999, "48001", 0, -8_000, 10**30])
def test_an_impossible_sample_rate_is_refused(provider: StreamingProvider, rate: object) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    media_format = {**call.start["start"][key], provider.rate: rate}
    assert feed(bridge, [changed(call.before[-1], **{key: media_format})]) == []
    assert bridge.close_code == 1003


@every_provider
def test_a_rate_comes_from_the_message_as_number_or_text(provider: StreamingProvider) -> None:
    call = media_call(provider)
    key = "mediaFormat" if "mediaFormat" in call.before[-1] else "media_format"
    for rate in (16_000, "16000"):
        media_format = {**call.start["start"][key], provider.rate: rate}
        (started,) = feed(
            provider.bridge(CALLER), [changed(call.before[-1], **{key: media_format})]
        )
        assert isinstance(started, CallStarted)
        assert started.sample_rate == 16_000


@every_provider
def test_other_fields_are_kept_as_short_texts(provider: StreamingProvider) -> None:
    call = media_call(provider)
    long = {f"key {n}": "x" * 2_000 for n in range(99)}
    key = "customParameters" if "customParameters" in call.before[-1] else "custom_parameters"
    (started,) = feed(provider.bridge(CALLER), [changed(call.before[-1], **{key: long})])
    assert isinstance(started, CallStarted)
    assert len(started.metadata) <= 32
    assert all(type(value) is str and len(value) <= 1_024 for value in started.metadata.values())


@every_provider
def test_a_second_start_and_other_streams_are_dropped(provider: StreamingProvider) -> None:
    call = media_call(provider)
    other = media_call(provider, call_id="CA2")
    bridge = provider.bridge(BOTH)
    feed(bridge, call.before)
    assert feed(bridge, other.before + other.media + other.after) == []
    assert bridge.message_errors == {
        MessageProblem.SECOND_START: 1,
        MessageProblem.OTHER_STREAM: len(other.media) + len(other.after),
    }
    events = feed(bridge, call.media)
    np.testing.assert_array_equal(pcm(events, Track.CALLER), call.pcm[Track.CALLER])


@every_provider
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
@pytest.mark.parametrize("backwards", [False, True])
def test_tracks_are_distinguished_however_the_json_is_formatted(
    provider: StreamingProvider, separators: tuple[str, str], backwards: bool
) -> None:
    call = media_call(provider)

    def reformatted(text: str) -> str:
        message = json.loads(text)
        if backwards:
            message["media"] = dict(reversed(message["media"].items()))
        return json.dumps(message, separators=separators)

    for track in provider.tracks:
        bridge = provider.bridge(frozenset({track}))
        feed(bridge, call.before)
        events = feed(bridge, [reformatted(text) for text in call.media])
        np.testing.assert_array_equal(pcm(events, track), call.pcm[track])
        assert {event.track for event in events if isinstance(event, Audio)} == {track}
        assert not bridge.message_errors


UNREADABLE = [
    ("", MessageProblem.BAD_JSON),
    ("{", MessageProblem.BAD_JSON),
    ("[]", MessageProblem.BAD_JSON),
    ("[" * 100_000, MessageProblem.BAD_JSON),
    ("1" * 5_000, MessageProblem.BAD_JSON),
    ('{"event": "\\ud800"}', MessageProblem.BAD_JSON),
    ('"media"', MessageProblem.BAD_JSON),
    (b"\xff\x00", MessageProblem.UNEXPECTED_BINARY),
    (b"", MessageProblem.UNEXPECTED_BINARY),
    (" " * (MAX_TEXT_CHARS + 1), MessageProblem.TEXT_TOO_LARGE),
    ("{}", MessageProblem.UNKNOWN_EVENT),
    ('{"event": "sing"}', MessageProblem.UNKNOWN_EVENT),
    ('{"event": ["media"]}', MessageProblem.UNKNOWN_EVENT),
    ('{"event": "error"}', MessageProblem.PROVIDER_ERROR),
    ('{"event": "media"}', MessageProblem.BAD_MEDIA),
    ('{"event": "media", "media": null}', MessageProblem.BAD_MEDIA),
    ('{"event": "media", "media": [1]}', MessageProblem.BAD_MEDIA),
    ('{"event": "media", "media": {"track": []}}', MessageProblem.BAD_MEDIA),
    ('{"event": "media", "media": {"track": "third"}}', MessageProblem.UNKNOWN_TRACK),
]


@every_provider
@pytest.mark.parametrize(("message", "problem"), UNREADABLE, ids=lambda value: repr(value)[:40])
def test_unreadable_messages_are_counted_and_the_call_goes_on(
    provider: StreamingProvider, message: str | bytes, problem: MessageProblem
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    feed(bridge, call.before)
    assert bridge.receive(message) == []
    assert bridge.message_errors == {problem: 1}
    assert bridge.close_code is None
    events = feed(bridge, call.media)
    np.testing.assert_array_equal(pcm(events, Track.CALLER), call.pcm[Track.CALLER])


@every_provider
@pytest.mark.parametrize(
    "change",
    [
        {"payload": None},
        {"payload": "A"},
        {"payload": "%%%%"},
        {"payload": "é"},
        {"payload": 7},
        {"chunk": None},
        {"chunk": "-1"},
        {"chunk": True},
        {"chunk": 1.5},
        {"chunk": "9" * 16},
        {"timestamp": "soon"},
        {"timestamp": ""},
        {"timestamp": -1},
        {"timestamp": []},
        {"timestamp": MAX_STREAM_MS + 100},
    ],
    ids=repr,
)
def test_broken_media_is_dropped_and_the_rest_is_decoded(
    provider: StreamingProvider, change: dict[str, Any]
) -> None:
    call = media_call(provider)
    bridge = provider.bridge(CALLER)
    first, second, *rest = [text for text in call.media if "outbound" not in text]
    texts = [first, changed(second, **change), *rest]
    events = feed(bridge, call.before + texts) + bridge.disconnected()
    assert bridge.message_errors == {MessageProblem.BAD_MEDIA: 1}
    got, want = pcm(events, Track.CALLER), call.pcm[Track.CALLER].copy()
    want[provider.frame : 2 * provider.frame] = 0  # a gap
    if provider.name == "plivo":  # whose clock may tremble by more than a frame
        want = np.delete(want, np.s_[provider.frame : 2 * provider.frame])
    np.testing.assert_array_equal(got, want)


@every_provider
def test_it_never_replies(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    texts = call.before + call.media + [text for text, _ in UNREADABLE if isinstance(text, str)]
    for text in [*texts, *call.after]:
        bridge.receive(text)
        bridge.started("s", "kanjo", "1", 1.0)
        bridge.reading(Reading("CA1", 1, Track.CALLER, 0.0, 1.5, 1.5, dict.fromkeys(Emotion, 0.25)))
        bridge.alert(
            Transition(
                "a", 1, "CA1", Track.CALLER, Emotion.ANGER, AlertState.FIRING, 0, 2, 0.9, 0.9
            )
        )
        assert list(bridge.replies()) == []


@every_provider
def test_the_close_code_and_reason_tell_why(provider: StreamingProvider) -> None:
    call = media_call(provider)

    def live() -> MediaStream:
        bridge = provider.bridge(CALLER)
        feed(bridge, call.before)
        return bridge

    overloaded, exists, over, failed = live(), live(), live(), live()
    overloaded.refused(Overloaded(5))
    exists.refused(CallExists("CA1"))
    over.stopped("quiet", SUMMARY)
    failed.failed()
    bridges = (overloaded, exists, over, failed)
    assert [bridge.close_code for bridge in bridges] == [1013, 1008, 1000, 1011]
    for bridge in bridges:
        assert 0 < len(bridge.close_reason) <= 123
        assert feed(bridge, call.media) == []
        assert bridge.disconnected() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@every_provider
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_messages_raise_or_exceed_the_buffers(
    provider: StreamingProvider, data: st.DataObject
) -> None:
    call = media_call(provider)
    texts = call.before + call.media + call.after
    fields = ["event", "start", "media", "stop", "track", "chunk", "timestamp", "payload"]

    def distorted(text: str) -> str | bytes:
        match data.draw(st.sampled_from(["keep", "keep", "cut", "bytes", "field", "inner", "any"])):
            case "cut":
                return text[: data.draw(st.integers(0, len(text)))]
            case "bytes":
                return data.draw(st.binary(max_size=50))
            case "field":
                message = json.loads(text)
                name = data.draw(st.sampled_from(sorted(message)))
                return json.dumps({**message, name: data.draw(json_values)})
            case "inner":
                name = data.draw(st.sampled_from(fields))
                message = json.loads(text)
                content = message.get(message["event"])
                if isinstance(content, dict):
                    content[name] = data.draw(json_values)
                return json.dumps(message)
            case "any":
                return json.dumps(data.draw(json_values))
        return text

    order = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=40))
    bridge = provider.bridge(BOTH)
    events = [event for at in order for event in bridge.receive(distorted(texts[at]))]
    events += bridge.disconnected()
    assert set(bridge.message_errors) <= set(MessageProblem)
    assert list(bridge.replies()) == []
    starts = [event for event in events if isinstance(event, CallStarted)]
    stops = [event for event in events if isinstance(event, CallStopped)]
    assert len(starts) == len(stops) <= 1
    if starts:
        assert events[0] is starts[0]
        assert events[-1] is stops[0]
    else:
        assert events == []
    assert bridge.pre_start_chars <= MAX_PRE_START_CHARS
    for event in events:
        if isinstance(event, Audio):
            assert event.pcm.dtype == np.int16
        if isinstance(event, Gap):
            assert event.samples > 0


@every_provider
@given(at=st.lists(st.integers(0, 19), max_size=20), twice=st.booleans())
def test_duplicates_are_decoded_once(
    provider: StreamingProvider, at: list[int], twice: bool
) -> None:
    call = media_call(provider)
    media = [
        text
        for number, text in enumerate(call.media)
        for _ in range(1 + at.count(number) * (1 + twice))
    ]
    bridge = provider.bridge(BOTH)
    events = feed(bridge, call.before + media) + bridge.disconnected()
    for track in provider.tracks:
        np.testing.assert_array_equal(pcm(events, track), call.pcm[track])
