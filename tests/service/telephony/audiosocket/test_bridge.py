import itertools
import struct
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from model.audio import mulaw_decode, mulaw_encode
from service.errors import Overloaded
from service.events import Audio, CallStarted, CallStopped, Event, Gap, Pcm, Track
from service.telephony.audiosocket.bridge import RATES, AudioSocketBridge
from tests.paths import SAMPLES

CALLER = frozenset({Track.CALLER})
BOTH = frozenset(Track)
CALL = UUID("3c8b7a5e-0f4d-4f6a-9b1e-5d2c7a9e8f10")


def message(kind: int, payload: bytes = b"") -> bytes:
    return bytes([kind]) + len(payload).to_bytes(2, "big") + payload


UUID_MESSAGE = message(0x01, CALL.bytes)


def audio(*samples: int, kind: int = 0x10) -> bytes:
    return message(kind, struct.pack(f"<{len(samples)}h", *samples))


def connected(
    analysed_tracks: frozenset[Track] = CALLER, track: Track = Track.CALLER
) -> AudioSocketBridge:
    return AudioSocketBridge(analysed_tracks, track=track)


def samples(events: list[Event]) -> list[int]:
    return [int(s) for event in events if isinstance(event, Audio) for s in event.pcm]


def test_a_call_starts_with_its_first_audio() -> None:
    bridge = connected()
    assert bridge.receive(UUID_MESSAGE) == []
    first, *rest = bridge.receive(audio(1, -2))
    assert first == CallStarted(str(CALL), "audiosocket", (Track.CALLER,), 8000)
    assert samples(rest) == [1, -2]
    assert samples(bridge.receive(audio(3))) == [3]
    assert bridge.disconnected() == [CallStopped("disconnected")]
    assert bridge.disconnected() == []
    assert bridge.joins


@pytest.mark.parametrize(
    ("kind", "rate"),
    [
        (0x10, 8_000),
        (0x11, 12_000),
        (0x12, 16_000),
        (0x13, 24_000),
        (0x14, 32_000),
        (0x15, 44_100),
        (0x16, 48_000),
        (0x17, 96_000),
        (0x18, 192_000),
    ],
)
def test_the_kind_is_the_rate(kind: int, rate: int) -> None:
    bridge = connected()
    first, *rest = bridge.receive(UUID_MESSAGE + audio(1, 2, kind=kind))
    assert isinstance(first, CallStarted)
    assert first.sample_rate == rate
    assert samples(rest) == [1, 2]
    silence = bridge.silence()
    assert silence[0] == kind
    assert int.from_bytes(silence[1:3], "big") == len(silence) - 3 == rate * 2 // 50
    assert not any(silence[3:])


def test_silence_before_any_audio_is_at_8_khz() -> None:
    assert connected().silence() == message(0x10, bytes(320))


def test_audio_at_another_rate_is_a_gap_of_its_duration() -> None:
    bridge = connected()
    bridge.receive(UUID_MESSAGE + audio(1, kind=0x12))
    assert bridge.receive(audio(5, 6, 7, kind=0x10)) == [Gap(Track.CALLER, 6)]
    assert bridge.message_errors == {"unsupported_audio": 1}
    assert samples(bridge.receive(audio(2, kind=0x12))) == [2]


def test_a_track_that_is_not_analysed_leaves_no_samples() -> None:
    bridge = connected(CALLER, Track.AGENT)
    (first,) = bridge.receive(UUID_MESSAGE + audio(1, 2) + audio(3, kind=0x12))
    assert isinstance(first, CallStarted)
    assert first.tracks == (Track.AGENT,)


@pytest.mark.parametrize(
    "beginning",
    [b"GET / HTTP/1.1\r\n", audio(1), message(0x01, b"short"), message(0x01, bytes(17)), bytes(3)],
)
def test_a_connection_that_does_not_begin_with_a_uuid_is_refused(beginning: bytes) -> None:
    bridge = connected()
    assert bridge.receive(beginning) == []
    assert bridge.message_errors == {"not_started": 1}
    assert bridge.close_code == 1008
    assert bridge.unfinished_message_bytes == 0
    assert bridge.receive(UUID_MESSAGE + audio(1)) == []
    assert bridge.disconnected() == []


def test_a_hangup_ends_the_call() -> None:
    bridge = connected()
    events = bridge.receive(UUID_MESSAGE + audio(1) + message(0x00) + audio(2))
    assert samples(events) == [1]
    assert events[-1] == CallStopped("hangup")
    assert bridge.receive(audio(3)) == []
    assert bridge.message_errors == {"after_stop": 1}


def test_a_hangup_before_any_audio_closes() -> None:
    bridge = connected()
    assert bridge.receive(UUID_MESSAGE + message(0x00)) == []
    assert bridge.close_code == 1000


