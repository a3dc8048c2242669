"""A bounded buffer for audio that arrives before the start of its call."""

from service.events import Event
from service.telephony.shared.interleaved import Interleaved


class PreStartBuffer:
    """Keeps audio, of any encoding, until the start names its encoding.

    Once a frame does not fit in `max_bytes`, it and all later ones are only counted: they become a
    gap.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._lost_bytes = 0

    def __len__(self) -> int:
        return len(self._buffer)

    def has_room(self, frame: bytes) -> bool:
        """Returns whether `add` would keep this frame."""
        return not self._lost_bytes and len(self._buffer) + len(frame) <= self._max_bytes

    def add(self, frame: bytes) -> None:
        """Appends the next frame, or counts it as lost."""
        if self.has_room(frame):
            self._buffer += frame
        else:
            self._lost_bytes += len(frame)

    def release(self, samples: Interleaved) -> list[Event]:
        """Returns the decoded audio and the gap after it, and empties the buffer."""
        events = samples.feed(bytes(self._buffer))
        if self._lost_bytes:
            events += samples.lose(self._lost_bytes)
        self.clear()
        return events

    def clear(self) -> None:
        """Discards everything: there will be no call."""
        self._buffer.clear()
        self._lost_bytes = 0
