"""Packet-loss concealment: a short loss is filled with the last samples received.

A lost packet or a few do not end a sentence, so the last frame is repeated in their place. A longer
loss is a gap: it stays empty and ends the stretch of speech. The service conceals what bridges
report as lost; training conceals the packets that it drops itself.
"""

import numpy as np
from numpy.typing import NDArray

from model.audio import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE, Pcm

CONCEALED_S = 0.1  # the longest loss that is filled
REPEATED_S = FRAME_S  # how much of the last samples is repeated


class LossConcealment:
    """The last samples of one track, int16 at `rate` Hz, to fill a loss with."""

    def __init__(self, rate: int = SAMPLE_RATE) -> None:
        self._longest_samples = CONCEALED_S * rate
        self._repeated_samples = round(REPEATED_S * rate)
        self._latest = np.zeros(0, np.int16)

    def receive(self, pcm: Pcm) -> None:
        """Takes the samples (n,) that come next; only the last frame of them is kept."""
        self._latest = pcm[-self._repeated_samples :]

    def fill(self, samples: int) -> Pcm | None:
        """Returns what stands for so many lost samples, and takes it as received.

        None if the loss is a gap: it is too long, or there is nothing to repeat.
        """
        if not len(self._latest) or samples > self._longest_samples:
            return None
        filled: Pcm = np.resize(self._latest, samples)
        self.receive(filled)
        return filled


def conceal_packets(pcm: Pcm, lost: NDArray[np.bool_]) -> Pcm:
    """Returns a recording (n,) at 8 kHz as it is received when some of its packets are lost.

    Packets are frames of FRAME_SAMPLES, the last one perhaps shorter; `lost`, (packets,), is true
    for those that never arrive. Gaps become digital silence.
    """
    received = pcm.copy()
    concealment = LossConcealment()
    edges = np.flatnonzero(np.diff(lost.astype(np.int8), prepend=0, append=0)) * FRAME_SAMPLES
    received_to = 0
    for first, after in edges.reshape(-1, 2).tolist():
        concealment.receive(received[received_to:first])
        loss = received[first:after]
        filled = concealment.fill(len(loss))
        loss[:] = 0 if filled is None else filled
        received_to = after
    return received
