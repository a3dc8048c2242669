"""Keeps an interrupt (SIGINT) that arrives while a C library calls back into Python.

libsndfile reads files by callbacks. cffi prints an exception that leaves a callback and goes on, so
that a KeyboardInterrupt there would be lost, and the recording taken for a damaged one.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class KeptInterrupts:
    """Holds SIGINT back inside a `with` block, until `deliver` or the end of the block.

    Where Python does not handle SIGINT itself (ignored, or not the main thread) nothing changes.
    """

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGINT)
        self._keeps = callable(self._handler) and (
            threading.current_thread() is threading.main_thread()
        )
        self._kept: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Self:
        if self._keeps:
            signal.signal(signal.SIGINT, self._keep)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeps:
            signal.signal(signal.SIGINT, self._handler)
        self.deliver()

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self._kept = number, frame

    def deliver(self) -> None:
        """Hands a kept interrupt to its handler, which raises KeyboardInterrupt by default."""
        if self._kept and callable(self._handler):
            kept, self._kept = self._kept, None
            self._handler(*kept)
