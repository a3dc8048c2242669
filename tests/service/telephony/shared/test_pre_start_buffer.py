import numpy as np

from service.events import Audio, Gap, Track
from service.telephony.shared.interleaved import Encoding, Interleaved
from service.telephony.shared.pre_start_buffer import PreStartBuffer


def samples() -> Interleaved:
    return Interleaved(Encoding.L16, (Track.CALLER,), frozenset({Track.CALLER}))


def test_kept_audio_is_decoded_and_lost_audio_is_a_gap() -> None:
    buffer = PreStartBuffer(max_bytes=5)
    for frame in (b"\x01\x00\x02\x00", b"\x03\x00", b"\x04"):
        buffer.add(frame)
    assert len(buffer) == 4
    audio, gap = buffer.release(samples())
    assert isinstance(audio, Audio)
    np.testing.assert_array_equal(audio.pcm, [1, 2])
    assert gap == Gap(Track.CALLER, 2)


def test_after_a_loss_nothing_more_is_kept() -> None:
    buffer = PreStartBuffer(max_bytes=4)
    buffer.add(bytes(6))
    assert not buffer.has_room(b"\x00")
    buffer.add(bytes(2))
    assert buffer.release(samples()) == [Gap(Track.CALLER, 4)]


def test_it_is_released_once() -> None:
    buffer = PreStartBuffer(max_bytes=4)
    buffer.add(bytes(4))
    buffer.release(samples())
    assert buffer.release(samples()) == []
    assert buffer.has_room(bytes(4))
