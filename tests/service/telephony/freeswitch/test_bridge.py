import itertools
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import CallExists, Overloaded
from service.events import Audio, CallStarted, CallStopped, Event, Track
from service.telephony.freeswitch.bridge import MAX_TEXT_CHARS, Mix
from tests.service.telephony.audio import pcm, started
from tests.service.telephony.freeswitch.forks import BOTH, CALLER, fork, metadata

# The tracks of channels.


@pytest.mark.parametrize(
    ("channels", "caller", "agent"),
    [
        ((Track.CALLER, Track.AGENT), [1, 3], [2, 4]),
        ((Track.AGENT, Track.CALLER), [2, 4], [1, 3]),
        ((Track.CALLER, None), [1, 3], []),
        ((None, Track.AGENT), [], [2, 4]),
    ],
)
def test_the_channels_of_a_stereo_fork_are_the_configured_tracks(
    channels: tuple[Track | None, Track | None], caller: list[int], agent: list[int]
) -> None:
    bridge = fork(BOTH, channels=channels)
    start = started(bridge.receive(metadata(mixType="stereo")))
    assert start.tracks == tuple(track for track in channels if track)
    events = bridge.receive(struct.pack("<4h", 1, 2, 3, 4))
    assert (pcm(events), pcm(events, Track.AGENT)) == (caller, agent)


def test_a_mono_fork_is_the_configured_track() -> None:
    bridge = fork(BOTH, mono=Track.AGENT)
    assert started(bridge.receive(metadata())).tracks == (Track.AGENT,)
    assert pcm(bridge.receive(struct.pack("<2h", 1, 2)), Track.AGENT) == [1, 2]


def test_a_track_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = fork(CALLER)
    bridge.receive(metadata(mixType="stereo"))
    assert [event.track for event in bridge.receive(bytes(8)) if isinstance(event, Audio)] == [
        Track.CALLER
    ]


def test_a_mix_of_voices_is_refused_unless_it_may_be_analysed() -> None:
    bridge = fork(BOTH)
    assert bridge.receive(metadata(mixType="mixed")) == []
    assert bridge.message_errors == {"mixed_speakers": 1}
    assert bridge.close_code == 1011
    permitted = fork(CALLER, analyse_mix=True)
    assert started(permitted.receive(metadata(mixType="mixed"))).tracks == (Track.CALLER,)
    assert pcm(permitted.receive(struct.pack("<2h", 1, 2))) == [1, 2]


# What the metadata contain and what they leave out.


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 32000, 48000, 64000, "16000"])
def test_the_rate_is_that_of_the_metadata(rate: object) -> None:
    bridge = fork(sample_rate=40_000)
    assert started(bridge.receive(metadata(sampleRate=rate))).sample_rate == int(str(rate))


@pytest.mark.parametrize("absent", [..., None])
def test_what_the_metadata_leave_out_is_configured(absent: object) -> None:
    bridge = fork(BOTH, sample_rate=16_000, mix=Mix.STEREO)
    start = started(bridge.receive(metadata(sampleRate=absent, mixType=absent, call_id=absent)))
    assert (start.call_id, start.sample_rate) == ("hint", 16_000)
    assert start.tracks == (Track.CALLER, Track.AGENT)


@pytest.mark.parametrize(
    "changes",
    [
        {"sampleRate": ...},
        {"sampleRate": 7999},
        {"sampleRate": 72_000},
        {"sampleRate": 8000.5},
        {"sampleRate": True},
        {"sampleRate": "8k"},
        {"sampleRate": [8000]},
        {"sampleRate": 10**30},
        {"mixType": ...},
        {"mixType": "both"},
        {"mixType": 2},
        {"mixType": ["mono"]},
    ],
)
def test_audio_of_unknown_format_is_refused_not_guessed(changes: dict[str, Any]) -> None:
    bridge = fork()
    bridge.receive(bytes(320))
    assert bridge.receive(metadata(**changes)) == []
    assert bridge.message_errors == {"unsupported_audio": 1}
    assert bridge.close_code == 1011
    assert "expected" in bridge.close_reason
    assert bridge.receive(bytes(320)) == []
    assert bridge.disconnected() == []


