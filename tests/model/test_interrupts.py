"""An interrupt while libsndfile calls back into Python is neither lost nor a damaged recording."""

import io
import signal
import threading

import numpy as np
import pytest
import soundfile

from model.audio import SAMPLE_RATE
from model.interrupts import KeptInterrupts
from model.recording import decode

NOISE = np.random.default_rng(0).integers(-9000, 9000, 8 * SAMPLE_RATE).astype(np.int16)


class InterruptedFile(io.BytesIO):
    """A file during whose call number `at` of one method Ctrl-C is pressed."""

    def __init__(self, content: bytes, method: str, at: int) -> None:
        super().__init__(content)
        self.method, self.left = method, at

    def _called(self, method: str) -> None:
        if method == self.method:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)

    def read(self, size: int | None = -1) -> bytes:
        self._called("read")
        return super().read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._called("seek")
        return super().seek(offset, whence)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("method", ["read", "seek"])
@pytest.mark.parametrize("at", range(3, 12))
def test_an_interrupt_while_a_recording_is_read_ends_the_reading(
    form: str, method: str, at: int
) -> None:
    whole = io.BytesIO()
    soundfile.write(whole, NOISE, SAMPLE_RATE, format=form)
    file = InterruptedFile(whole.getvalue(), method, at)
    try:
        decode(file)
    except KeyboardInterrupt:
        assert file.left <= 0
    else:
        assert file.left > 0, "the interrupt is lost"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_delivered_once() -> None:
    with KeptInterrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.deliver()
        interrupts.deliver()


def test_an_ignored_interrupt_stays_ignored_and_other_threads_change_nothing() -> None:
    handlers = []

    def read() -> None:
        with KeptInterrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    read()
    signal.raise_signal(signal.SIGINT)
    assert handlers == [signal.default_int_handler, signal.SIG_IGN]
