"""The pipeline of one track: from decoded samples at any rate to windows at 8 kHz."""

import numpy as np

from model.audio import SAMPLE_RATE, Resampler
from model.concealment import LossConcealment
from model.embedding_baseline import TrackBaseline
from service.calls.context import CallContext
from service.calls.windows import Window, WindowCutter
from service.events import Pcm

NO_SAMPLES = np.zeros(0, np.int16)
# What gate and features take at once: for packets of 20 ms it costs a quarter less than one by one,
# and delays a window by at most 80 ms.
PIECE_SAMPLES = SAMPLE_RATE // 10


class TrackPipeline:
    """One track: resampled, short losses concealed, gated and cut into windows.

    Args:
        sample_rate: of what `receive` is given, Hz.
        context: the model's feature and gate specs, window lengths and metrics.
        baseline: of the track's speaker; updated as the track goes on.
        start_s: call time of the first sample.
    """

    def __init__(
        self,
        sample_rate: int,
        context: CallContext,
        baseline: TrackBaseline,
        start_s: float = 0.0,
    ) -> None:
        self.sample_rate = sample_rate
        self._concealed_seconds = context.metrics.concealed_seconds
        self._windows_rejected = context.metrics.windows_rejected
        self._resampler = Resampler(sample_rate)
        self._cutter = WindowCutter(
            context.meta.features,
            context.meta.gate if context.gate else None,
            context.first_s,
            context.hop_s,
            baseline,
            context.check if context.gate else None,
            context.meta.embedding,
        )
        self._cutter.skip(round(start_s * SAMPLE_RATE))
        self._concealment = LossConcealment(sample_rate)
        self._pieces: list[Pcm] = []  # at 8 kHz, not cut yet
        self._waiting = 0  # samples of them

    @property
    def position_s(self) -> float:
        """Call time up to which the track has been received."""
        return self._cutter.position_s + self._waiting / SAMPLE_RATE

    @property
    def analysed_s(self) -> float:
        """Call time up to which the track has been gated and cut into windows."""
        return self._cutter.position_s

    @property
    def speech_s(self) -> float:
        """Seconds of speech that are in windows so far."""
        return self._cutter.speech_s

    @property
    def speaking(self) -> bool:
        """Whether a stretch of speech is under way."""
        return self._cutter.speaking

    def receive(self, pcm: Pcm, hop_s: float) -> list[Window]:
        """Returns the windows that the next samples complete.

        Args:
            pcm: (n,) int16 at `sample_rate`, at most a second or so.
            hop_s: seconds of speech from one window to the next, from now on.
        """
        self._concealment.receive(pcm)
        self._cutter.hop_s = hop_s
        return self._feed(self._resampler.feed(pcm))

    def lose(self, samples: int, hop_s: float) -> list[Window]:
        """Returns the windows that a loss of samples, counted at `sample_rate`, completes.

        A short loss does not end a sentence: the latest audio is repeated in its place. A longer
        one ends the stretch of speech.
        """
        filled = self._concealment.fill(samples)
        if filled is not None:
            self._concealed_seconds.inc(samples / self.sample_rate)
            return self.receive(filled, hop_s)
        windows = self._flush_resampler()
        self._resampler = Resampler(self.sample_rate)
        return windows + self._cutter.skip(round(samples * SAMPLE_RATE / self.sample_rate))

    def skip(self, samples: int) -> list[Window]:
        """Lets call time go on over samples that are not analysed, and returns what they complete.

        Nothing is repeated in their place, however few they are.
        """
        windows = self._flush_resampler()
        self._resampler = Resampler(self.sample_rate)
        return windows + self._cutter.skip(round(samples * SAMPLE_RATE / self.sample_rate))

    def flush(self) -> list[Window]:
        """Returns the last windows; nothing may be received afterwards."""
        return self._flush_resampler() + self._cutter.end()

    def _flush_resampler(self) -> list[Window]:
        self._pieces.append(self._resampler.feed(NO_SAMPLES, last=True))
        return self._cut()

    def _feed(self, pcm: Pcm) -> list[Window]:
        self._pieces.append(pcm)
        self._waiting += len(pcm)
        return self._cut() if self._waiting >= PIECE_SAMPLES else []

    def _cut(self) -> list[Window]:
        pcm = self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        before = self._cutter.rejected
        windows = self._cutter.feed(pcm)
        self._windows_rejected.inc(self._cutter.rejected - before)
        return windows