@pytest.mark.parametrize(
    ("fields", "call_id"),
    [
        ({"call_id": "a", "uuid": "b"}, "a"),
        ({"call_id": ..., "uuid": "b", "callSid": "c"}, "b"),
        ({"call_id": None, "callSid": "c"}, "c"),
        ({"call_id": 17}, "17"),
        ({"call_id": ..., "id": "d"}, "hint"),
    ],
)
def test_the_call_id_is_the_first_field_that_has_one(fields: dict[str, Any], call_id: str) -> None:
    assert started(fork().receive(metadata(**fields))).call_id == call_id


def test_the_fields_of_the_call_id_are_configured() -> None:
    bridge = fork(call_id_fields=["case"])
    assert started(bridge.receive(metadata(case="77"))).call_id == "77"


@pytest.mark.parametrize("call_id", ["", "x" * 129, "a\nb", True, ["a"], 1.5])
def test_a_call_id_that_is_none_is_refused(call_id: object) -> None:
    bridge = fork()
    assert bridge.receive(metadata(call_id=call_id)) == []
    assert bridge.message_errors == {"bad_start": 1}
    assert bridge.close_code == 1011


@pytest.mark.parametrize("text", ["", "queue 7", "[1]", "7", "{", "[" * 60_000, "\ud800"])
def test_metadata_that_are_no_json_object_are_kept_as_they_are(text: str) -> None:
    bridge = fork(sample_rate=8000, mix=Mix.MONO)
    start = started(bridge.receive(text))
    assert start.call_id == "hint"
    (kept,) = start.metadata.values()
    assert kept == text[:1024].encode(errors="replace").decode()


def test_metadata_are_bounded() -> None:
    many = {f"k{n}": "x" * 1_100 for n in range(40)}
    kept = started(fork().receive(metadata(**many, nested={"a": [1]}))).metadata
    assert 15_000 < sum(map(len, kept.values())) <= 16_384
    assert max(map(len, kept.values())) == 1024


def test_metadata_too_large_to_read_are_dropped() -> None:
    bridge = fork()
    assert bridge.receive(" " * (MAX_TEXT_CHARS + 1)) == []
    assert bridge.message_errors == {"text_too_large": 1}
    assert started(bridge.receive(metadata())).call_id == "c1"


def test_texts_of_a_live_call_are_ignored() -> None:
    bridge = fork()
    bridge.receive(metadata())
    assert bridge.receive(metadata(call_id="c2")) == []
    assert bridge.receive("anything") == []
    assert not bridge.message_errors
    assert bridge.close_code is None


# Audio before metadata.


def test_audio_before_the_metadata_is_decoded_after_them() -> None:
    bridge = fork()
    assert bridge.receive(struct.pack("<h", 1) + b"\x02") == []
    first, *rest = bridge.receive(metadata())
    assert isinstance(first, CallStarted)
    assert pcm([*rest, *bridge.receive(b"\x00")]) == [1, 2]


def test_a_fork_without_metadata_starts_when_its_buffer_is_full() -> None:
    bridge = fork(sample_rate=8000, mix=Mix.MONO, max_pre_start_bytes=4)
    assert bridge.receive(struct.pack("<2h", 1, 2)) == []
    events = bridge.receive(struct.pack("<2h", 3, 4))
    assert started(events).call_id == "hint"
    assert pcm(events) == [1, 2, 3, 4]
    assert bridge.receive(metadata()) == []  # too late to name the call


@pytest.mark.parametrize("options", [{}, {"sample_rate": 8000}, {"mix": Mix.MONO}])
def test_audio_beyond_the_buffer_without_a_format_becomes_a_gap(options: dict[str, Any]) -> None:
    bridge = fork(**options, max_pre_start_bytes=4)
    for sample in range(1, 5):
        assert bridge.receive(struct.pack("<h", sample)) == []
    assert bridge.message_errors == {"held_too_much": 2}
    assert pcm(bridge.receive(metadata())) == [1, 2, -1, -1]


@pytest.mark.parametrize("end", ["disconnected", "stop"])
def test_a_short_call_without_metadata_is_decoded_at_its_end(end: str) -> None:
    bridge = fork(sample_rate=8000, mix=Mix.MONO)
    bridge.receive(struct.pack("<2h", 1, 2))
    events = bridge.receive(b"") if end == "stop" else bridge.disconnected()
    assert started(events).call_id == "hint"
    assert pcm(events) == [1, 2]
    assert events[-1] == CallStopped(end)


