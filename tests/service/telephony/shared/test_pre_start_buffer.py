import numpy as np

from service.events import Audio, Gap, Track
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.pre_start_buffer import PreStartBuffer


def samples() -> Interleaved:
    return Interleaved(Encoding.L16, (Track.CALLER,), frozenset({Track.CALLER}))


def test_what_was_kept_is_heard_and_what_was_not_is_a_gap() -> None:
    held = PreStartBuffer(max_bytes=5)
    for frame in (b"\x01\x00\x02\x00", b"\x03\x00", b"\x04"):
        held.add(frame)
    assert len(held) == 4
    audio, gap = held.release(samples())
    assert isinstance(audio, Audio)
    np.testing.assert_array_equal(audio.pcm, [1, 2])
    assert gap == Gap(Track.CALLER, 2)


def test_after_a_loss_nothing_more_is_kept() -> None:
    held = PreStartBuffer(max_bytes=4)
    held.add(bytes(6))
    assert not held.has_room(b"\x00")
    held.add(bytes(2))
    assert held.release(samples()) == [Gap(Track.CALLER, 4)]


def test_it_is_heard_once() -> None:
    held = PreStartBuffer(max_bytes=4)
    held.add(bytes(4))
    held.release(samples())
    assert held.release(samples()) == []
    assert held.has_room(bytes(4))
