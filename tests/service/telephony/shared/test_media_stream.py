import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import CallExists, Overloaded
from service.events import Audio, CallStarted, CallStopped, CallSummary, Gap, Track
from service.telephony.shared.listen_only import MessageProblem
from service.telephony.shared.media_stream import MAX_PRE_START_CHARS, MediaStream
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

SUMMARY = CallSummary(duration_s=2.0, speech_s=1.5, readings=1, alerts=0, dropped=0)


@every_provider
def test_a_call_gives_the_samples_of_its_tracks(provider: StreamingProvider) -> None:
    call = media_call(provider)
    bridge = provider.bridge(BOTH)
    events = feed(bridge, call.before + call.media)
    started = events[0]
    assert isinstance(started, CallStarted)
    assert (started.call_id, started.bridge) == ("CA1", provider.name)
    assert started.tracks[: len(provider.tracks)] == provider.tracks
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