# The end.


def test_an_empty_binary_message_ends_the_call() -> None:
    bridge = fork()
    bridge.receive(metadata())
    assert bridge.receive(b"") == [CallStopped("stop")]
    assert bridge.receive(bytes(320)) == []
    assert bridge.message_errors == {"after_stop": 1}
    assert bridge.disconnected() == []


def test_an_empty_binary_message_without_a_call_closes() -> None:
    bridge = fork()
    assert bridge.receive(b"") == []
    assert bridge.close_code == 1000


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda bridge: bridge.refused(Overloaded(1)), 1001),
        (lambda bridge: bridge.refused(CallExists("c1")), 1011),
        (lambda bridge: bridge.failed(), 1011),
        (lambda bridge: bridge.stopped("quiet", None), 1000),
    ],
)
def test_only_close_codes_that_the_modules_understand_are_used(end: Any, code: int) -> None:
    bridge = fork()
    bridge.receive(metadata())
    end(bridge)
    assert bridge.close_code == code
    assert bridge.disconnected() == []


# Any input.


@given(
    samples=st.lists(st.integers(-32_768, 32_767), max_size=60),
    cuts=st.lists(st.integers(0, 120), max_size=12),
    mix=st.sampled_from(["mono", "stereo"]),
    start_after=st.integers(0, 12),
)
def test_any_chunking_gives_the_same_samples(
    samples: list[int], cuts: list[int], mix: str, start_after: int
) -> None:
    data = struct.pack(f"<{len(samples)}h", *samples)
    bridge = fork(BOTH)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 120]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(start_after, len(borders) - 2):
            events += bridge.receive(metadata(mixType=mix))
        if data[left:right]:
            events += bridge.receive(data[left:right])
    if mix == "mono":
        assert pcm(events) == samples
    else:
        whole = len(samples) // 2 * 2
        assert pcm(events) == samples[:whole:2]
        assert pcm(events, Track.AGENT) == samples[1:whole:2]


@given(
    cuts=st.lists(st.integers(1, 119), max_size=8, unique=True),
    start_after=st.integers(0, 8),
)
def test_lost_audio_never_shifts_later_audio(cuts: list[int], start_after: int) -> None:
    data = struct.pack("<60h", *range(1, 61))
    bridge = fork(max_pre_start_bytes=30, max_frame_bytes=20)
    events: list[Event] = []
    borders = [0, *sorted(cuts), 120]
    for number, (left, right) in enumerate(itertools.pairwise(borders)):
        if number == min(start_after, len(borders) - 2):
            events += bridge.receive(metadata())
        events += bridge.receive(data[left:right])
    samples = pcm(events)
    assert len(samples) == 60
    assert all(sample in (-1, place) for place, sample in enumerate(samples, 1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
almost_metadata = st.fixed_dictionaries(
    {},
    optional={
        "call_id": st.text(max_size=140) | json_values,
        "sampleRate": st.sampled_from([8000, "16000", 11025]) | json_values,
        "mixType": st.sampled_from([*Mix]) | json_values,
        "more": json_values,
    },
)
messages = (
    st.binary(max_size=300)
    | st.text(st.characters(), max_size=300)
    | st.builds(json.dumps, json_values | almost_metadata)
    | st.just(metadata())
)


@given(
    received=st.lists(messages, max_size=20),
    options=st.fixed_dictionaries(
        {}, optional={"sample_rate": st.just(8000), "mix": st.sampled_from(Mix)}
    ),
)
def test_no_messages_raise_or_exceed_the_buffers(
    received: list[str | bytes], options: dict[str, Any]
) -> None:
    bridge = fork(BOTH, max_pre_start_bytes=400, max_frame_bytes=200, **options)
    events: list[Event] = []
    for message in received:
        events += bridge.receive(message)
        is_live = any(isinstance(event, CallStarted) for event in events)
        assert bridge.buffered_bytes <= (3 if is_live else 400)
        assert len(bridge.message_errors) <= 8
    events += bridge.disconnected()
    for event in events:
        if isinstance(event, CallStarted):
            json.dumps(dict(event.metadata)).encode()
            "".join(event.metadata.values()).encode()
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) == kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]
    assert bridge.close_code in (None, 1000, 1011)
