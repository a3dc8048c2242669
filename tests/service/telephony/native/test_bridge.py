import itertools
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.audio import alaw_decode, mulaw_decode
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Track
from service.telephony.native.bridge import MAX_REPLIES, NativeBridge
from service.telephony.shared.interleaved import Encoding
from tests.service.telephony.native.protocol import (
    BOTH,
    CALLER,
    STOP,
    errors,
    live,
    samples,
    start,
    valid,
)


def test_a_call_gives_events_in_order() -> None:
    bridge = NativeBridge(BOTH)
    events = bridge.receive(
        start(encoding="l16", sample_rate=16000, tracks=["agent", "caller"], metadata={"q": "7"})
    )
    assert events == [CallStarted("c1", "native", (Track.AGENT, Track.CALLER), 16000, {"q": "7"})]
    events = bridge.receive(struct.pack("<4h", 1, -2, 3, -32768))
    assert [event.track for event in events if isinstance(event, Audio)] == ["agent", "caller"]
    assert samples(events, Track.AGENT).tolist() == [1, 3]
    assert samples(events, Track.CALLER).tolist() == [-2, -32768]
    assert bridge.receive(STOP) == [CallStopped("stop")]
    assert bridge.replies() == []
    assert bridge.close_code is None


@pytest.mark.parametrize(
    ("encoding", "decode"),
    [(Encoding.MULAW, mulaw_decode), (Encoding.ALAW, alaw_decode)],
)
def test_g711_is_decoded_track_by_track(encoding: Encoding, decode: Any) -> None:
    bridge = live(BOTH, encoding=encoding, tracks=["caller", "agent"])
    codes = np.arange(256, dtype=np.uint8)
    interleaved = np.stack([codes, codes[::-1]], axis=1).tobytes()
    events = bridge.receive(interleaved)
    np.testing.assert_array_equal(samples(events, Track.CALLER), decode(codes))
    np.testing.assert_array_equal(samples(events, Track.AGENT), decode(codes[::-1].copy()))


def test_a_track_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = live(CALLER, tracks=["agent", "caller"])
    events = bridge.receive(bytes(range(8)))
    assert [type(event) for event in events] == [Audio]
    np.testing.assert_array_equal(samples(events, Track.CALLER), mulaw_decode(bytes([1, 3, 5, 7])))


def test_audio_before_start_is_decoded_after_it() -> None:
    bridge = NativeBridge(CALLER)
    assert bridge.receive(b"ab") == []
    assert bridge.receive(b"c") == []
    first, *rest = bridge.receive(start())
    assert isinstance(first, CallStarted)
    np.testing.assert_array_equal(samples(rest, Track.CALLER), mulaw_decode(b"abc"))


@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=12),
    encoding=st.sampled_from(Encoding),
    tracks=st.sampled_from([["caller"], ["agent"], ["caller", "agent"], ["agent", "caller"]]),
    started_at=st.integers(0, 12),
)
def test_any_chunking_gives_the_same_samples(
    data: bytes, cuts: list[int], encoding: Encoding, tracks: list[str], started_at: int
) -> None:
    whole = live(BOTH, encoding=encoding, tracks=tracks).receive(data)
    bridge = NativeBridge(BOTH)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 200]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(started_at, len(borders) - 2):
            events += bridge.receive(start(encoding=encoding, tracks=tracks))
        events += bridge.receive(data[left:right])
    for track in Track:
        np.testing.assert_array_equal(samples(events, track), samples(whole, track))


def test_a_frame_that_is_too_large_is_a_gap_and_the_tracks_stay_aligned() -> None:
    bridge = NativeBridge(BOTH, max_frame_bytes=16)
    bridge.receive(start(encoding="l16", tracks=["caller", "agent"]))
    stream = struct.pack("<24h", *range(1, 25))  # caller odd, agent even
    events = bridge.receive(stream[:5])
    events += bridge.receive(stream[5:22])
    events += bridge.receive(stream[22:23])
    events += bridge.receive(stream[23:33])
    events += bridge.receive(stream[33:])
    assert errors(bridge) == ["frame_too_large"]
    caller = [1, -1, -1, -1, -1, -1, 13, 15, 17, 19, 21, 23]
    assert samples(events, Track.CALLER).tolist() == caller
    assert samples(events, Track.AGENT).tolist() == [n + 1 if n > 0 else n for n in caller]


