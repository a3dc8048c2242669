"""Audio that comes before its call."""

from service.events import Event
from service.telephony.shared.interleaved import Interleaved


class PreStartBuffer:
    """Kept until there is a call to hear it in.

    When `max_bytes` are kept, all that follows is only counted: it becomes a gap.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self._lost_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def has_room(self, frame: bytes) -> bool:
        """Whether `add` would keep it."""
        return not self._lost_bytes and len(self._kept) + len(frame) <= self._max_bytes

    def add(self, frame: bytes) -> None:
        """The next of it."""
        if self.has_room(frame):
            self._kept += frame
        else:
            self._lost_bytes += len(frame)

    def release(self, samples: Interleaved) -> list[Event]:
        """All of it, once, as it would have been heard."""
        events = samples.feed(bytes(self._kept))
        if self._lost_bytes:
            events += samples.lose(self._lost_bytes)
        self.clear()
        return events

    def clear(self) -> None:
        """There is no call to hear it in."""
        self._kept.clear()
        self._lost_bytes = 0
