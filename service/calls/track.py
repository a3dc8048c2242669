"""One track of a stream: decoded samples to windows at 8 kHz."""

import numpy as np

from model.audio import Resampler
from model.concealment import LossConcealment
from model.speaker_baseline import SpeakerBaseline
from service.calls.context import CallContext
from service.calls.windows import WindowCutter

NO_SAMPLES = np.zeros(0, np.int16)


class TrackPipeline:
    """One track, brought to 8 kHz and cut into windows."""

    def __init__(self, rate: int, context: CallContext, caller: SpeakerBaseline) -> None:
        gate = context.meta.gate if context.gate else None
        self.rate = rate
        self.resampler = Resampler(rate)
        self.cutter = WindowCutter(
            context.meta.features, gate, context.first_s, context.hop_s, caller
        )
        self.ticked_s = 0.0
        self.concealment = LossConcealment(rate)
