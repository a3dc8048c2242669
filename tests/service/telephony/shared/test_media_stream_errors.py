import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import Emotion
from service.events import (
    AlertState,
    Audio,
    CallStarted,
    CallStopped,
    Gap,
    Reading,
    Track,
    Transition,
)
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.shared.media_stream import MAX_PRE_START_CHARS, MAX_STREAM_MS, MAX_TEXT_CHARS
from tests.service.telephony.media_streams import (
    BOTH,
    CALLER,
    StreamingProvider,
    changed,
    every_provider,
    feed,
    media_call,
)
from tests.service.telephony.media_streams import samples as pcm

UNREADABLE = [
    ("", MessageProblem.BAD_JSON),
    ("{", MessageProblem.BAD_JSON),
    ("[]", MessageProblem.BAD_JSON),
    ("[" * 100_000, MessageProblem.BAD_JSON),
    ("1" * 5_000, MessageProblem.BAD_JSON),
    ('{"event": "\\ud800"}', MessageProblem.UNKNOWN_EVENT),
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
        {"payload": "AAA=AAAA"},
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