@given(
    data=st.binary(min_size=120, max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=8),
    encoding=st.sampled_from(Encoding),
    tracks=st.sampled_from([["caller"], ["agent", "caller"]]),
    start_after=st.integers(0, 8),
)
def test_lost_audio_never_shifts_the_timeline(
    data: bytes, cuts: list[int], encoding: Encoding, tracks: list[str], start_after: int
) -> None:
    whole = samples(live(CALLER, encoding=encoding, tracks=tracks).receive(data), Track.CALLER)
    bridge = NativeBridge(CALLER, max_frame_bytes=20, max_pre_start_bytes=30)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 120]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(start_after, len(borders) - 2):
            events += bridge.receive(start(encoding=encoding, tracks=tracks))
        events += bridge.receive(data[left:right])
    at = 0
    for event in [event for event in events if isinstance(event, Audio | Gap)]:
        if isinstance(event, Audio):
            np.testing.assert_array_equal(event.pcm, whole[at : at + len(event.pcm)])
            at += len(event.pcm)
        else:
            at += event.samples
    assert at == len(whole)


def test_too_much_audio_before_start_is_one_error_and_a_gap() -> None:
    bridge = NativeBridge(CALLER, max_pre_start_bytes=4)
    for frame in (b"abc", b"de", b"f", b"g"):
        assert bridge.receive(frame) == []
    assert errors(bridge) == ["held_too_much"]
    events = bridge.receive(start())
    assert samples(events, Track.CALLER).tolist() == [*mulaw_decode(b"abc"), -1, -1, -1, -1]


def test_messages_after_stop_are_one_error() -> None:
    bridge = live()
    bridge.receive(STOP)
    for message in (b"abc", STOP, start(), "nonsense"):
        assert bridge.receive(message) == []
    assert errors(bridge) == ["after_stop"]
    assert bridge.close_code is None


def test_a_lost_connection_ends_its_call_once() -> None:
    bridge = live()
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []
    assert NativeBridge(CALLER).disconnected() == []
    stopped = live()
    stopped.receive(STOP)
    assert stopped.disconnected() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
almost_starts = st.fixed_dictionaries(
    {"type": st.just("start")},
    optional={
        "call_id": st.text(max_size=140) | json_values,
        "encoding": st.sampled_from(["mulaw", "alaw", "l16"]) | json_values,
        "sample_rate": st.sampled_from([8000, 16000, 48000]) | json_values,
        "tracks": st.lists(st.sampled_from(["caller", "agent"]), max_size=3) | json_values,
        "metadata": st.dictionaries(st.text(), st.text()) | json_values,
    },
)
messages = (
    st.binary(max_size=300)
    | st.text(st.characters(), max_size=300)
    | st.builds(json.dumps, json_values | almost_starts)
    | st.sampled_from([start(), STOP])
)


@given(st.lists(messages, max_size=30), st.booleans())
def test_any_messages_never_raise_and_memory_is_bounded(
    stream: list[str | bytes], fetch: bool
) -> None:
    bridge = NativeBridge(BOTH, max_frame_bytes=100, max_pre_start_bytes=200)
    events: list[Event] = []
    for message in stream:
        found = bridge.receive(message)
        if any(isinstance(event, CallStarted) for event in found):
            assert isinstance(message, str)
            valid("client", message)
        events += found
        # Before the start whole frames are kept, after it an unfinished sample.
        assert bridge.buffered_bytes <= (3 if events else 200)
        if fetch:
            assert len(errors(bridge)) <= MAX_REPLIES
    assert len(errors(bridge)) <= MAX_REPLIES
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) <= 1
    assert kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]


def test_metadata_are_bounded_and_cleaned_like_those_of_other_bridges() -> None:
    metadata = {"queue": "a\u202eb\x00c", **{f"{number}": "日" * 1_024 for number in range(31)}}
    text = json.dumps(
        {
            "type": "start",
            "call_id": "c",
            "encoding": "mulaw",
            "sample_rate": 8000,
            "tracks": ["caller"],
            "metadata": metadata,
        },
        ensure_ascii=False,
    )
    (started,) = NativeBridge(frozenset({Track.CALLER})).receive(text)
    assert isinstance(started, CallStarted)
    assert started.metadata["queue"] == "abc"
    assert sum(len((k + v).encode()) for k, v in started.metadata.items()) <= 16_384