@pytest.mark.parametrize(
    ("other", "problems"),
    [
        (message(0x03, b"5"), {}),
        (message(0xFF, b"\x02"), {"provider_error": 1}),
        (UUID_MESSAGE, {"second_start": 1}),
        (message(0x77, b"?"), {"unknown_event": 1}),
    ],
)
def test_other_messages_are_ignored(other: bytes, problems: dict[str, int]) -> None:
    bridge = connected()
    events = bridge.receive(UUID_MESSAGE + other + audio(1) + other[:0] + audio(2))
    assert samples(events) == [1, 2]
    assert bridge.message_errors == problems


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda bridge: bridge.refused(Overloaded(1)), 1013),
        (lambda bridge: bridge.failed(), 1011),
        (lambda bridge: bridge.stopped("quiet", None), 1000),
    ],
)
def test_the_service_ends_a_call_by_closing(end: Any, code: int) -> None:
    bridge = connected()
    bridge.receive(UUID_MESSAGE + audio(1) + b"\x10")
    end(bridge)
    assert bridge.close_code == code
    assert list(bridge.replies()) == []
    assert bridge.disconnected() == []


pieces = st.lists(
    st.builds(
        lambda kind, payload: message(kind, payload),
        st.sampled_from([0x10, 0x10, 0x10, 0x12, 0x03, 0xFF, 0x01, 0x00, 0x42]),
        st.binary(max_size=40),
    ),
    max_size=8,
)


@given(pieces, st.lists(st.integers(0, 400), max_size=20))
def test_any_segmentation_gives_the_same_events(messages: list[bytes], cuts: list[int]) -> None:
    stream = UUID_MESSAGE + b"".join(messages)
    whole, segmented = connected(), connected()
    events = whole.receive(stream)
    borders = [0, *sorted(cuts), max(400, len(stream))]
    split = [
        event
        for left, right in itertools.pairwise(borders)
        for event in segmented.receive(stream[left:right])
    ]
    assert samples(split) == samples(events)
    assert [e for e in split if not isinstance(e, Audio)] == [
        e for e in events if not isinstance(e, Audio)
    ]
    assert segmented.unfinished_message_bytes == whole.unfinished_message_bytes == 0


@given(st.lists(st.binary(max_size=80) | st.just(UUID_MESSAGE) | st.builds(audio), max_size=20))
def test_any_bytes_never_raise_and_memory_is_bounded(stream: list[bytes]) -> None:
    bridge = connected(BOTH)
    events: list[Event] = []
    for piece in stream:
        events += bridge.receive(piece)
        assert bridge.unfinished_message_bytes < 3 + 65_536
        assert bridge.unfinished_sample_bytes < 2
    events += bridge.disconnected()
    kinds = [type(event) for event in events]
    assert kinds.count(CallStarted) == kinds.count(CallStopped) <= 1
    assert not kinds or kinds[0] is CallStarted
    assert CallStopped not in kinds[:-1]
    assert len(bridge.message_errors) <= 6


def test_one_unfinished_message_is_all_that_is_kept() -> None:
    bridge = connected()
    bridge.receive(UUID_MESSAGE)
    longest = message(0x10, bytes(65_535))
    for at in range(0, 2 * len(longest), 1000):
        bridge.receive((longest * 2)[at : at + 1000])
        assert bridge.unfinished_message_bytes < len(longest)


def test_every_kind_of_audio_has_a_rate() -> None:
    assert list(RATES) == list(range(0x10, 0x19))


def test_a_flood_of_tiny_messages_ends_the_call_before_it_costs_much() -> None:
    bridge = connected()
    bridge.receive(UUID_MESSAGE + audio(1))
    events = bridge.receive(message(0x03) * 5_000 + audio(2))
    assert events == [CallStopped("flooded")]
    assert bridge.message_errors == {"too_many": 1}
    assert bridge.receive(audio(3)) == []


def test_a_second_of_audio_in_one_read_is_no_flood() -> None:
    bridge = connected()
    events = bridge.receive(UUID_MESSAGE + audio(*range(160)) * 500)
    assert len(samples(events)) == 500 * 160
    assert bridge.message_errors == {}


def started_with(pcm: Pcm, encoded: bytes, frame: int) -> tuple[int, Pcm]:
    """Returns the rate of a call whose audio comes in frames of so many bytes, and its samples."""
    bridge = connected()
    bridge.receive(UUID_MESSAGE)
    frames = [encoded[at : at + frame] for at in range(0, len(encoded), frame)]
    started, *events = [event for data in frames for event in bridge.receive(message(0x10, data))]
    assert isinstance(started, CallStarted)
    return started.sample_rate, np.concatenate([e.pcm for e in events if isinstance(e, Audio)])


SPEECH: Pcm = soundfile.read(SAMPLES / "sounds-angry.flac", dtype="int16")[0][:, 0]


@pytest.mark.parametrize("at", range(0, 160_000, 8_000))
def test_mu_law_and_wide_band_in_messages_of_slin_are_recognised(at: int) -> None:
    pcm = SPEECH[at : at + 1_600]
    rate, decoded = started_with(pcm, mulaw_encode(pcm).tobytes(), 160)
    assert rate == 8_000
    np.testing.assert_array_equal(decoded, mulaw_decode(mulaw_encode(pcm)))
    rate, decoded = started_with(pcm, pcm.tobytes(), 640)
    assert rate == 16_000
    np.testing.assert_array_equal(decoded, pcm)


@pytest.mark.parametrize("frame", [160, 320])
def test_slin_stays_slin(frame: int) -> None:
    for pcm in (SPEECH[8_000:9_600], np.zeros(1_600, np.int16)):
        rate, decoded = started_with(pcm, pcm.tobytes(), frame)
        assert rate == 8_000
        np.testing.assert_array_equal(decoded, pcm)
